"""Penalty × optimiser × groups × situation × dtype: finite, and equal to a float64 reference within the rounding."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from tests.engine.sparsity.reference import Member, Reference
from winnow.engine.sparsity.groups import Axis, Group
from winnow.engine.sparsity.penalties import L1, GroupLasso, GroupMCP, SparseGroupLasso
from winnow.engine.sparsity.proximal import Proximal

PENALTIES = {"group_lasso": GroupLasso, "sparse_group_lasso": SparseGroupLasso, "group_mcp": GroupMCP, "l1": L1}
RULES: dict[str, dict[str, Any]] = {
    "sgd": {"kind": "sgd"},
    "momentum": {"kind": "sgd", "momentum": 0.9},
    "nesterov": {"kind": "sgd", "momentum": 0.9, "nesterov": True},
    "adam": {"kind": "adam"},
    "adamw": {"kind": "adamw"},
    "amsgrad": {"kind": "adam", "amsgrad": True},
}
BANKS: dict[str, list[list[Member]]] = {
    "input": [[("one", 1)], [("two", 1)]],
    "output": [[("one", 0), ("shift", 0)], [("two", 0)]],
    "coupled": [[("one", 1)], [("one", 0), ("shift", 0), ("two", 1)]],
}
FROZEN = {"input": "one", "output": "shift", "coupled": "two"}
SITUATIONS = ("plain", "no strength", "no rate", "dead", "frozen", "turns", "no evidence")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
STEPS = 3


def drawn() -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Return weights and gradients that every dtype here holds without rounding: seven bits."""
    chance = torch.Generator().manual_seed(4)

    def some(*shape: int) -> Tensor:
        return torch.randint(-127, 128, shape, generator=chance).double() / 128

    shapes = {"one": (6, 5), "shift": (6,), "two": (4, 6)}
    return {n: some(*s) for n, s in shapes.items()}, [{n: some(*s) for n, s in shapes.items()} for _ in range(STEPS)]


def told(situation: str, kind: str) -> tuple[dict[str, Tensor], list[dict[str, Tensor | None]]]:
    """Return where a situation starts, and its gradients."""
    weights, gradients = drawn()
    for name, axis in itertools.chain(*BANKS[kind]):
        for tensor in (weights, *gradients) if situation == "dead" else ():
            tensor[name].select(axis, 1).zero_()
        if situation == "no evidence":
            gradients[0][name].zero_()
    without = {"turns": ["shift", "two"] * STEPS, "frozen": [FROZEN[kind]] * STEPS}.get(situation, [""] * STEPS)
    return weights, [
        {**own, **dict.fromkeys({name} & own.keys())} for own, name in zip(gradients, without, strict=False)
    ]


def run(
    rule: Mapping[str, Any],
    kind: str,
    penalty: Any,
    start: Mapping[str, Tensor],
    frozen: str | None,
    dtype: torch.dtype,
) -> tuple[dict[str, nn.Parameter], Proximal]:
    parameters = {name: nn.Parameter(value.to(dtype, copy=True)) for name, value in start.items()}
    if frozen is not None:
        parameters[frozen].requires_grad_(False)
    groups = []
    for number, bank in enumerate(BANKS[kind]):
        members = tuple(Axis(parameters[name], axis) for name, axis in bank)
        groups += [Group(str(number), channel, kind, members) for channel in range(members[0].channels)]
    held = {id(axis.parameter): axis.parameter for group in groups for axis in group.members}
    options = {name: value for name, value in rule.items() if name not in ("kind", "lr")}
    make = {"sgd": SGD, "adam": Adam, "adamw": AdamW}[rule["kind"]]
    return parameters, Proximal(make(held.values(), lr=rule["lr"], **options), groups, penalty)


@pytest.mark.filterwarnings("ignore:Groups of frozen layers")
@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("kind", BANKS)
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_step_is_that_of_the_reference(penalty: str, name: str, kind: str, situation: str):
    start, slopes = told(situation, kind)
    rule = {**RULES[name], "lr": 0.0 if situation == "no rate" else 0.05}
    own = PENALTIES[penalty](0.0 if situation == "no strength" else 0.1)
    frozen = FROZEN[kind] if situation == "frozen" else None
    if penalty == "group_mcp" and kind == "coupled" and rule["kind"] != "sgd":
        with pytest.raises(NotImplementedError, match="GroupMCP"):
            run(rule, kind, own, start, frozen, torch.float32)
        return
    right = {n: value.clone() for n, value in start.items()}
    told_penalty = {"kind": penalty, "strength": own.strength}
    free = frozenset(start) - {frozen}
    reference = Reference(right, BANKS[kind], rule, told_penalty, kind == "coupled", free)
    for slope in slopes:
        reference.step(slope)
    for dtype in DTYPES:
        parameters, proximal = run(rule, kind, own, start, frozen, dtype)
        for slope in slopes:
            for key, parameter in parameters.items():
                parameter.grad = None if slope[key] is None else slope[key].to(dtype)
            proximal.step()
        still = set(start) if situation == "no rate" else {frozen}
        compare(parameters, reference, start, still)
        assert situation != "dead" or all(float(norms[1]) == 0 for norms in proximal.norms)


def compare(
    parameters: Mapping[str, nn.Parameter], reference: Reference, start: Mapping[str, Tensor], still: set[str | None]
) -> None:
    for key in {name for bank in reference.banks for name, _ in bank}:
        found = parameters[key].detach()
        dtype = found.dtype
        bound = 2 * STEPS * torch.finfo(dtype).eps + (1e-9 if dtype == torch.float64 else 0)
        assert found.isfinite().all(), (dtype, key)
        assert key not in still or torch.equal(found, start[key].to(dtype)), (dtype, key)
        torch.testing.assert_close(found.double(), reference.weights[key], rtol=bound, atol=bound)


def test_the_matrix_is_large_enough():
    assert len(PENALTIES) * len(RULES) * len(BANKS) * len(SITUATIONS) * len(DTYPES) >= 400


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov"])
@pytest.mark.parametrize("kind", BANKS)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_without_strength_sgd_has_the_bits_of_torch(penalty: str, kind: str, name: str):
    start, slopes = told("plain", kind)
    for dtype in DTYPES:
        rule = {**RULES[name], "lr": 0.05}
        parameters, proximal = run(rule, kind, PENALTIES[penalty](0.0), start, None, dtype)
        twins = {key: nn.Parameter(value.to(dtype, copy=True)) for key, value in start.items()}
        plain = SGD(twins.values(), lr=0.05, **{k: v for k, v in RULES[name].items() if k != "kind"})
        held = {id(p) for bank in proximal.banks for p in bank.parameters}
        for own in slopes:
            for key, parameter in parameters.items():
                parameter.grad = own[key].to(dtype)
                twins[key].grad = own[key].to(dtype)
            proximal.step()
            plain.step()
        assert all(torch.equal(p, twins[key]) for key, p in parameters.items() if id(p) in held)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", BANKS)
def test_small_weights_do_not_die_of_rounding(kind: str, dtype: torch.dtype):
    """Entries of 1e-4 are numbers in float16, their squares are not."""
    start = {name: value * 2.0**-13 for name, value in drawn()[0].items()}
    parameters, proximal = run({"kind": "sgd", "lr": 0.01}, kind, GroupLasso(0.0), start, None, dtype)
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    proximal.step()
    assert all(torch.equal(p, start[key].to(dtype)) for key, p in parameters.items())
    assert all(bool((norms > 0).all()) for norms in proximal.norms)
