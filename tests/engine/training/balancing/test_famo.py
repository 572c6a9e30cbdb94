"""FAMO, step for step with TorchJD's, and what it must leave alone."""

import pytest
import torch
from torch import Tensor, nn
from torchjd.scalarization import FAMO

from winnow.engine.graph.modes import statistics_kept
from winnow.engine.training.balancing.famo import Famo

TASKS = ("a", "b", "c")


def losses(values: Tensor) -> dict[str, Tensor]:
    return dict(zip(TASKS, values, strict=True))


def test_famo_is_torchjds_times_the_number_of_tasks():
    balancer, judge = Famo(TASKS, rate=0.025), FAMO(3, lr=0.025, weight_decay=1e-3)
    torch.manual_seed(0)
    for _ in range(20):
        before, after = torch.rand(3) + 0.1, torch.rand(3) + 0.1
        leaf = before.clone().requires_grad_()
        judge(leaf).backward()
        cut = balancer.cut(before.clone().requires_grad_())
        found = balancer.backward(losses(cut.features), cut).weights
        torch.testing.assert_close(found, 3 * leaf.grad)
        torch.testing.assert_close(cut.features.grad, found)
        judge.update(after)
        balancer.after_step(losses(after))
    assert (found - found.mean()).abs().max() > 0.01


def test_a_task_that_fell_fast_loses_weight():
    balancer = Famo(TASKS)
    start = balancer.weights(torch.ones(3))
    balancer.after_step(losses(torch.tensor([0.1, 1.0, 1.0])))
    change = balancer.weights(torch.ones(3)) - start
    assert change[0] < 0 < change[1]


def test_an_unlabelled_task_takes_no_part():
    balancer = Famo(TASKS)
    assert balancer.weights(torch.tensor([1.0, 0.0, 1.0])).tolist() == pytest.approx([1.0, 0.0, 1.0])
    balancer.after_step(losses(torch.tensor([1.0, 0.0, 1.0])))  # nothing fell
    torch.testing.assert_close(balancer.logits.value, torch.zeros(3))


def test_after_step_follows_a_backward():
    with pytest.raises(ValueError, match="`after_step` must follow `backward`"):
        Famo(TASKS).after_step(losses(torch.ones(3)))


def test_statistics_kept():
    norm = nn.BatchNorm2d(2)
    x = torch.randn(4, 2, 3, 3) + 5
    expected = nn.BatchNorm2d(2)(x)
    with statistics_kept(nn.Sequential(norm)):
        torch.testing.assert_close(norm(x), expected)
    assert norm.running_mean.tolist() == [0, 0]
    assert norm.num_batches_tracked == 0
    norm(x)
    assert norm.num_batches_tracked == 1
