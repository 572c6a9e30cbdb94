"""The derivative with respect to λ is that of the real step: it is compared with a finite difference, in float64."""

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from torch import nn

from winnow.engine.sparsity.groups import coupled_groups, input_groups, output_groups
from winnow.engine.sparsity.hypergradient import ShrinkTrace, shrink_slope
from winnow.engine.sparsity.penalties import L1, GroupLasso, GroupMCP, Penalty, SparseGroupLasso
from winnow.engine.sparsity.proximal import Kept, Proximal

OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.02),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, dampening=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=1e-3, amsgrad=True),
}
GROUPS = {"input": input_groups, "output": output_groups}
PENALTIES = {"group_lasso": GroupLasso, "group_mcp": GroupMCP}


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 2)).double()


def images(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(32, 6, dtype=torch.float64, generator=generator)
    return x, torch.stack([x[:, 0] - x[:, 1], x[:, 2].sin()], 1)


def loss_of(net: nn.Module, seed: int) -> torch.Tensor:
    x, y = images(seed)
    return (net(x) - y).square().mean()


def stepped(net: nn.Module, proximal: Proximal, strength: float, steps: int = 1) -> tuple[float, nn.Module, Proximal]:
    """Return the held-out loss after some steps of a copy with this strength."""
    net, proximal = copy.deepcopy((net, proximal))
    for step in range(steps):
        proximal.strength = strength
        proximal.zero_grad()
        loss_of(net, 5 + step).backward()
        proximal.step()
    return float(loss_of(net, 100).detach()), net, proximal


def derivative(net: nn.Module, proximal: Proximal) -> float:
    own = dict(net.named_parameters()).values()
    gradients = torch.autograd.grad(loss_of(net, 100), list(own))
    assert proximal.trace is not None
    return float(sum(proximal.trace.derivatives(proximal.banks, dict(zip(own, gradients, strict=True)))))


def started(optimiser: str, groups: list, penalty: Penalty, net: nn.Module, kept: Kept | None = None) -> Proximal:
    """Return an optimiser after some steps, so that it has moments and some groups are dead."""
    proximal = Proximal(OPTIMISERS[optimiser](net.parameters()), groups, penalty, kept)
    for step in range(6):
        proximal.zero_grad()
        loss_of(net, step).backward()
        proximal.step()
    return proximal


def differences(net: nn.Module, proximal: Proximal, forgetting: float = 1.0) -> tuple[float, float]:
    """Return the derivative and the central difference of one real step."""
    proximal.trace = ShrinkTrace(forgetting)
    strength = proximal.strength
    _, after, then = stepped(net, proximal, strength)
    low, high = (stepped(net, proximal, strength * (1 + sign * 1e-5))[0] for sign in (-1, 1))
    return derivative(after, then), (high - low) / (2e-5 * strength)


@pytest.mark.parametrize(("optimiser", "groups", "penalty"), list(itertools.product(OPTIMISERS, GROUPS, PENALTIES)))
def test_derivatives_are_those_of_a_real_step(optimiser: str, groups: str, penalty: str):
    net = network()
    proximal = started(optimiser, GROUPS[groups](net), PENALTIES[penalty](0.05), net, Kept(0.1))
    found, expected = differences(net, proximal)
    assert expected != 0
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_rate_of_its_own_for_a_member_is_a_length_of_its_own(optimiser: str):
    net = network()
    makes = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[optimiser]
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    weights = [p for name, p in net.named_parameters() if name.endswith("weight")]
    held = makes([{"params": weights, "lr": 1e-3}, {"params": biases, "lr": 2e-2}], lr=1e-3)
    proximal = Proximal(held, output_groups(net), GroupLasso(0.05))
    stepped_before = stepped(net, proximal, 0.05, steps=5)
    _, net, proximal = stepped_before
    found, expected = differences(net, proximal)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_groups_that_overlap_are_off_by_the_order_of_the_step(optimiser: str):
    net = network()
    groups = coupled_groups(net, torch.randn(2, 6, dtype=torch.float64))
    proximal = started(optimiser, groups, GroupLasso(0.02), net)
    found, expected = differences(net, proximal)
    assert found == pytest.approx(expected, rel=0.02)


def test_a_group_that_the_floor_keeps_does_not_move_with_the_strength():
    net = network()
    proximal = started("sgd", input_groups(net), GroupLasso(50.0), net, Kept(0.3))
    found, expected = differences(net, proximal)
    assert found == expected == 0
    assert all((norms > 0).any() for norms in proximal.norms)


def test_dead_groups_have_no_part_in_it():
    net = network()
    proximal = started("sgd", input_groups(net), GroupLasso(1.5), net)
    assert any((norms == 0).any() for norms in proximal.norms)
    proximal.trace = ShrinkTrace(0.1)
    _, _, then = stepped(net, proximal, 1.5, steps=3)
    assert then.trace is not None
    for place, shrunk in then.trace.shrunk.items():
        assert bool((shrunk[then.norms[place] == 0] == 0).all())
        assert bool((shrunk <= 0).all())


def test_the_trace_is_a_decayed_sum():
    net = network()
    one, other = (started("sgd", input_groups(net_), GroupLasso(0.01), net_) for net_ in (network(), network()))
    one.trace, other.trace = ShrinkTrace(0.25), ShrinkTrace(1.0)
    weights = one.banks[0].weights("size") * 0.02
    for _ in range(3):
        for own in (one, other):
            own.strength = 0.01
            own.zero_grad()
            for parameter in own.optimizer.param_groups[0]["params"]:
                parameter.grad = torch.zeros_like(parameter)
            own.step()
    del net
    assert one.trace.shrunk[0] == pytest.approx(-weights * (1 + 0.75 + 0.75**2))
    assert other.trace.shrunk[0] == pytest.approx(-weights)


@pytest.mark.parametrize("penalty", [L1(0.1), SparseGroupLasso(0.1)])
def test_a_penalty_without_a_derivative_is_named(penalty: Penalty):
    net = network()
    proximal = started("sgd", input_groups(net), penalty, net)
    proximal.trace = ShrinkTrace(0.5)
    with pytest.raises(NotImplementedError, match=f"got {type(penalty).__name__}"):
        proximal.step()


def test_a_subclass_is_refused_because_its_step_is_its_own():
    class Elastic(GroupLasso):
        pass

    (bank,) = Proximal(torch.optim.SGD((net := nn.Linear(3, 2)).parameters(), 0.1), input_groups(net), Elastic(1)).banks
    with pytest.raises(NotImplementedError, match="got Elastic"):
        shrink_slope(Elastic(1.0), bank, torch.tensor(0.1), bank.norms(), bank.norms())


@pytest.mark.parametrize("forgetting", [0.0, -0.1, 1.5, float("nan")])
def test_forgetting_is_a_share(forgetting: float):
    with pytest.raises(ValueError, match="`forgetting` must be in"):
        ShrinkTrace(forgetting)
