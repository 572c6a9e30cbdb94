"""Columns of tables are channels: embeddings, tables of places used in part, class tokens, graphs of neighbours."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.measuring import differences, gone, silence
from winnow.engine.graph.calls import Call
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import compact

WIDTH = 6
Program = Callable[[nn.Module, Tensor], Tensor]


class Words(nn.Module):
    """A table of words, and what a program does with the tokens."""

    def __init__(self, program: Program, **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.program, self.words, self.norm = program, nn.Embedding(11, WIDTH), nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 3)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, words: Tensor) -> Tensor:
        return self.program(self, words)


def tied() -> nn.Module:
    return Words(lambda m, w: F.linear(m.norm(m.words(w)), m.words.weight))


def padded() -> nn.Module:
    return Words(lambda m, w: m.head(m.other(w).sum(1)), other=nn.Embedding(11, WIDTH, padding_idx=0))


def as_function() -> nn.Module:
    return Words(lambda m, w: m.head(F.embedding(w, m.words.weight) + F.embedding(w % 3, m.words.weight)))


def places_in_part() -> nn.Module:
    table = nn.Parameter(torch.randn(20, WIDTH))
    return Words(lambda m, w: m.head(m.norm(m.words(w) + m.place[: w.shape[1]])), place=table)


def class_tokens() -> nn.Module:
    def program(m: nn.Module, w: Tensor) -> Tensor:
        x = torch.cat([m.first.expand(len(w), -1, -1), m.words(w)], 1)
        return m.head(m.norm(x)[:, :3])

    return Words(program, first=nn.Parameter(torch.randn(1, 2, WIDTH)))


def chosen_by_layers() -> nn.Module:
    """The index is computed: what computes it stays."""
    return Words(
        lambda m, w: m.head(m.words(m.look(m.other(w)).argmax(-1))), other=nn.Embedding(11, 5), look=nn.Linear(5, 11)
    )


def rows_in_use() -> nn.Module:
    """The rows are the units of a hidden layer too: none of them may go, or the indices would be others."""
    return Words(lambda m, w: m.head(F.linear(m.words(w), m.words.weight).relu() @ m.words.weight))


MAKERS = (tied, padded, as_function, places_in_part, class_tokens, chosen_by_layers)
PROGRAMS = {maker.__name__: (maker, WIDTH) for maker in MAKERS} | {"rows_in_use": (rows_in_use, 0)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_zero_columns_go_and_nothing_else_changes(name: str):
    maker, least = PROGRAMS[name]
    torch.manual_seed(0)
    net, call = maker().double().eval(), Call((torch.randint(11, (2, 5)),))
    graph = trace(net, call)
    assert sum(len(space.channels) for space in graph.spaces if space.removable) >= least
    zero = silence(net, graph)
    found = compact(net, call, gather="never")
    assert all(gone(found, space, channel) for space, channel in zero)
    others = [Call((torch.randint(11, shape),)) for shape in ((1, 5), (4, 5), (3, 9), (2, 1))]
    assert differences(net, found.model, others, training=False) <= 1e-10


def test_a_table_that_is_rescaled_as_it_is_read_stays():
    net = nn.Sequential(nn.Embedding(11, WIDTH, max_norm=1.0), nn.Linear(WIDTH, 3)).double()
    with torch.no_grad():
        net[0].weight[:, 0], net[1].weight[:, 0] = 0, 0
    graph = trace(net, torch.randint(11, (2, 5)))
    assert not any(space.removable for space in graph.spaces)
    assert "0.weight" not in {site.parameter for site in graph.sites}


class Neighbours(nn.Module):
    """A layer of a graph net: the matrix of neighbours is an input, or learned."""

    def __init__(self, learned: bool) -> None:
        super().__init__()
        self.lift, self.head = nn.Linear(4, WIDTH), nn.Linear(WIDTH, 2)
        self.own = nn.Parameter(torch.rand(7, 7)) if learned else None

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        edges = edges if self.own is None else edges * self.own.softmax(-1)
        return self.head(torch.relu(edges @ self.lift(nodes)))


@pytest.mark.parametrize("learned", [False, True])
def test_features_of_nodes_are_channels(learned: bool):
    torch.manual_seed(0)
    net, sizes = Neighbours(learned).double(), ((2, 7), (1, 7), (3, 7)) if learned else ((2, 7), (1, 4), (3, 9))
    calls = [Call((torch.randn(b, n, 4).double(), torch.rand(b, n, n).double())) for b, n in sizes]
    graph = trace(net, calls[0])
    zero = silence(net, graph)
    assert len(zero) == WIDTH // 2
    found = compact(net, calls[0], gather="never")
    assert all(gone(found, space, channel) for space, channel in zero)
    assert differences(net, found.model, calls, training=False) <= 1e-10


class Products(nn.Module):
    """Layers written as products with parameters, as GPT-2's: `x @ W + b`, or `addmm(b, x, W)`."""

    def __init__(self, added: bool) -> None:
        super().__init__()
        self.added, self.head = added, nn.Linear(5, 2)
        self.w, self.b = nn.Parameter(torch.randn(4, WIDTH)), nn.Parameter(torch.randn(WIDTH))
        self.v, self.c = nn.Parameter(torch.randn(WIDTH, 5)), nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        if not self.added:
            return self.head(torch.relu(torch.relu(x @ self.w + self.b) @ self.v + self.c))
        y = torch.relu(torch.addmm(self.b, x.view(-1, x.size(-1)), self.w))
        return self.head(torch.relu(torch.addmm(self.c, y, self.v)).view(*x.shape[:-1], self.c.shape[0]))


@pytest.mark.parametrize("added", [False, True])
def test_a_product_with_a_parameter_is_a_layer(added: bool):
    torch.manual_seed(0)
    net = Products(added).double().eval()
    calls = [Call((torch.randn(*shape, 4).double(),)) for shape in ((2, 3), (1, 3), (4, 3), (2, 5))]
    graph = trace(net, calls[0])
    zero = silence(net, graph)
    assert len(zero) >= WIDTH // 2
    found = compact(net, calls[0], gather="never")
    assert all(gone(found, space, channel) for space, channel in zero)
    assert differences(net, found.model, calls, training=False) <= 1e-10


class Adapted(nn.Module):
    """A weight that is computed of two factors (Hu et al. 2022): what is made of parameters alone is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lift, self.head = nn.Linear(4, WIDTH), nn.Linear(WIDTH, 3)
        self.one, self.other = nn.Parameter(torch.randn(WIDTH, 2)), nn.Parameter(torch.randn(2, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(F.linear(torch.relu(self.lift(x)), self.one @ self.other)))


def test_a_computed_weight_is_no_layer():
    torch.manual_seed(0)
    net, x = Adapted().double().eval(), torch.randn(3, 4).double()
    silence(net, trace(net, x))
    found = compact(net, x, gather="never")
    others = [Call((torch.randn(n, 4).double(),)) for n in (1, 5)]
    assert differences(net, found.model, others, training=False) <= 1e-10
