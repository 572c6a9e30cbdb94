"""x W with a parameter W (inputs, outputs): a layer like any other, as in graph networks in plain torch."""

import torch
from torch import Tensor, nn

from winnow.engine.graph.trace import trace
from winnow.engine.pruning import compact
from winnow.engine.sparsity.groups import banks, coupled_groups

NODES = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
EDGES = torch.rand(7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


class Convolution(nn.Module):
    """Graph convolution (Kipf and Welling 2017)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs)), nn.Parameter(torch.randn(outputs))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        return edges @ torch.mm(x, self.weight) + self.bias


class Graph(nn.Module):
    """Three of them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = Convolution(5, 8), Convolution(8, 6), Convolution(6, 3)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        return self.c(torch.relu(self.b(torch.relu(self.a(x, edges)), edges)), edges)


def test_channels_of_a_graph_network_go():
    torch.manual_seed(0)
    net = Graph().double()
    for bank in banks(coupled_groups(net, (NODES, EDGES))):
        bank.scale_((torch.arange(bank.channels) >= bank.channels // 2).double())
    found = compact(net, (NODES, EDGES))
    assert found.certificate.max_error_float64 <= 1e-10
    shapes = [tuple(layer.weight.shape) for layer in (found.model.a, found.model.b, found.model.c)]
    assert shapes == [(5, 4), (4, 3), (3, 3)]
    edges = torch.rand(4, 4, dtype=torch.float64)
    assert torch.allclose(found.model(NODES[:4], edges), net(NODES[:4], edges), rtol=0, atol=1e-10)


def test_a_matrix_that_is_used_in_two_ways_is_pinned_by_name():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(5, 4))

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x @ self.weight) @ self.weight.t()

    graph = trace(Tied(), torch.randn(3, 5))
    pins = [pin for space in graph.spaces for pin in space.pins]
    assert "weight: is a parameter used in two ways" in pins
    assert not any(space.removable for space in graph.spaces)
