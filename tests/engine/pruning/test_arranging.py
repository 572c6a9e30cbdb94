"""Gathers that become slices: one order of a stream for several readers, proved like every compaction."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from winnow.engine.export import load_model, save_model
from winnow.engine.pruning import compact
from winnow.engine.pruning.arranging import side_by_side
from winnow.engine.pruning.selecting import Selecting


def possible(sets: list[set[int]], count: int) -> bool:
    def beside(own: set[int], order: tuple[int, ...]) -> bool:
        places = [order.index(one) for one in own]
        return not places or max(places) - min(places) + 1 == len(own)

    return any(all(beside(own, order) for own in sets) for order in permutations(range(count)))


@given(st.lists(st.sets(st.integers(0, 4), min_size=1), min_size=1, max_size=4))
def test_sets_are_served_whenever_an_order_exists(sets: list[set[int]]):
    named = {str(place): own for place, own in enumerate(sets)}
    order, served = side_by_side(named, 5)
    assert sorted(order.tolist()) == list(range(5))
    where = np.argsort(order)
    for name in served:
        places = where[list(named[name])]
        assert places.max() - places.min() + 1 == len(named[name])
    before: list[set[int]] = []
    for name, own in named.items():
        assert (name in served) == possible([*before, own], 5)
        before += [own] if name in served else []


class Stream(nn.Module):
    """A stream that three layers read, beside a sum with what one of them makes."""

    def __init__(self, norm: type[nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 10, 3, padding=1), norm(10), nn.ReLU())
        self.one, self.two = nn.Conv2d(10, 10, 3, padding=1), nn.Conv2d(10, 4, 1)
        self.three, self.after = nn.Conv2d(10, 4, 1), nn.Linear(10, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.stem(x)
        two, x = self.two(x), x + self.one(x).relu()
        return {"map": two + self.three(x), "number": self.after(x.mean((2, 3)))}


class Halves(Stream):
    """One whose stream is cut in two, which another order would change."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = super().forward(x)
        return found | {"half": self.stem(x)[:, :5].sum(1)}


def zeroed(net: Stream, **used: list[int]) -> Stream:
    with torch.no_grad():
        for layer, columns in used.items():
            weight = net.get_submodule(layer).weight
            weight[:, [one for one in range(10) if one not in columns]] = 0
    return net.eval()


USED = {"one": [0, 3, 7], "two": [3, 7, 9], "three": [1, 3, 4, 7], "after": [0, 1, 3, 4, 5, 7, 9]}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_readers_take_slices_of_a_stream_and_the_outputs_stay(layout: torch.memory_format):
    torch.manual_seed(0)
    net, x = zeroed(Stream(), **USED).to(memory_format=layout), torch.randn(2, 3, 6, 6)
    small = compact(net, x, gather="always")
    assert len(small.certificate.sliced) >= 2
    assert set(small.certificate.sliced) <= set(small.certificate.gathered)
    assert small.certificate.relative_error_float64 < 1e-10
    for name in small.certificate.sliced:
        layer = small.model.get_submodule(name)
        assert isinstance(layer, Selecting)
        assert (layer.index, layer.start is None) == (None, False)
    for name, expected in net(x).items():
        torch.testing.assert_close(small.model(x)[name], expected, rtol=1e-4, atol=1e-5)


def test_a_stream_that_is_cut_keeps_its_order():
    torch.manual_seed(0)
    small = compact(zeroed(Halves(), **USED), torch.randn(2, 3, 6, 6), gather="always").certificate
    assert small.gathered
    assert not small.sliced


def test_group_norms_follow_the_order():
    torch.manual_seed(0)
    net, x = zeroed(Stream(lambda width: nn.GroupNorm(2, width)), **USED), torch.randn(2, 3, 6, 6)
    small = compact(net, x, gather="always")
    assert small.certificate.relative_error_float64 < 1e-10


def test_a_smaller_network_with_slices_is_stored_and_trains(tmp_path):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6)
    small = compact(zeroed(Stream(), **USED), x, gather="always").model
    save_model(tmp_path, small, x)
    again = load_model(tmp_path)
    for name, expected in small(x).items():
        torch.testing.assert_close(again(x)[name], expected)
    small.train()(x)["map"].square().sum().backward()
    assert all(parameter.grad is not None for name, parameter in small.named_parameters() if "after" not in name)
