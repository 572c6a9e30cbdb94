"""GradNorm's update, by hand."""

import torch

from winnow.engine.training.balancing.gradnorm import GradNorm

TASKS = ("a", "b", "c")
ROWS = torch.tensor([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])


def backward(balancer: GradNorm, values: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    features = torch.zeros(3, requires_grad=True)
    cut = balancer.cut(features * 1.0)
    losses = {task: values[i] + ROWS[i] @ cut.views[task] for i, task in enumerate(TASKS)}
    return balancer.backward(losses, cut).weights, features.grad


def test_weights_move_as_the_formula_says():
    balancer = GradNorm(TASKS, asymmetry=1.0, rate=0.1)
    backward(balancer, [1.0, 1.0, 1.0])
    # G = (3, 1, 2), mean 2 = all targets: Adam's first step is the sign of (+, −, 0) times the rate; Σ w is 3 already
    torch.testing.assert_close(balancer.learned.value, torch.tensor([0.9, 1.1, 1.0]))
    weights, gradient = backward(balancer, [0.5, 1.0, 1.5])
    torch.testing.assert_close(weights.float(), torch.tensor([0.9, 1.1, 1.0]))
    torch.testing.assert_close(gradient, weights.float() @ ROWS)
    # G = (2.7, 1.1, 2), pace r = (0.5, 1, 1.5): targets 1.9333·r = (0.967, 1.933, 2.9); gradient (3, −1, −2)/1.9333
    first = torch.tensor([3.0, -1.0, 0.0]) / 2
    second = torch.tensor([3.0, -1.0, -2.0]) / 1.9333333
    mean = (0.9 * 0.1 * first + 0.1 * second) / (1 - 0.9**2)
    square = (0.999 * 0.001 * first**2 + 0.001 * second**2) / (1 - 0.999**2)
    moved = torch.tensor([0.9, 1.1, 1.0]) - 0.1 * mean / (square.sqrt() + 1e-8)
    torch.testing.assert_close(balancer.learned.value, 3 * moved / moved.sum())


def test_lengths_even_out():
    balancer = GradNorm(TASKS, asymmetry=0.0, rate=0.02)
    for _ in range(400):
        weights, _ = backward(balancer, [1.0, 1.0, 1.0])
    lengths = weights * torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)
    assert lengths.std() / lengths.mean() < 0.06


def test_the_heads_get_the_weighted_loss():
    balancer = GradNorm(("a", "b"))
    balancer.learned.value.copy_(torch.tensor([0.5, 1.5]))
    heads = torch.ones(2, requires_grad=True)
    cut = balancer.cut(torch.ones(1, requires_grad=True) * 1.0)
    balance = balancer.backward({"a": heads[0] * cut.views["a"][0], "b": heads[1] * cut.views["b"][0]}, cut)
    assert heads.grad.tolist() == [0.5, 1.5]
    torch.testing.assert_close(balance.gramian, torch.ones(2, 2, dtype=torch.float64))  # of the unweighted losses
