"""A budget of time is met on a clock that tells the multiply-accumulates: the search, without the noise."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from winnow.engine.pruning.budget import Budget, choose
from winnow.engine.pruning.latency_budget import LatencySearch, Timed
from winnow.engine.pruning.pace import WARM_UP, Pace, time_ratio
from winnow.engine.pruning.ranking import Ranking
from winnow.engine.pruning.scores import norm_scores
from winnow.engine.pruning.units import units


def wide(side: int = 48) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 48, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(48, 48, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(48, 4, 1),
    ]
    return nn.Sequential(*layers).eval(), torch.randn(2, 3, side, side)


class Ideal(LatencySearch):
    """Times go with the 0.65th power of the multiply-accumulates."""

    def saved(self, count: int) -> float:
        ratio = (1 - self._macs(count) / 100) ** 0.65
        self.paces[count] = Pace(ratio, ratio, ratio)
        return 100 * (1 - ratio)


@pytest.mark.parametrize("percent", [20.0, 50.0, 80.0])
def test_few_tries_find_the_budget(percent: float):
    net, x = wide()
    found = units(net, x)
    ranking = Ranking(found, np.random.default_rng(0).random(len(found)))
    search = Ideal(found, ranking, Timed({"input": x}))
    low, high = search.bracket(percent)
    assert percent <= search.saved(high) <= percent + 3
    assert low < high
    assert len(search.paces) <= 7
    assert search.bracket(99.9) is None


def test_a_real_clock_is_kept_to_roughly():
    net, x = wide(80)  # large enough for all channels to save nine tenths of the time: 30 % are within reach
    found = units(net, x)
    choice = choose(found, norm_scores(found), Budget(30, "latency"), timed=Timed({"input": x}, rounds=9))
    assert choice.latency >= 30
    assert 0 < choice.shares.mac < 95


def test_time_ratio():
    """Each runs once a round, and the ratio is that of their times by the clock."""
    now = [0.0]

    def work(seconds: float) -> Callable[[], None]:
        return lambda: now.__setitem__(0, now[0] + seconds)

    assert time_ratio(work(1.0), work(2.0), 9, lambda: now[0]) == Pace(0.5, 0.5, 0.5)
    assert now[0] == 3.0 * (9 + WARM_UP)
