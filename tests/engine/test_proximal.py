"""The proximal step solves the problem that it names, judged by scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import MultiTaskLasso
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from engine.groups import input_groups
from engine.penalties import GroupLasso
from engine.proximal import Proximal

OPTIMISERS = {
    "sgd": lambda p: SGD(p, lr=0.2),
    "momentum": lambda p: SGD(p, lr=0.05, momentum=0.9),
    "dampened": lambda p: SGD(p, lr=0.2, momentum=0.9, dampening=0.9),
    "nesterov": lambda p: SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: Adam(p, lr=0.01),
    "adamw": lambda p: AdamW(p, lr=0.01, weight_decay=0.1),
}


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.zeros((60, 4))
    truth[:8] = rng.standard_normal((8, 4))
    x = rng.standard_normal((100, 60))
    return x, x @ truth + 0.5 * rng.standard_normal((100, 4))


@pytest.mark.parametrize("fraction", [0.5, 0.02])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_fixed_point_is_scikit_learns_solution(problem, name: str, fraction: float):
    x, y = problem
    strength = fraction * np.linalg.norm(x.T @ y / 100, axis=1).max()
    judge = MultiTaskLasso(alpha=strength, fit_intercept=False, tol=1e-13, max_iter=100_000).fit(x, y).coef_
    layer = nn.Linear(60, 4, bias=False, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    proximal = Proximal(OPTIMISERS[name](layer.parameters()), input_groups(layer), GroupLasso(strength, "none"))
    inputs, targets = torch.tensor(x), torch.tensor(y)
    for _ in range(4000):
        proximal.zero_grad()
        ((layer(inputs) - targets) ** 2).sum().div(200).backward()
        proximal.step()

    def objective(w: np.ndarray) -> float:
        return ((y - x @ w.T) ** 2).sum() / 200 + strength * np.linalg.norm(w, axis=0).sum()

    found = layer.weight.detach().numpy()
    assert objective(found) == pytest.approx(objective(judge), rel=1e-8)
    assert ((np.linalg.norm(found, axis=0) == 0) == (np.linalg.norm(judge, axis=0) == 0)).all()


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
    with pytest.raises(TypeError, match="SGD, Adam or AdamW. Found RMSprop"):
        Proximal(RMSprop(layer.parameters()), groups, penalty)
    with pytest.raises(ValueError, match="amsgrad"):
        Proximal(Adam(layer.parameters(), amsgrad=True), groups, penalty)
    with pytest.raises(ValueError, match="should hold the groups"):
        Proximal(SGD(nn.Linear(2, 2).parameters(), lr=0.1), groups, penalty)
