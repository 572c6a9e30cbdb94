"""A model that ran is, to the byte, what it was; whatever its forward pass does to it."""

from collections import deque
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from tests.engine.graph.test_programs import digest
from winnow.engine.graph.preserving import Preserved, preserved
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.trace import trace


class Restless(nn.Module):
    """Changes all that it can."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
        self.register_buffer("passes", torch.zeros(()))
        self.register_buffer("kept", torch.zeros(4))
        self.register_buffer("none", None)
        self.plain, self.seen = torch.zeros(4), None
        self.cache: dict[str, Tensor] = {}
        self.lists = [[torch.zeros(1)], ()]
        self.queue, self.names = deque(maxlen=2), {"a"}
        self.other = SimpleNamespace(count=0, inner=SimpleNamespace(last=None))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.a(x))
        self.passes += 1
        self.kept = 0.9 * self.kept + y.detach().mean(0)
        self.none = y
        self.plain.add_(y.detach().mean(0))
        self.seen, self.fresh = y, y.sum()
        self.cache["y"] = y
        self.lists[0].append(y)
        self.lists[0][0] += 1
        self.queue.append(y)
        self.names.add("b")
        self.other.count += 1
        self.other.inner.last = y
        self.a.extra = 1
        self.a.weight.data.mul_(0.5)
        self.a.bias.data = self.a.bias.data + 1
        with torch.no_grad():
            self.norm.weight.add_(1)
        self.norm.momentum = 0.5
        return y


def test_a_model_is_what_it_was():
    net, x = Restless().train(), torch.randn(5, 3)
    net.a.eval()
    before, example = digest(net), x.clone()
    plain = net.plain.clone(), net.lists[0][0].clone()
    state = torch.get_rng_state()
    trace(net, x)
    assert digest(net) == before
    assert (torch.equal(net.plain, plain[0]), torch.equal(net.lists[0][0], plain[1])) == (True, True)
    assert (len(net.queue), net.names, net.other.count, net.other.inner.last) == (0, {"a"}, 0, None)
    assert not hasattr(net, "fresh")
    assert torch.equal(x, example)
    assert torch.equal(torch.get_rng_state(), state)
    torch.save(net.state_dict(), "/dev/null")


def test_an_example_that_the_model_writes_to_stays():
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2))
    x = torch.randn(4, 3)
    before = x.clone()
    trace(net, x)
    assert torch.equal(x, before)


def test_a_parameter_that_changes_unseen_is_refused():
    net = nn.Linear(3, 2)
    state = Preserved(net)
    with torch.no_grad():
        net.weight.add_(1)
    with pytest.raises(NotTraceable, match="a parameter that the forward pass changes"):
        state.restore()


@pytest.mark.parametrize("by_data", [False, True])
def test_a_parameter_that_is_written_into_is_taken_back_where_nothing_else_watches(by_data: bool):
    net = nn.Linear(3, 2)
    before = net.weight.detach().clone()
    with preserved(net) as state, torch.no_grad():
        (net.weight.data if by_data else net.weight[:1]).mul_(2)
    assert torch.equal(net.weight, before)
    assert list(state.rewritten) == ["weight"]


def test_an_error_leaves_the_model_too():
    class Failing(Restless):
        def forward(self, x: Tensor) -> Tensor:
            super().forward(x)
            raise RuntimeError("in the middle")

    net = Failing()
    before = digest(net)
    with pytest.raises(RuntimeError, match="in the middle"):
        trace(net, torch.randn(5, 3))
    assert digest(net) == before
