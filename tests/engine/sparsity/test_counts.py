"""The counts agrees with zeros that are counted one by one."""

import pytest
import torch
from torch import nn

from winnow.engine.sparsity.counts import Counts
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
