"""The peak of a forward pass, against sums by hand."""

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.measure.memory import peak_memory

FLOAT = 4
X = torch.randn(2, 3, 8, 8)
IMAGE = 2 * 64 * FLOAT  # bytes of one channel of the two images


class Steps(nn.Module):
    """A function of a layer, to be written out."""

    def __init__(self, program) -> None:
        super().__init__()
        self.program = program
        self.conv = nn.Conv2d(3, 4, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.program(self, x)


WEIGHTS = 12 * FLOAT
PROGRAMS = {
    "one layer": (lambda m, x: m.conv(x), 3 + 4),
    "the layer's result beside its activation": (lambda m, x: torch.relu(m.conv(x)), 3 + 4 + 4),
    "in place": (lambda m, x: torch.relu_(m.conv(x)), 3 + 4),
    "what is let go of does not count": (lambda m, x: m.conv(x).mean(1, keepdim=True).exp().exp(), 3 + 4 + 1),
    "a view costs nothing": (lambda m, x: m.conv(x).flatten(1)[:, :5].t(), 3 + 4),
    "two that live at once": (lambda m, x: (m.conv(x), m.conv(x), m.conv(x))[0], 3 + 12),
    "one after the other": (lambda m, x: [float(m.conv(x).sum()) for _ in range(3)], None),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_by_hand(name: str):
    program, channels = PROGRAMS[name]
    expected = IMAGE * 7 + FLOAT if channels is None else IMAGE * channels  # the sum beside it
    assert peak_memory(Steps(program), X) == WEIGHTS + expected


def test_a_skip_connection_keeps_its_source_alive():
    plain = nn.Sequential(*(nn.Conv2d(4, 4, 1, bias=False) for _ in range(3)))

    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = plain

        def forward(self, x: Tensor) -> Tensor:
            y = x + 1
            return y + self.body(y)

    x = torch.randn(1, 4, 10, 10)
    one, weights = 4 * 100 * FLOAT, 3 * 16 * FLOAT
    assert peak_memory(plain, x) == weights + one + 2 * one
    assert peak_memory(Skip(), x) == weights + one + 3 * one


def test_buffers_and_blocks_that_are_shared():
    net = nn.Sequential(nn.BatchNorm2d(3))
    whole = torch.randn(4, 3, 8, 8)
    buffers = 3 * 4 * FLOAT + 8  # γ, β, mean, variance; the count
    found = peak_memory(net, whole[:2])  # half of a block, which lives as a whole
    assert found == buffers + whole.numel() * FLOAT + 6 * 64 * FLOAT


def test_the_model_is_left_alone():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout()).train()
    mean = net[1].running_mean.clone()
    peak_memory(net, X)
    assert net[1].training
    assert torch.equal(net[1].running_mean, mean)
