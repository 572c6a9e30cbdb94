"""Times in turns: order, spread, threads, and requests that are refused."""

import math

import pytest
import torch
from torch import nn

from winnow.engine.measure.timing import STEADY, Seconds, Timing, in_turns, latency

NET, X = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.randn(2, 3, 8, 8)


def test_every_round_runs_everyone_in_an_order_that_rotates():
    order: list[str] = []

    def run(name: str) -> None:
        if not order or order[-1] != name:
            order.append(name)
        math.factorial(2000)

    told: list[tuple[int, int]] = []
    runners = {name: (lambda name=name: run(name)) for name in "abc"}
    found = in_turns(runners, Timing(3, 1e-3), lambda done, rounds: told.append((done, rounds)))
    assert "".join(order) == "abcbcacab"
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert all(0 < seconds.p10 <= seconds.median <= seconds.p90 for seconds in found.values())


def test_a_slower_one_is_slower():
    runners = {size: (lambda size=size: math.factorial(size)) for size in (500, 5000)}
    found = in_turns(runners, Timing(5, 1e-3))
    assert found[5000].median > 5 * found[500].median


def test_latency_tells_batches_spread_and_threads():
    before, net = torch.get_num_threads(), NET.train()
    frame = latency(net, X, batches=(1, 3), rounds=3, threads=1)
    assert list(frame.columns) == ["batch", "median", "p10", "p90", "threads", "steady"]
    assert list(frame["batch"]) == [1, 3]
    assert set(frame["threads"]) == {1}
    assert (frame["p10"] <= frame["median"]).all()
    assert torch.get_num_threads() == before
    assert net.training


def test_a_busy_machine_is_named():
    assert Seconds(1.0, 1.0, STEADY).steady
    assert not Seconds(1.0, 1.0, STEADY + 0.01).steady


@pytest.mark.parametrize(
    "options",
    [{"rounds": 2}, {"rounds": 2.5}, {"threads": 0}, {"threads": True}, {"seconds": 0}, {"seconds": math.inf}],
)
def test_what_cannot_be_measured_is_refused(options: dict[str, float]):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        Timing(**options)


@pytest.mark.parametrize("size", [0, 1.5, True])
def test_batches_are_numbers_of_images(size: float):
    with pytest.raises(ValueError, match="`batches` must be whole numbers"):
        latency(NET, X, batches=(size,))
