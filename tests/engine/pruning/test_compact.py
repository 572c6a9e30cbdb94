"""The smaller model is the same model: on every architecture, for every kind of zero, with its certificate."""

import copy
import random
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.flop_counter import FlopCounterMode

from tests.engine.graph.random_nets import random_net
from tests.engine.graph.zoo import ZOO, Program, build, conv
from tests.thinning import spread
from winnow.engine.graph.refusal import COMPUTED
from winnow.engine.graph.trace import trace
from winnow.engine.networks.multitask import MultiTaskNet
from winnow.engine.pruning import NotExact, NotTraceable, compact
from winnow.engine.sparsity.groups import banks, coupled_groups, input_groups, output_groups

GROUPS = {
    "coupled": coupled_groups,
    "output": lambda net, x: output_groups(net),
    "input": lambda net, x: input_groups(net),
}
X = torch.randn(2, 3, 16, 16)


def silence(net: nn.Module, x: Tensor, kind: str, share: float) -> None:
    """Zero a share of random groups, at least one of each bank left alive."""
    generator = torch.Generator().manual_seed(int(100 * share))
    for bank in banks(GROUPS[kind](net, x)):
        dead = torch.rand(bank.channels, generator=generator) < share
        dead[torch.randint(bank.channels, (1,), generator=generator)] = False
        bank.scale_(1 - dead.double())


def silenced(name: str, kind: str, share: float) -> tuple[nn.Module, Tensor]:
    """Return a net of the zoo with random groups of zeros."""
    net, x = build(name)
    silence(net, x, kind, share)
    return net, x


def outputs(net: nn.Module, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return torch.utils._pytree.tree_leaves(net(x))


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def macs(net: nn.Module, x: Tensor) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(x)
    return counter.get_total_flops() / 2 / len(x)


SHARES = {"coupled": (0.3, 0.7), "output": (0.5, 0.9), "input": (0.3, 0.5, 0.7, 0.9)}
CASES = spread(3, ZOO, [(kind, share) for kind, shares in SHARES.items() for share in shares])


@pytest.mark.parametrize(("name", "kind", "share"), CASES)
def test_the_smaller_model_is_the_same(name: str, kind: str, share: float):
    net, x = silenced(name, kind, share)
    state = copy.deepcopy(net.state_dict())
    found = compact(net, x, gather="never")
    certificate, small = found.certificate, found.model
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert certificate.relative_error_float32 <= 1e-4
    assert certificate.relative_error_float64 <= 1e-10
    for one, other in zip(outputs(net, x), outputs(small, x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert certificate.kept_for == {}
    graph = trace(net, x)
    kept = graph.liveness().kept
    whole = any(not kept[carrier.labels].any() for carrier in graph.carriers if carrier.bears)
    promised = graph.savings().iloc[-1]
    left = promised.parameters - promised.removable_parameters
    if (
        whole or certificate.folded
    ):  # a dead branch keeps one channel; constants that readers take over were not promised
        assert parameters(small) <= promised.parameters
    else:
        assert parameters(small) == left
        assert macs(small, x) == pytest.approx(promised.macs - promised.removable_macs)
    removed = certificate.removed
    assert (removed.parameters_before - removed.parameters_after).sum() == parameters(net) - parameters(small)


@pytest.mark.parametrize(("seed", "kind"), spread(3, range(0, 60, 3), GROUPS))
def test_it_holds_for_random_programs(seed: int, kind: str):
    net, x = random_net(seed)
    silence(net, x, kind, 0.6)
    if kind == "output":
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.bias, 0.5, 1.5)
    for mode in ("never", "always"):
        found = compact(net, x, gather=mode)
        assert found.certificate.kept_for == {}
        for one, other in zip(outputs(net, x), outputs(found.model, x), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_our_network_stays_our_network():
    net, x = silenced("ours basic", "coupled", 0.7)
    small = compact(net, x).model
    assert isinstance(small, MultiTaskNet)
    assert set(small.state_dict()) == set(net.state_dict())
    assert small.trunk.outputs == small.heads["seg"].mix[0][0].in_channels < net.trunk.outputs
    wide = torch.randn(1, 3, 24, 40, dtype=x.dtype)
    for task, prediction in net(wide).items():
        torch.testing.assert_close(small(wide)[task], prediction)


def test_sizes_in_the_program_are_rewritten():
    net, x = silenced("splits", "coupled", 0.5)
    found = compact(net, x, gather="never")
    assert isinstance(found.model, fx.GraphModule)
    assert set(found.model.state_dict()) == set(net.state_dict())
    assert found.model.right.in_channels < net.right.in_channels
    wide = torch.randn(3, 3, 9, 20, dtype=x.dtype)
    torch.testing.assert_close(found.model(wide), net(wide))


def test_places_of_channels_move_along():
    def program(m: nn.Module, x: Tensor) -> Tensor:
        y = m.a(x)
        parts = [y.narrow(1, 2, 4), y[:, 5:9], y.select(1, 9)[:, None], y[..., 3, None, :, :], y[:, -1:]]
        return m.out(torch.cat([*parts, y.flip(1)[:, :3]], 1))

    net = Program(program, a=conv(3, 10), out=conv(14, 2)).eval()
    with torch.no_grad():
        for bank in banks(coupled_groups(net, X)):
            bank.scale_(torch.tensor([0, 1, 0, 1, 1, 0, 1, 1, 0, 1.0])[: bank.channels])
    found = compact(net, X)
    assert found.certificate.relative_error_float64 < 1e-10
    assert found.certificate.kept_for == {}


def test_what_depends_on_the_number_of_channels_keeps_them():
    net = Program(lambda m, x: m.out(m.a(x).roll(2, 1)), a=conv(3, 6), out=conv(6, 2)).eval()
    with torch.no_grad():
        net.out.weight[:, 1] = 0  # the last channel, rolled
    found = compact(net, X)
    assert list(found.certificate.kept_for) == ["roll"]
    assert "depends on their number" in found.certificate.kept_for["roll"]
    assert parameters(found.model) == parameters(net)


def test_other_tasks_go_with_all_that_only_they_used():
    net, x = build("ours basic")
    found = compact(net, x, tasks=["depth"])
    assert isinstance(found.model, MultiTaskNet)
    assert list(found.model.heads) == ["depth"]
    assert list(found.model(x)) == ["depth"]
    torch.testing.assert_close(found.model(x)["depth"], net(x)["depth"])
    gone = found.certificate.removed.query("parameters_after == 0").layer
    assert set(gone.str.split(".").str[1]) == {"seg", "kind"}
    with pytest.raises(ValueError, match="`tasks` must be among"):
        compact(net, x, tasks=["edges"])


def test_what_only_other_outputs_read_goes_from_any_program():
    def program(m: nn.Module, x: Tensor) -> dict[str, Tensor]:
        y = m.a(x)
        return {"one": m.one(y[:, :4]), "two": m.two(y[:, 2:])}

    net = Program(program, a=conv(3, 6), one=conv(4, 2), two=conv(4, 2)).eval()
    found = compact(net, X, tasks=["one"])
    assert found.model.a.out_channels == 4
    assert type(found.model) is type(net)
    assert not list(found.model.two.parameters())
    assert list(found.model(X)) == ["one"]
    torch.testing.assert_close(found.model(X)["one"], net(X)["one"])


def test_no_program_fixes_sizes_where_the_class_can_keep_its_channels():
    def program(m: nn.Module, x: Tensor) -> Tensor:
        y = m.a(x) + torch.linspace(0, 1, 16).expand(x.size(0), 1, 16, 16)
        return m.out(y[:, 2:])

    net = Program(program, a=conv(3, 6), out=conv(4, 2)).eval()
    found = compact(net, X)
    assert not found.certificate.fixed_sizes
    assert type(found.model) is type(net)
    assert found.model.a.out_channels == 6
    assert list(found.certificate.kept_for) == ["getitem"]
    wide = torch.randn(5, 3, 16, 16)
    torch.testing.assert_close(found.model(wide), net(wide))
    torch.testing.assert_close(found.model(X), net(X))


def test_what_is_not_the_same_is_not_handed_out():
    def program(m: nn.Module, x: Tensor) -> Tensor:
        return m.out(m.a(x)) + random.random()  # another number at each pass, whatever the seed of torch

    net = Program(program, a=conv(3, 6), out=conv(6, 2)).eval()
    with torch.no_grad():
        net.out.weight[:, 1] = 0
    with pytest.raises(NotExact, match="`model` must give the same outputs when it is compacted"):
        compact(net, X)


def test_a_compacted_program_is_compacted_again():
    net, x = silenced("splits", "coupled", 0.5)
    once = compact(net, x).model
    silence(once, x, "coupled", 0.5)
    twice = compact(once, x).model
    assert parameters(twice) < parameters(once) < parameters(net)
    torch.testing.assert_close(twice(x), once(x))


def test_a_refusal_leaves_nothing():
    net = Program(lambda m, x: m.a(x) if m.a(x).sum() > 0 else x, a=conv(3, 6))
    state = copy.deepcopy(net.state_dict())
    with pytest.raises(NotTraceable, match="flow of control"):
        compact(net, X)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("mask", [lambda layer: prune.ln_structured(layer, "weight", 0.5, 2, 0), weight_norm])
def test_a_weight_that_is_computed_is_named(mask: Any) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    mask(net[0])
    net[0].bias.data.zero_()
    kept = compact(net, torch.rand(2, 3, 8, 8), gather="never").certificate.kept_for
    assert any(COMPUTED in why for why in kept.values())
