"""The counts agrees with zeros that are counted one by one."""

import copy

import pytest
import torch
from torch import nn

from winnow.engine.sparsity.counts import Counts, share_alive
from winnow.engine.sparsity.groups import Axis, Group, banks, input_groups


def test_percent_is_the_share_of_exact_zeros():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(6, 8, 3), nn.Conv2d(8, 4, 1))
    found = banks(input_groups(net))
    counts = Counts(net, found, {"0": 432.0, "1": 320.0})  # MACs at other sizes of the image than parameters
    alive = [torch.rand(bank.channels) > 0.4 for bank in found]
    for bank, mask in zip(found, alive, strict=True):
        bank.scale_(mask.float())
    zeros = [float((layer.weight == 0).float().mean()) for layer in net]
    assert counts.percent("group", alive) == pytest.approx(100 * float((~torch.cat(alive)).float().mean()))
    assert counts.percent("parameter", alive) == pytest.approx(100 * (432 * zeros[0] + 32 * zeros[1]) / 464, rel=1e-5)
    assert counts.percent("mac", alive) == pytest.approx(100 * (432 * zeros[0] + 320 * zeros[1]) / 752, rel=1e-5)


def test_percent_counts_an_entry_once_where_two_groups_hold_it():
    torch.manual_seed(0)
    first, second = nn.Linear(3, 5), nn.Linear(5, 4)
    outer = [Group("in", i, "coupled", (Axis(first.weight, 1),)) for i in range(3)]
    inner = [Group("mid", i, "coupled", (Axis(first.weight, 0), Axis(second.weight, 1))) for i in range(5)]
    found = banks(outer + inner)
    net = nn.Sequential(first, second)
    counts = Counts(net, found, {"0": 15.0, "1": 20.0})
    alive = [torch.tensor([True, False, True]), torch.tensor([True, True, False, False, True])]
    for bank, mask in zip(found, alive, strict=True):
        bank.scale_(mask.float())
    zeros = sum(int((layer.weight == 0).sum()) for layer in net)
    assert counts.percent("parameter", alive) == pytest.approx(100 * zeros / 35)


def test_banks_of_a_copy_are_refused():
    net = nn.Sequential(nn.Linear(3, 5))
    with pytest.raises(ValueError, match="`banks` must be those of `model`, got weights of another one in 0"):
        Counts(copy.deepcopy(net), banks(input_groups(net)), {"0": 15.0})


def test_macs_of_a_module_are_no_macs_of_its_weights_where_it_has_several():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.ones(5, 3)), nn.Parameter(torch.ones(2, 5))

    net = nn.Sequential(Two())
    groups = [Group(name, i, "input", (Axis(own, 1),)) for name, own in net.named_parameters() for i in range(3)]
    assert Counts(net, banks(groups), {"0": 25.0}).without_macs == ["0", "0"]
    assert Counts(net, banks(groups), {"0.a": 15.0, "0.b": 10.0}).without_macs == []


def test_share_alive_leaves_out_channels_that_are_no_groups():
    net = nn.Linear(4, 2)
    found = banks(input_groups(net)[:2])
    found[0].scale_(torch.tensor([0.0, 1.0, 1.0, 1.0]))
    assert share_alive(found, [bank.norms() for bank in found]) == 0.5


def test_percent_counts_a_parameter_whose_channels_lie_along_its_third_axis():
    torch.manual_seed(0)
    places, layer = nn.Parameter(torch.randn(1, 2, 5)), nn.Linear(5, 4)
    net = nn.Module()
    net.layer, net.places = layer, places
    found = banks([Group("mid", i, "coupled", (Axis(places, 2), Axis(layer.weight, 1))) for i in range(5)])
    counts = Counts(net, found, {"layer": 20.0})
    alive = [torch.tensor([True, True, False, False, True])]
    found[0].scale_(alive[0].float())
    zeros = int((places == 0).sum()) + int((layer.weight == 0).sum())
    assert zeros == 12
    assert counts.percent("parameter", alive) == pytest.approx(100 * zeros / 30)
