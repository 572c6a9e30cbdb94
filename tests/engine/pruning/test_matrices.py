"""x W with a parameter W (inputs, outputs): a layer like any other, as in graph networks in plain torch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


class Matrices(nn.Module):
    """Parameters, and what to do with them."""

    def __init__(self, program: Callable[..., Tensor], **shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.program = program
        for name, shape in shapes.items():
            setattr(self, name, nn.Parameter(torch.randn(shape)))

    def forward(self, x: Tensor) -> Tensor:
        return self.program(self, x)


FLIPPED = {
    "matmul": lambda m, x: torch.relu(x @ m.w.T) @ m.v.mT,
    "addmm": lambda m, x: torch.addmm(m.b, x, m.w.t()).relu() @ m.v.transpose(0, 1),
    "linear": lambda m, x: F.linear((x @ m.w.t()).relu(), m.z.t()),
    "tied": lambda m, x: torch.relu(x @ m.w.T) @ m.w,
    "tied layers": lambda m, x: F.linear(F.linear(x, m.w, bias=m.b).relu(), weight=m.w.t()),
}


@pytest.mark.parametrize("name", FLIPPED)
def test_a_transposed_matrix_is_a_layer(name: str):
    torch.manual_seed(0)
    net = Matrices(FLIPPED[name], w=(6, 5), v=(3, 6), z=(6, 3), b=(6,)).double()
    with torch.no_grad():
        net.w[:2], net.b[:2], net.v[:, 2], net.z[2] = 0, 0, 0, 0
        net.w[2] = 0 if name.startswith("tied") else net.w[2]
        net.b[2] = 0
    found = compact(net, NODES)
    assert found.certificate.max_error_float64 <= 1e-10
    assert tuple(found.model.w.shape) == (3, 5)
    assert len(coupled_groups(net, NODES)) == 6


@pytest.mark.parametrize(
    "program",
    [
        lambda m, x: torch.relu(x @ m.w.T) + m.w.T.sum(0),
        lambda m, x: torch.relu(x @ m.w.T) @ (2 * m.w.T).T,
        lambda m, x: (torch.relu(x @ m.w.T), m.w.T),
        lambda m, x: (torch.relu(x @ m.w.T), m.w),
    ],
)
def test_a_matrix_that_is_used_in_two_ways_is_pinned_by_name(program: Callable[..., Tensor]):
    graph = trace(Matrices(program, w=(4, 5)), torch.randn(3, 5))
    pins = [pin for space in graph.spaces for pin in space.pins]
    assert "w: is a parameter used in two ways" in pins
    assert not any(space.removable for space in graph.spaces)


def test_an_einsum_on_tokens_is_a_layer():
    torch.manual_seed(0)
    program = lambda m, x: torch.einsum("bnd,de->bne", torch.einsum("bnc,dc->bnd", x, m.w).relu(), m.v)  # noqa: E731
    net = Matrices(program, w=(6, 5), v=(6, 3)).double()
    net.w.data[:2] = 0
    x = torch.randn(2, 4, 5, dtype=torch.float64)
    found = compact(net, x)
    assert found.certificate.max_error_float64 <= 1e-10
    assert (tuple(found.model.w.shape), tuple(found.model.v.shape)) == ((4, 5), (4, 3))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_columns_of_bags_go(mode: str):
    torch.manual_seed(0)
    net = nn.Sequential(nn.EmbeddingBag(9, 6, mode=mode), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        net[0].weight[:, :2], net[1].weight[:, 2] = 0, 0
        net[0].weight[:, 3] = 1.5  # a constant is summed as often as there are rows
    words = torch.randint(9, (3, 5))
    found = compact(net, words)
    assert found.certificate.max_error_float64 <= 1e-10
    assert (found.model[0].embedding_dim, tuple(found.model[1].weight.shape)) == (3, (4, 3))
    assert torch.allclose(found.model(words[:, :2]), net(words[:, :2]), rtol=0, atol=1e-10)


TAKEN = {
    "sliced": (lambda m, x: F.linear(x, m.w[:4]) @ m.v[:4], "w", "`getitem` takes it as a tensor"),
    "scaled": (lambda m, x: F.linear(x, 0.5 * m.w).relu() @ m.v, "w", "`mul` takes it as a tensor"),
    "repeated": (lambda m, x: (x[None] @ m.w.T.expand(1, -1, -1)).relu() @ m.v, "w", "`expand` takes it as a tensor"),
    "in a distance": (lambda m, x: torch.cdist(x, m.w).relu() @ m.v, "w", "`cdist` takes it as a tensor"),
    "memory": (lambda m, x: F.linear(x, m.w.data).relu() @ m.v, "w", "takes it as a tensor"),
    "unused": (lambda m, x: x @ m.w.T, "v", "no call uses it"),
    "written over": (lambda m, x: _written(x @ m.w.T) @ m.v, "relu_", "writes into memory that other tensors share"),
}


def _written(h: Tensor) -> Tensor:
    h[:, :3].relu_()
    return h


BIASES = {
    "addmm": lambda m, x: torch.addmm(m.b, x, m.w.T).relu() @ m.v,
    "linear": lambda m, x: F.linear(x, m.w, m.b).relu() @ m.v,
    "transposed": lambda m, x: torch.addmm(m.b, x, m.u).relu() @ m.v,
    "computed": lambda m, x: F.linear(x, m.w, 2 * m.b.expand(6)).relu() @ m.v,
}


@pytest.mark.parametrize(
    ("name", "shape"),
    [("addmm", (1,)), ("addmm", ()), ("addmm", (1, 6)), ("linear", (1,)), ("transposed", (1, 6)), ("computed", (1,))],
)
def test_a_bias_that_is_no_number_for_each_output_keeps_its_layer(name: str, shape: tuple[int, ...]):
    torch.manual_seed(0)
    net = Matrices(BIASES[name], w=(6, 5), u=(5, 6), v=(6, 3)).double()
    net.b = nn.Parameter(torch.randn(shape, dtype=torch.float64))
    weight = "u" if name == "transposed" else "w"
    with torch.no_grad():
        net.w[1], net.u[:, 1], net.v[1] = 0, 0, 0
    found = compact(net, NODES)
    assert torch.equal(found.model(NODES), net(NODES))
    words = "its bias must be a plain parameter" if name == "computed" else "give it a bias of one number for each"
    assert f"is not followed, so nothing of it goes: {words}" in found.certificate.pinned[weight]


@pytest.mark.parametrize("name", TAKEN)
def test_zeros_that_stay_are_named(name: str):
    program, place, words = TAKEN[name]
    torch.manual_seed(0)
    net = Matrices(program, w=(6, 5), v=(6, 3)).double()
    with torch.no_grad():
        net.w[1], net.v[1] = 0, 0
    found = compact(net, NODES)
    assert words in found.certificate.pinned[place]
    with torch.no_grad():
        net.w[1], net.v[1] = 1, 1
    assert place not in compact(net, NODES).certificate.pinned


def test_zeros_of_channels_that_are_one_to_an_operation_are_named():
    net = Matrices(lambda m, x: m.b(m.a(x @ m.w.T, x)), w=(5, 5)).double()
    net.a, net.b = nn.Bilinear(5, 5, 6, dtype=torch.float64), nn.Linear(6, 2, dtype=torch.float64)
    net.b.weight.data[:, 1] = 0
    assert compact(net, NODES).certificate.pinned == {"a.bilinear": "no layer makes it"}


def test_a_pixel_of_zeros_is_no_channel_that_an_operation_keeps():
    class Sampled(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            h = F.grid_sample(self[0](x), torch.zeros(len(x), 2, 2, 2, dtype=x.dtype), align_corners=False)
            return self[1](h.flatten(1))

    net, x = Sampled(nn.Conv2d(1, 3, 3), nn.Linear(12, 2)).double(), torch.randn(2, 1, 6, 6, dtype=torch.float64)
    net[1].weight.data[:, 5] = 0
    assert compact(net, x).certificate.pinned == {}


def test_a_bag_that_is_rescaled_as_it_is_read_stays():
    net = nn.Sequential(nn.EmbeddingBag(9, 6, max_norm=1.0), nn.Linear(6, 2)).double()
    net[1].weight.data[:, 2] = 0
    found = compact(net, torch.randint(9, (3, 5)))
    assert found.model[0].embedding_dim == 6
    assert found.certificate.pinned
