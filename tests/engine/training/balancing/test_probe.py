"""Static weights from a probe: equal lengths of the task gradients, then fixed."""

import pytest
import torch

from winnow.engine.training.balancing.gramian import NonFiniteGradientError
from winnow.engine.training.balancing.probe import Probed, probed_weights

TASKS = ("a", "b", "c")


def step(balancer: Probed, lengths: list[float], values: tuple[float, ...] = (1.0, 1.0, 1.0)) -> torch.Tensor:
    """Give one batch whose task gradients are orthogonal and have these lengths; return the weights used."""
    features = torch.zeros(3, requires_grad=True)
    cut = balancer.cut(features * 1.0)
    losses = {task: lengths[i] * cut.views[task][i] + values[i] for i, task in enumerate(TASKS)}
    found = balancer.backward(losses, cut).weights
    torch.testing.assert_close(features.grad, found.float() * torch.tensor(lengths))
    return found


def test_the_weighted_gradients_are_equally_long_and_the_mean_weight_is_one():
    balancer = Probed(TASKS, 2)
    found = step(balancer, [1.0, 2.0, 4.0])
    torch.testing.assert_close(found * torch.tensor([1.0, 2.0, 4.0]), torch.full((3,), 12 / 7))
    assert found.mean() == pytest.approx(1)


def test_after_the_probe_the_weights_stay_whatever_the_gradients_do():
    balancer = Probed(TASKS, 2)
    step(balancer, [1.0, 2.0, 4.0])
    found = step(balancer, [3.0, 2.0, 4.0])
    assert found[0] * 5**0.5 == pytest.approx(float(found[1]) * 2)  # mean of 1² and 3²
    assert torch.equal(step(balancer, [100.0, 1.0, 1.0]), found)


def test_a_step_without_labels_does_not_count_for_its_task():
    balancer = Probed(TASKS, 3)
    step(balancer, [1.0, 2.0, 4.0])
    found = step(balancer, [1.0, 0.0, 4.0], (1.0, 0.0, 1.0))
    torch.testing.assert_close(found, step(Probed(TASKS, 3), [1.0, 2.0, 4.0]))


def test_a_task_that_was_never_labelled_weighs_one():
    found = probed_weights(torch.tensor([4.0, 0.0, 16.0]).double(), torch.tensor([1, 0, 1]))
    assert found.tolist() == pytest.approx([4 / 3, 1, 2 / 3])


def test_the_state_holds_all_that_a_resumed_run_needs():
    balancer, other = Probed(TASKS, 2), Probed(TASKS, 2)
    step(balancer, [1.0, 2.0, 4.0])
    other.load_state_dict(balancer.state_dict())
    assert torch.equal(step(balancer, [3.0, 1.0, 1.0]), step(other, [3.0, 1.0, 1.0]))


def test_a_gradient_that_is_no_number_is_named():
    with pytest.raises(NonFiniteGradientError, match="b"):
        step(Probed(TASKS, 2), [1.0, float("nan"), 1.0])
