"""Weights from losses alone, against the papers' formulae and TorchJD's scalarisations."""

import pytest
import torch
from torchjd.scalarization import DWA, UW

from winnow.engine.training.balancing.balancer import Balancer
from winnow.engine.training.balancing.losses import DynamicAverage, Static, Uncertainty

TASKS = ("a", "b", "c")


def weights(balancer: Balancer, values: list[float]) -> torch.Tensor:
    """Give one batch of losses to the balancer; check that its weights are what reaches the features."""
    features = torch.zeros(3, requires_grad=True)
    cut = balancer.cut(features * 1.0)
    losses = {task: cut.views[task][i] + values[i] for i, task in enumerate(balancer.tasks)}
    found = balancer.backward(losses, cut).weights
    labelled = torch.tensor(values) != 0
    torch.testing.assert_close(features.grad[labelled], found.float()[labelled])
    return found


def test_static_weights_are_those_set():
    assert weights(Static(TASKS, {"c": 3.0, "a": 0.5, "b": 0.0}), [1.0, 1.0, 1.0]).tolist() == [0.5, 0.0, 3.0]


def test_uncertainty_has_kendalls_gradient():
    balancer, judge = Uncertainty(TASKS), UW(3)
    start = torch.tensor([0.3, -1.0, 2.0])
    balancer.log_variances.data.copy_(start)
    judge.log_var.data.copy_(start)
    values = [0.5, 2.0, 7.0]
    found = weights(balancer, values)
    (2 * judge(torch.tensor(values))).backward()  # ours is twice the paper's regression form
    torch.testing.assert_close(balancer.log_variances.grad, judge.log_var.grad)
    torch.testing.assert_close(balancer.log_variances.grad, 1 - torch.exp(-start) * torch.tensor(values))
    torch.testing.assert_close(found, torch.exp(-start))


def test_uncertainty_settles_at_the_log_of_each_loss():
    balancer = Uncertainty(TASKS)
    optimiser = torch.optim.SGD(balancer.parameters(), lr=0.2)
    for _ in range(300):
        optimiser.zero_grad()
        weights(balancer, [0.5, 2.0, 4.0])
        optimiser.step()
    torch.testing.assert_close(weights(balancer, [0.5, 2.0, 4.0]), torch.tensor([2.0, 0.5, 0.25]))


def test_uncertainty_of_an_unlabelled_task_stays():
    balancer = Uncertainty(TASKS)
    weights(balancer, [0.5, 0.0, 4.0])
    assert balancer.log_variances.grad.tolist() == [0.5, 0.0, -3.0]


def test_dwa_follows_the_ratio_of_the_last_two_epochs():
    balancer, judge = DynamicAverage(TASKS, temperature=2.0), DWA(2.0)
    for epoch in ([[4.0, 1.0, 1.0], [2.0, 1.0, 3.0]], [[1.0, 1.0, 5.0], [1.0, 0.5, 1.0]], [[1.0, 2.0, 3.0]]):
        for values in epoch:
            leaf = torch.tensor(values, requires_grad=True)
            judge(leaf).backward()
            torch.testing.assert_close(weights(balancer, values), leaf.grad)
        balancer.end_epoch()
        judge.step()
    by_hand = 3 * torch.softmax(torch.tensor([1 / 1.0, 2 / 0.75, 3 / 3.0]) / 2, 0)
    torch.testing.assert_close(weights(balancer, [1.0, 1.0, 1.0]), by_hand)


def test_dwa_takes_means_over_labelled_batches_only():
    balancer = DynamicAverage(TASKS, temperature=1.0)
    for epoch in ([[4.0, 2.0, 0.0], [0.0, 2.0, 0.0]], [[2.0, 2.0, 0.0]]):
        for values in epoch:
            weights(balancer, values)
        balancer.end_epoch()
    by_hand = 3 * torch.softmax(torch.tensor([0.5, 1.0, 1.0]), 0)  # never labelled: taken to stand still
    torch.testing.assert_close(weights(balancer, [1.0, 1.0, 1.0]), by_hand)


@pytest.mark.parametrize("epochs", [0, 1])
def test_dwa_is_the_sum_until_two_epochs_are_known(epochs: int):
    balancer = DynamicAverage(TASKS)
    for _ in range(epochs):
        weights(balancer, [1.0, 2.0, 3.0])
        balancer.end_epoch()
    assert weights(balancer, [3.0, 2.0, 1.0]).tolist() == [1.0, 1.0, 1.0]
