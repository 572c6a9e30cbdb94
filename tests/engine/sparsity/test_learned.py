"""A strength that is learned: which way it moves, how far, and what it remembers."""

import json
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from winnow.engine.sparsity.groups import input_groups
from winnow.engine.sparsity.learned import DECADES, Learned, Per
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Proximal

SPAN, EVERY = 400, 4


def control(per: Per = "global", **changes: float) -> Learned:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    proximal = Proximal(torch.optim.SGD(net.parameters(), lr=0.1), input_groups(net), GroupLasso(0.0))
    return Learned(proximal, base=1e-3, warm_up=0, refit_from=SPAN, every=EVERY, per=per, **changes)


def taken(learned: Learned, derivatives: tuple[float, float], times: int, loss: float = 1.0) -> list[float]:
    """Return λ after each of some measurements that say the same."""
    found = []
    for _ in range(times):
        learned.take(derivatives, [loss, loss], [1.0, 2.0], error=0.1)
        found.append(learned.base)
    return found


def test_the_strength_rises_by_its_decades_where_it_costs_nothing():
    found = taken(control(), (0.0, 0.0), SPAN // EVERY)
    assert found[-1] == pytest.approx(1e-3 * 10**DECADES)
    assert all(one < other for one, other in pairwise(found))


def test_the_strength_falls_by_no_more_than_that_whatever_is_measured():
    found = taken(control(), (1e9, 1e9), SPAN // EVERY)
    assert found[-1] == pytest.approx(1e-3 / 10**DECADES)


def test_the_strength_comes_to_where_it_costs_one_standard_error():
    learned = control()
    taken(learned, (2.0, 3.0), 2000)  # dL/dλ = 5, so that λ · 5 = 0.1
    assert learned.base == pytest.approx(0.1 / 5, rel=1e-3)


@pytest.mark.parametrize("tolerance", [0.5, 2.0])
def test_the_tolerance_is_in_standard_errors(tolerance: float):
    learned = control(tolerance=tolerance)
    taken(learned, (2.0, 3.0), 2000)
    assert learned.base == pytest.approx(tolerance * 0.1 / 5, rel=1e-3)


def test_without_tolerance_it_follows_the_sign_of_the_derivative():
    rising, falling = control(tolerance=0.0), control(tolerance=0.0)
    assert taken(rising, (-1.0, 0.0), SPAN // EVERY)[-1] == pytest.approx(1e-3 * 10**DECADES)
    assert taken(falling, (1e-9, 0.0), SPAN // EVERY)[-1] == pytest.approx(1e-3 / 10**DECADES)


def test_a_loss_above_its_lowest_brings_the_strength_down():
    learned = control()
    high = taken(learned, (0.0, 0.0), 10, loss=1.0)[-1]
    low = taken(learned, (0.0, 0.0), 40, loss=2.0)[-1]
    assert learned.regret == pytest.approx(3.0, rel=0.05)  # 1 more of the first task, 2 · 1 of the second
    assert low < high


def test_regret_does_not_come_from_other_weights_of_the_tasks():
    learned = control()
    for step in range(20):
        learned.take((0.0, 0.0), [1.0, 1.0], [1.0 + step, 2.0], error=0.1)
    assert learned.regret == 0


def test_a_task_without_labels_in_a_batch_keeps_what_is_known_of_it():
    learned = control()
    for loss in (0.0, 3.0, 0.0, 3.0, 0.0):
        learned.take((0.0, 0.0), [1.0, loss], [1.0, 1.0], error=0.1)
        assert learned.regret == 0
    assert learned.losses == learned.lowest == pytest.approx([1.0, 3.0])


def test_layers_move_apart_and_their_mean_is_the_base():
    learned = control("layer")
    taken(learned, (0.0, 1e9), 50)
    assert learned.factors[0] > 1 > learned.factors[1]
    assert math.prod(learned.factors) == pytest.approx(1)
    assert learned.base == pytest.approx(1e-3)
    learned.before(0)
    weights = [bank.weights("none")[0].item() for bank in learned.proximal.banks]
    assert weights == pytest.approx(learned.factors)


def test_each_layer_comes_to_its_share_of_the_tolerance():
    learned = control("layer")
    for _ in range(2000):
        learned.take([2.0 * learned.factors[0], 8.0 * learned.factors[1]], [1.0], [1.0], error=0.1)
    strengths = [learned.base * factor for factor in learned.factors]
    assert strengths == pytest.approx([0.05 / 2, 0.05 / 8], rel=1e-2)


def test_a_user_may_change_the_base_at_any_time():
    learned = control()
    taken(learned, (0.0, 0.0), 3)
    learned.base = 7e-3
    learned.before(100)
    assert learned.proximal.strength == 7e-3


def test_the_refit_freezes_the_support_and_ends_the_learning():
    learned = control()
    assert learned.due(EVERY)
    assert not learned.due(EVERY + 1)
    assert not learned.due(SPAN)
    learned.before(SPAN)
    assert learned.proximal.strength == 0
    assert learned.proximal.support is not None
    assert learned.proximal.trace is None


def test_what_it_remembers_survives_json():
    one, other = control("layer"), control("layer")
    taken(one, (0.3, 0.7), 7)
    other.base = one.base
    other.restore(json.loads(json.dumps(one.state())))
    assert taken(one, (0.1, 5.0), 9, 1.1) == taken(other, (0.1, 5.0), 9, 1.1)
    assert one.state() == other.state()


@pytest.mark.parametrize("wrong", [{"tolerance": -1.0}, {"horizon": 0.5}, {"horizon": math.nan}])
def test_numbers_out_of_range_are_named(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
        control(**wrong)


def test_a_measurement_that_is_no_number_is_refused():
    with pytest.raises(ArithmeticError, match="held-out"):
        control().take((math.nan, 0.0), [1.0, 1.0], [1.0, 1.0], 0.1)
