"""Weights of several axes in one product: batched experts, weights of an einsum; and products that nothing reads."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo.measuring import differences, gone, silence
from winnow.engine.graph.calls import Call
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import compact
from winnow.engine.sparsity.groups.coupled import coupled_groups


class Experts(nn.Module):
    """Experts in one weight (E, inputs, outputs), as bmm, matmul or einsum takes it."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.first, self.gate, self.last = nn.Linear(5, 6), nn.Linear(6, 3), nn.Linear(6, 2)
        self.up, self.down = nn.Parameter(torch.randn(3, 6, 8) * 0.3), nn.Parameter(torch.randn(3, 8, 6) * 0.3)
        self.bias = nn.Parameter(torch.randn(3, 1, 8) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2)."""
        read = functional.relu(self.first(x))
        share = self.gate(read).softmax(-1)
        if self.way == "bmm":
            hidden = torch.bmm(read[None].expand(3, -1, -1), self.up) + self.bias
            given = torch.bmm(functional.gelu(hidden), self.down)
        elif self.way == "matmul":
            given = functional.gelu(read[None] @ self.up + self.bias) @ self.down
        else:
            hidden = torch.einsum("bi,eih->beh", read, self.up) + self.bias.squeeze(1)
            given = torch.einsum("beh,eho->ebo", functional.gelu(hidden), self.down)
        return self.last((given * share.t().unsqueeze(-1)).sum(0))


class GatedExperts(nn.Module):
    """Two halves of one weight: half of a hidden unit's outputs gates the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 6), nn.Linear(6, 2)
        self.up, self.down = nn.Parameter(torch.randn(3, 6, 16) * 0.3), nn.Parameter(torch.randn(3, 8, 6) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2)."""
        gate, up = torch.bmm(self.first(x).repeat(3, 1).view(3, -1, 6), self.up).chunk(2, -1)
        return self.last(torch.bmm(up * functional.silu(gate), self.down).sum(0))


class Unread(nn.Module):
    """Multiplies channels by channels, spreads them over one another, and nothing comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2)."""
        one = torch.relu(self.first(x))
        other = torch.relu(self.second(one))
        _ = one.t() @ one, one[:, :, None] * other[:, None, :], one[:, :, None] + one[:, None, :]
        return self.last(other)


class Grid(nn.Module):
    """Samples at places that it computes with meshgrid."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2, H, W)."""
        rows, columns = (torch.linspace(-1, 1, n, dtype=x.dtype) for n in x.shape[-2:])
        y, x_ = torch.meshgrid(rows, columns, indexing="ij")
        return self.last(torch.relu(self.first(x)) * (y * x_))


class Translates(nn.Module):
    """A torch.nn.Transformer on streams that layers of the model make."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target, self.last = nn.Linear(5, 8), nn.Linear(5, 8), nn.Linear(8, 2)
        self.pair = nn.Transformer(8, 2, 1, 1, 12, dropout=0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, 2)."""
        mask = self.pair.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype)
        return self.last(self.pair(self.source(x), self.target(x), tgt_mask=mask, tgt_is_causal=True))


ROW = ((2, 5), (1, 5), (4, 5))
NETS = {
    "bmm": (lambda: Experts("bmm"), ROW),
    "matmul": (lambda: Experts("matmul"), ROW),
    "einsum": (lambda: Experts("einsum"), ROW),
    "gated": (GatedExperts, ROW),
    "unread": (Unread, ROW),
    "meshgrid": (Grid, ((2, 3, 6, 6), (1, 3, 9, 7), (3, 3, 4, 4))),
    "transformer": (Translates, ((2, 4, 5), (1, 7, 5), (3, 4, 5))),
}


@pytest.mark.parametrize("name", NETS)
def test_all_that_is_zero_goes(name: str) -> None:
    """Half of all groups are zero: every one goes, and the outputs stay, at other batches and in training mode too."""
    torch.manual_seed(0)
    make, shapes = NETS[name]
    net = make().double().eval()
    given = [Call((torch.randn(shape, dtype=torch.float64),)) for shape in shapes]
    graph = trace(net, given[0])
    assert not graph.pinned or name == "unread"
    zero = silence(net, graph)
    found = compact(net, given[0], gather="never")
    assert len(zero) >= 3
    assert all(gone(found, space, channel) for space, channel in zero)
    assert differences(net, found.model, given[1:], training=False) < 1e-10
    assert differences(net, found.model, given[1:], training=True) < 1e-10


def test_hidden_units_of_experts_are_groups() -> None:
    """A hidden unit is one group over all experts: its columns, its biases and its rows."""
    net = Experts("bmm").double()
    groups = coupled_groups(net, torch.randn(2, 5, dtype=torch.float64))
    hidden = [group for group in groups if any(member.parameter is net.bias for member in group.members)]
    assert len(hidden) == 8
    assert all({id(m.parameter) for m in group.members} == {id(net.up), id(net.bias), id(net.down)} for group in hidden)


def test_a_unit_of_one_expert_stays() -> None:
    """A weight is one block: a unit that is zero in one expert alone is used by the others."""
    torch.manual_seed(0)
    net = Experts("einsum").double()
    with torch.no_grad():
        net.down[1, 2] = 0
        net.down[:, 5] = 0
    small = compact(net, torch.randn(3, 5, dtype=torch.float64), gather="never").model
    assert tuple(small.up.shape) == (3, 6, 7)
