"""Parameters and MACs by hand, functions and tied weights included."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.engine.pruning.test_compact import silenced
from winnow.engine.measure.counts import cost, macs, parameters
from winnow.engine.pruning import compact


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.weight = nn.Conv2d(3, 4, 3, padding=1), nn.Parameter(torch.randn(2, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(self.conv(x), self.weight)


def test_functions_count_too():
    net, x = Functional(), torch.randn(5, 3, 6, 6)
    assert macs(net, x) == (4 * 3 * 9 + 2 * 4) * 36
    assert parameters(net) == 4 * 3 * 9 + 4 + 8
    total = cost(net, x).set_index("component").loc["total"]
    assert (total.parameters, total.macs) == (parameters(net), macs(net, x))


def test_a_tied_weight_counts_once():
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    net[1].weight = net[0].weight
    assert parameters(net) == 16
    assert macs(net, torch.randn(2, 4)) == 32


def test_components_of_a_compact_network_sum_to_the_whole():
    net, x = silenced("ours basic", "input", 0.7)
    small = compact(net, x, gather="always").model
    frame = cost(small, x).set_index("component")
    assert frame.loc["total", "macs"] == frame.drop("total")["macs"].sum()
    assert frame.loc["total", "macs"] < macs(net, x)
