"""The proximal step solves the problem that it names, judged by scikit-learn."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.linear_model import MultiTaskLasso
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from tests.thinning import spread
from winnow.engine.sparsity.groups import Axis, Group, input_groups
from winnow.engine.sparsity.penalties import L1, GroupLasso, GroupMCP, SparseGroupLasso
from winnow.engine.sparsity.proximal import Kept, Proximal

OPTIMISERS = {
    "sgd": lambda p: SGD(p, lr=0.2),
    "momentum": lambda p: SGD(p, lr=0.05, momentum=0.9),
    "dampened": lambda p: SGD(p, lr=0.2, momentum=0.9, dampening=0.9),
    "nesterov": lambda p: SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: Adam(p, lr=0.01),
    "adamw": lambda p: AdamW(p, lr=0.01, weight_decay=0.1),
    "amsgrad": lambda p: Adam(p, lr=0.01, amsgrad=True),
}


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.zeros((60, 4))
    truth[:8] = rng.standard_normal((8, 4))
    x = rng.standard_normal((100, 60))
    return x, x @ truth + 0.5 * rng.standard_normal((100, 4))


def descend(layer: nn.Linear, proximal: Proximal, problem, most: int, reached: Callable[[], bool]) -> None:
    """Take steps until the solution is reached, asked now and then, and some more: it is a point that they keep."""
    x, y = torch.tensor(problem[0]), torch.tensor(problem[1])
    steps = most
    for step in range(most):
        proximal.zero_grad()
        ((layer(x) - y) ** 2).sum().div(200).backward()
        if step % 50 == 49 and steps == most and reached():
            steps = step + 100
        proximal.step()
        if step == steps:
            break
    proximal.zero_grad()
    ((layer(x) - y) ** 2).sum().div(200).backward()


@pytest.mark.parametrize(("name", "fraction"), spread(2, OPTIMISERS, [0.8, 0.5, 0.1, 0.02]))
def test_the_fixed_point_is_scikit_learns_solution(problem, name: str, fraction: float):
    x, y = problem
    strength = fraction * np.linalg.norm(x.T @ y / 100, axis=1).max()
    judge = MultiTaskLasso(alpha=strength, fit_intercept=False, tol=1e-13, max_iter=100_000).fit(x, y).coef_
    layer = nn.Linear(60, 4, bias=False, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    proximal = Proximal(OPTIMISERS[name](layer.parameters()), input_groups(layer), GroupLasso(strength, "none"))

    def objective(w: np.ndarray) -> float:
        return ((y - x @ w.T) ** 2).sum() / 200 + strength * np.linalg.norm(w, axis=0).sum()

    def same() -> bool:
        found = layer.weight.detach().numpy()
        zeros = (np.linalg.norm(found, axis=0) == 0) == (np.linalg.norm(judge, axis=0) == 0)
        return objective(found) == pytest.approx(objective(judge), rel=1e-8) and bool(zeros.all())

    descend(layer, proximal, problem, 4000, same)
    assert same()


PENALTIES = {
    "sparse_group_lasso": SparseGroupLasso(0.05, "size", 0.4),
    "group_mcp": GroupMCP(0.5, "none", 10.0),
    "l1": L1(0.2),
}


@pytest.mark.parametrize(("name", "kind"), spread(3, OPTIMISERS, PENALTIES))
def test_the_fixed_point_violates_no_condition(problem, name: str, kind: str):
    penalty = PENALTIES[kind]
    layer = nn.Linear(60, 4, bias=False, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    proximal = Proximal(OPTIMISERS[name](layer.parameters()), input_groups(layer), penalty)

    def stationary() -> bool:
        return float(penalty.violation(proximal.banks[0]).max()) < 1e-6

    descend(layer, proximal, problem, 2000, stationary)
    assert stationary()
    dead = proximal.norms[0] == 0
    assert 0 < int(dead.sum()) < 60
    assert (proximal.firmness()[0][dead] <= 1).all()


def coupled_in_a_chain(first: nn.Linear, second: nn.Linear) -> list[Group]:
    """Inputs of the first layer, and channels between the two: every weight of the first lies in two groups."""
    outer = [Group("in", i, "coupled", (Axis(first.weight, 1),)) for i in range(first.in_features)]
    between = (Axis(first.weight, 0), Axis(second.weight, 1))
    return outer + [Group("mid", i, "coupled", between) for i in range(first.out_features)]


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw"])
def test_overlapping_groups_reach_a_point_that_no_descent_improves(name: str):
    """An incremental proximal step with a falling rate: zeros are exact and no neighbour has a smaller objective."""
    torch.manual_seed(0)
    first, second = nn.Linear(6, 5, bias=False).double(), nn.Linear(5, 3, bias=False).double()
    groups, net = coupled_in_a_chain(first, second), nn.Sequential(first, second)
    x = torch.randn(80, 6, dtype=torch.float64)
    y = x[:, :2] @ torch.randn(2, 3, dtype=torch.float64)
    rate = 0.005 if name == "momentum" else 0.05
    kinds = {"sgd": SGD, "momentum": SGD, "adam": Adam, "adamw": AdamW}
    more = {"momentum": 0.9} if name == "momentum" else {}
    proximal = Proximal(kinds[name](net.parameters(), lr=rate, **more), groups, GroupLasso(0.05, "none"))

    def objective() -> torch.Tensor:
        return (net(x) - y).square().mean() + proximal.value()

    for step in range(500 if name.startswith("adam") else 2000):
        proximal.optimizer.param_groups[0]["lr"] = rate / (1 + step / 100)
        proximal.zero_grad()
        (net(x) - y).square().mean().backward()
        proximal.step()
    dead = [int((norms == 0).sum()) for norms in proximal.norms]
    assert dead[0] == 4  # the inputs that the target does not depend on
    assert dead[1] >= 1
    reached, chance = float(objective().detach()), torch.Generator().manual_seed(1)
    points = [p.detach().clone() for p in net.parameters()]
    for scale in (1e-2, 1e-1):
        for _ in range(300):
            for parameter, point in zip(net.parameters(), points, strict=True):
                parameter.data = point + scale * torch.randn(point.shape, generator=chance, dtype=torch.float64)
            assert float(objective().detach()) >= reached - 2e-3


def test_the_floor_keeps_a_layer_alive():
    torch.manual_seed(0)
    layer = nn.Linear(40, 4)
    proximal = Proximal(SGD(layer.parameters(), lr=0.1), input_groups(layer), GroupLasso(100.0), Kept(floor=0.05))
    for _ in range(5):
        proximal.zero_grad()
        layer(torch.randn(8, 40)).square().mean().backward()
        proximal.step()
    assert int((proximal.norms[0] > 0).sum()) == 2


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_kept_norm_is_kept_and_changes_nothing_under_batch_norm(name: str):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(8, 6, 3, bias=False), nn.BatchNorm2d(6, eps=1e-12)).double()
    before = float(net[0].weight.detach().norm())
    kept = Kept(norms=[net[0].weight])
    proximal = Proximal(OPTIMISERS[name](net.parameters()), input_groups(net), GroupLasso(0.01), kept)
    for _ in range(20):
        x = torch.randn(4, 8, 6, 6, dtype=torch.float64)
        proximal.zero_grad()
        (net(x) - x[:, :6, 1:-1, 1:-1]).square().mean().backward()
        proximal.step()
    assert float(net[0].weight.detach().norm()) == pytest.approx(before, rel=1e-9)
    out = net(x)
    net[0].weight.data *= 3
    torch.testing.assert_close(net(x), out)


def test_without_strength_sgd_is_torchs_own():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    proximal = Proximal(SGD(ours.parameters(), lr=0.1, momentum=0.9), input_groups(ours), GroupLasso(0.0))
    plain = SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    for _ in range(5):
        x = torch.randn(4, 5)
        for layer, optimiser in ((ours, proximal), (theirs, plain)):
            optimiser.zero_grad()
            layer(x).square().sum().backward()
            optimiser.step()
    assert torch.equal(ours.weight, theirs.weight)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_loaded_state_goes_on_with_the_same_bits(name: str):
    def fresh() -> tuple[nn.Module, Proximal]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 2))
        return net, Proximal(OPTIMISERS[name](net.parameters()), input_groups(net), GroupLasso(0.01))

    def steps(net: nn.Module, proximal: Proximal, seeds: range) -> None:
        for seed in seeds:
            proximal.zero_grad()
            net(torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(seed))).square().mean().backward()
            proximal.step()

    straight, whole = fresh()
    steps(straight, whole, range(6))
    first, half = fresh()
    steps(first, half, range(3))
    second, rest = fresh()
    second.load_state_dict(first.state_dict())
    rest.load_state_dict(half.state_dict())
    steps(second, rest, range(3, 6))
    for one, other in zip(straight.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_norms_are_those_of_the_weights_after_the_step():
    torch.manual_seed(0)
    layer = nn.Linear(8, 8)
    proximal = Proximal(AdamW(layer.parameters(), lr=0.1), input_groups(layer), GroupLasso(0.1))
    layer(torch.randn(4, 8)).square().sum().backward()
    proximal.step()
    torch.testing.assert_close(proximal.norms[0], layer.weight.detach().norm(dim=0))


def test_what_has_no_proximal_step_is_refused():
    layer = nn.Linear(2, 2)
    groups, penalty = input_groups(layer), GroupLasso(1.0)
    with pytest.raises(TypeError, match="SGD, Adam or AdamW of torch.optim, got RMSprop"):
        Proximal(RMSprop(layer.parameters()), groups, penalty)
    with pytest.raises(ValueError, match="maximize=True"):
        Proximal(Adam(layer.parameters(), maximize=True), groups, penalty)
    with pytest.raises(ValueError, match="must hold the groups"):
        Proximal(SGD(nn.Linear(2, 2).parameters(), lr=0.1), groups, penalty)
