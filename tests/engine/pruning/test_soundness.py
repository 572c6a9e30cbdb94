"""Never silently wrong: on generated programs, what is handed out gives what the model gives, or is refused by name."""

import copy
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from torch import Tensor, nn

from tests.engine.pruning.generated import generated, programs
from winnow.engine.graph.containers import flatten
from winnow.engine.pruning import Compacted, NotExact, NotTraceable, compact
from winnow.engine.pruning.chance import same_chance
from winnow.engine.sparsity.groups import banks, coupled_groups, input_groups, output_groups

GROUPS = {
    "coupled": coupled_groups,
    "output": lambda net, x: output_groups(net),
    "input": lambda net, x: input_groups(net),
}
SIZES = ((2, 7, 6), (1, 7, 6), (5, 7, 6), (2, 12, 14), (3, 9, 11), (2, 21, 16))
COUNTS: Counter[str] = Counter()


def silence(net: nn.Module, x: Tensor, kind: str, share: float) -> None:
    """Zero a share of random groups, one of each bank left."""
    generator = torch.Generator().manual_seed(1)
    for bank in banks(GROUPS[kind](net, x)) if share else []:
        dead = torch.rand(bank.channels, generator=generator) < share
        dead[torch.randint(bank.channels, (1,), generator=generator)] = False
        bank.scale_(1 - dead.double())


def digest(net: nn.Module) -> dict[str, Any]:
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    return state | {f"{name}.attributes": sorted(vars(module)) for name, module in net.named_modules()}


def unchanged(net: nn.Module, before: dict[str, Any]) -> bool:
    after = digest(net)
    return after.keys() == before.keys() and all(
        torch.equal(value, before[name]) if isinstance(value, Tensor) else value == before[name]
        for name, value in after.items()
    )


def given_by(net: nn.Module, x: Tensor, training: bool, **options: Any) -> list[tuple[str, Tensor]]:
    if not training:
        with torch.no_grad(), torch.random.fork_rng():
            return flatten(net(x, **options))
    twin = copy.deepcopy(net).train()
    with torch.no_grad(), same_chance(twin, len(x), seed=7):
        return flatten(twin(x, **options))


def same(one: nn.Module, other: nn.Module, x: Tensor, training: bool) -> None:
    expected, found = given_by(one, x, training), given_by(other, x, training)
    assert [path for path, _ in expected] == [path for path, _ in found]
    for (path, a), (_, b) in zip(expected, found, strict=True):
        bound = 1e-6 if training else 1e-10
        assert a.shape == b.shape, path
        assert float((a - b).abs().max()) <= bound * max(float(a.abs().max()), 1e-3), (path, tuple(x.shape), training)


def holds(net: nn.Module, found: Compacted) -> None:
    """Compare the two independently of the certificate, at sizes that it did not see either."""
    certificate, small = found.certificate, found.model
    assert certificate.tensors > 0
    assert certificate.elements > 0
    for batch, height, width in SIZES:
        x = torch.randn(batch, 3, height, width, dtype=torch.float64)
        if certificate.fixed_sizes and (batch, height, width) != SIZES[0]:
            with pytest.raises(ValueError, match="must be of shape"):
                small(x)
            continue
        same(net, small, x, training=False)
    if "training mode" not in certificate.open and not certificate.fixed_sizes:
        same(net, small, torch.randn(3, 3, 9, 11, dtype=torch.float64), training=True)


def refuses_or_takes(net: nn.Module, small: nn.Module, x: Tensor) -> None:
    """An argument that no call had is refused, or taken as the model takes it."""
    for options in ({"scale": 2.0}, {"mask": torch.zeros(len(x), 1, *x.shape[2:], dtype=x.dtype)}):
        expected = given_by(net, x, False, **options)
        try:
            found = given_by(small, x, False, **options)
        except ValueError:
            continue
        for (_, a), (_, b) in zip(expected, found, strict=True):
            torch.testing.assert_close(a, b)


def law(described: dict[str, Any]) -> None:
    net, x = generated(described)
    silence(net, x, described["kind"], described["share"])
    before = digest(net)
    try:
        found = compact(net, x, gather=("never", "always")[described["seed"] % 2])
    except (NotTraceable, NotExact) as error:
        COUNTS["refused"] += 1
        event(f"refused: {type(error).__name__}")
        found = None
    assert unchanged(net, before)
    if found is None:
        return
    COUNTS["program" if isinstance(found.model, torch.fx.GraphModule) else "own class"] += 1
    COUNTS["smaller"] += any(cut.stays for cut in found.cuts)
    holds(net, found)
    refuses_or_takes(net, found.model, x)


COMMON: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "database": None,
}


@pytest.mark.filterwarnings("ignore:No group")  # a program may have none
@settings(max_examples=60, derandomize=True, **COMMON)
@given(programs())
def test_what_is_compacted_is_the_same_or_refused(described: dict[str, Any]):
    law(described)


@pytest.mark.study
@pytest.mark.filterwarnings("ignore:No group")
@settings(max_examples=2_000, **COMMON)
@given(programs())
def test_what_is_compacted_is_the_same_or_refused_on_many_programs(described: dict[str, Any]):
    law(described)


def test_most_programs_are_compacted_and_not_refused():
    """So that the law above means something."""
    if COUNTS.total() >= 60:
        assert COUNTS["refused"] <= 0.05 * COUNTS.total()
        assert COUNTS["smaller"] >= 0.3 * COUNTS.total()
