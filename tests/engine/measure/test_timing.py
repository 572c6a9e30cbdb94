"""Times in turns: order, spread, threads, and requests that are refused."""

import math

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.measure.comparison import compare
from winnow.engine.measure.memory import peak_memory
from winnow.engine.measure.roofline import layer_costs
from winnow.engine.measure.timing import STEADY, Seconds, Timing, in_turns, latency
from winnow.engine.pruning.pace import pace

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


class Storing(nn.Module):
    """A pass counts in a buffer, replaces another, keeps its features, and shortens rows of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last, self.kept = nn.Embedding(4, 3, max_norm=0.1), nn.Linear(3, 2), list[Tensor]()
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("center", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.table(x.long().clamp(0, 3))
        self.count += 1
        self.center = 0.9 * self.center + h.detach().mean(0)
        self.kept.append(h)
        return self.last(h - self.center)


MEASURES = {
    "peak memory": lambda net, x: peak_memory(net, x),
    "latency": lambda net, x: latency(net, x, batches=(2,), rounds=3),
    "pace": lambda net, x: pace(net, net, {"x": x}, rounds=1),
    "compare": lambda net, x: compare({"a": net}, x, batches=(1,), backends=["eager"], timing=Timing(3, 1e-4)),
    "layer costs": lambda net, x: layer_costs({"a": net}, {"a": {"x": x}}, threads=1, rounds=1),
}


@pytest.mark.parametrize("name", MEASURES)
def test_what_measured_passes_store_is_taken_back(name: str):
    torch.manual_seed(0)
    net = Storing().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    MEASURES[name](net, torch.tensor([0.0, 1.0, 3.0]))
    assert net.training
    assert net.kept == []
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not net.center.is_inference()
