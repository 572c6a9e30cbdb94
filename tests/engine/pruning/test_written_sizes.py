"""Networks whose code writes sizes down: a program for every size serves them, and says what stays in it."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo.measuring import differences, gone, silence
from winnow.engine.export import NotDescribable, load_model, save_model
from winnow.engine.graph.calls import Call
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import NotTraceable, compact


def turned(x: Tensor) -> Tensor:
    """Return a quarter turn of each pair, as rotary embeddings take it."""
    one, other = x.chunk(2, -1)
    return torch.cat((-other, one), -1)


class Grouped(nn.Module):
    """A causal block of grouped queries: masks by arange and finfo, halves of the MLP by a number."""

    def __init__(self) -> None:
        super().__init__()
        self.queries, self.keys, self.values = nn.Linear(12, 16), nn.Linear(12, 8), nn.Linear(12, 8)
        self.out, self.up, self.down = nn.Linear(16, 12), nn.Linear(12, 32), nn.Linear(16, 12)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """Return (B, T, 12)."""
        batch, length, _ = x.shape
        queries, keys, values = (
            layer(x).view(batch, length, -1, 4).transpose(1, 2) for layer in (self.queries, self.keys, self.values)
        )
        queries, keys = (part * rotary[0] + turned(part) * rotary[1] for part in (queries, keys))
        keys, values = keys.repeat_interleave(2, 1), values.repeat_interleave(2, 1)
        places = torch.arange(length)
        weights = queries @ keys.transpose(-1, -2) / math.sqrt(4)
        weights = weights.masked_fill(places[:, None] < places, torch.finfo(weights.dtype).min).softmax(-1)
        x = x + self.out((weights @ values).transpose(1, 2).reshape(batch, length, -1))
        gate, up = self.up(x).split(16, -1)
        return x + self.down(functional.silu(gate) * up)


class Language(nn.Module):
    """Two blocks on tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(20, 12), nn.Linear(12, 20)
        self.blocks = nn.ModuleList(Grouped() for _ in range(2))
        self.register_buffer("turns", torch.tensor([1.0, 0.01]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, T, 20)."""
        angles = torch.outer(torch.arange(tokens.shape[1], dtype=self.turns.dtype), self.turns).repeat(1, 2)
        x = self.table(tokens)
        for block in self.blocks:
            x = block(x, (angles.cos(), angles.sin()))
        return self.last(x)


class Radix(nn.Module):
    """Split attention: two halves of a layer, weighed against each other, with `len` for the images."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.both = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1, groups=2)
        self.squeeze, self.excite, self.last = nn.Conv2d(6, 4, 1), nn.Conv2d(4, 12, 1), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2, H, W)."""
        found = torch.relu(self.both(torch.relu(self.stem(x))))
        parts = found.reshape(len(found), 2, 6, *found.shape[2:])
        gate = self.excite(torch.relu(self.squeeze(parts.sum(1).mean((2, 3), keepdim=True))))
        weights = gate.view(len(found), 1, 2, -1).transpose(1, 2).softmax(1).reshape(len(found), 2, 6, 1, 1)
        return self.last((parts * weights).sum(1))


class Shifted(nn.Module):
    """Thirds of the channels go three ways, before a group norm over all that are left."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 9, 1), nn.Conv2d(9, 8, 1)
        self.norm, self.last = nn.GroupNorm(1, 8), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2, H, W)."""
        parts = self.first(x).split(3, 1)
        moved = torch.cat([torch.roll(part, place - 1, 2) for place, part in enumerate(parts)], 1)
        return self.last(functional.gelu(self.norm(self.second(moved))))


class States(nn.Module):
    """The last states of a recurrent layer, told apart by a number."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.layer = nn.Linear(5, 6), nn.GRU(6, 8, 2, batch_first=True, bidirectional=True)
        self.last = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2)."""
        _, states = self.layer(torch.relu(self.first(x)))
        return self.last(states.view(2, 2, -1, 8)[-1].sum(0))


class Graph(nn.Module):
    """Sparse products: over the edges of an input, and over a matrix of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 5), nn.Linear(5, 2)
        self.register_buffer("own", (torch.eye(10) + torch.eye(10).roll(1, 0)).to_sparse())

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Return (N, 2)."""
        x = torch.sparse.mm(edges, torch.relu(self.first(x)))
        return self.last(torch.relu(self.second(self.own @ x)))


def images(count: int = 2, side: int = 6) -> tuple[Tensor, ...]:
    return (torch.randn(count, 3, side, side, dtype=torch.float64),)


def tokens(count: int = 2, length: int = 7) -> tuple[Tensor, ...]:
    return (torch.randint(20, (count, length)),)


def steps(count: int = 2, length: int = 4) -> tuple[Tensor, ...]:
    return (torch.randn(count, length, 5, dtype=torch.float64),)


def nodes(*_: int) -> tuple[Tensor, ...]:
    edges = torch.rand(10, 10, dtype=torch.float64)
    return torch.randn(10, 6, dtype=torch.float64), (edges * (edges > 0.6)).to_sparse()


NETS: dict[str, tuple[Callable[[], nn.Module], Callable[..., tuple[Tensor, ...]]]] = {
    "grouped queries": (Language, tokens),
    "radix": (Radix, images),
    "shifted": (Shifted, images),
    "sparse": (Graph, nodes),
}


@pytest.mark.parametrize("name", NETS)
def test_all_that_is_zero_goes_at_every_size(name: str) -> None:
    torch.manual_seed(0)
    make, inputs = NETS[name]
    net, given = make().double().eval(), Call(inputs())
    zero = silence(net, trace(net, given))
    found = compact(net, given, gather="never")
    assert len(zero) >= 5
    assert all(gone(found, space, channel) for space, channel in zero)
    others = [Call(inputs(1, 9)), Call(inputs(5, 3))]
    assert differences(net, found.model, others, training=False) < 1e-10
    assert differences(net, found.model, others, training=True) < 1e-10


@pytest.mark.parametrize("name", ["grouped queries", "shifted"])
def test_programs_are_saved_and_loaded(name: str, tmp_path) -> None:
    """With limits of types (`torch.finfo`), and norms of narrow streams in the program."""
    torch.manual_seed(0)
    make, inputs = NETS[name]
    net, given = make().double().eval(), Call(inputs())
    silence(net, trace(net, given))
    small = compact(net, given, gather="never").model
    save_model(tmp_path / "model", small, given)
    assert differences(small, load_model(tmp_path / "model"), [Call(inputs(3, 5))], training=False) == 0


def test_the_own_class_is_taken_where_a_program_keeps_more() -> None:
    """A program does not follow the recurrent layer, so that its own class loses more; what stays is named."""
    torch.manual_seed(0)
    net, given = States().double().eval(), Call(steps())
    with torch.no_grad():
        net.first.weight[:2], net.first.bias[:2] = 0, 0
        for name, parameter in net.layer.named_parameters():
            parameter.view(-1, 8, *parameter.shape[1:])[:, 0] = 0
            if name.startswith("weight_hh"):
                parameter[:, 0] = 0
    found = compact(net, given, gather="never")
    assert type(found.model) is States
    assert found.model.first.out_features == 4
    assert "view" in found.certificate.kept_for


def test_what_stays_in_a_program_is_named() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 1)
            self.third, self.last = nn.Conv2d(6, 4, 1), nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.second(torch.relu(self.first(x)).roll(2, 1)))
            return self.last(torch.relu(self.third(x)).view(len(x), 4, *x.shape[2:]))

    torch.manual_seed(0)
    net = Two().double().eval()
    with torch.no_grad():
        net.first.weight[4:], net.first.bias[4:], net.third.weight[:2], net.third.bias[:2] = 0, 0, 0, 0
    found = compact(net, images(), gather="never")
    assert found.model.third.out_channels == 2
    assert found.model.first.out_channels == 6
    assert "roll" in found.certificate.kept_for


def test_nested_tensors_are_refused_by_name() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(torch.nested.nested_tensor([x[:1], x]))).to_padded_tensor(0.0)

    with pytest.raises(NotTraceable, match="a nested tensor in the model itself: pad its parts"):
        compact(Nested(), torch.randn(3, 6))


def test_weights_of_hooks_are_refused_by_name(tmp_path) -> None:
    with pytest.warns(FutureWarning, match="weight_norm"):
        net = nn.Sequential(torch.nn.utils.weight_norm(nn.Linear(4, 3)), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(NotDescribable, match="got `0.weight`, which a hook computes before each pass"):
        save_model(tmp_path / "model", net, torch.randn(2, 4))
