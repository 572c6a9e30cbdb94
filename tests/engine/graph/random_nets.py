"""Random programs: layers, sums, products, concatenations and splits in any order, a few of the results as outputs."""

import random
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Combine = Callable[[Tensor, Tensor], Tensor]
PAIRS: dict[str, Combine] = {
    "add": lambda a, b: a + b,
    "gate": lambda a, b: a * torch.sigmoid(b),
    "cat": lambda a, b: torch.cat([v.expand(-1, -1, *max(a.shape[2:], b.shape[2:])) for v in (a, b)], 1),
}
SINGLES: dict[str, Callable[[Tensor], Tensor]] = {
    "gated": lambda a: F.glu(a, 1),
    "flip": lambda a: a.flip(1),
    "centred": lambda a: a - a.mean((2, 3), keepdim=True),
    "twice": lambda a: torch.cat([a, a.tanh()], 1),
}


class RandomNet(nn.Module):
    """A list of (kind, layer or None, operands), drawn with a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.draw = random.Random(seed)
        self.layers = nn.ModuleList()
        self.program: list[tuple[str, int, tuple[int, ...]]] = []
        self.widths = [3]
        self._layer(nn.Conv2d(3, self.draw.choice((4, 6, 8)), 3, padding=1), 0)
        for _ in range(self.draw.randint(6, 14)):
            self._step(self.draw.randrange(1, len(self.widths)))
        ends = sorted({len(self.widths) - 1, self.draw.randrange(1, len(self.widths))})
        self.outputs = [self._layer(nn.Conv2d(self.widths[end], 2, 1), end) for end in ends]

    def _layer(self, layer: nn.Module, operand: int) -> int:
        self.layers.append(layer)
        self.program.append(("layer", len(self.layers) - 1, (operand,)))
        self.widths.append(getattr(layer, "out_channels", self.widths[operand]))
        return len(self.widths) - 1

    def _step(self, a: int) -> None:
        width = self.widths[a]
        even = 2 if width % 2 == 0 else 1
        layers = {
            "conv": lambda: nn.Conv2d(width, self.draw.choice((4, 6, 8)), 3, padding=1, bias=self.draw.random() < 0.5),
            "same": lambda: nn.Conv2d(width, width, 1),
            "depthwise": lambda: nn.Conv2d(width, width, 3, padding=1, groups=width),
            "grouped": lambda: nn.Conv2d(width, 8, 3, padding=1, groups=even),
            "shuffle": lambda: nn.ChannelShuffle(even),
            "norm": lambda: nn.BatchNorm2d(width),
            "act": lambda: self.draw.choice((nn.ReLU(), nn.SiLU(), nn.Hardsigmoid(), nn.PReLU(width))),
            "squeeze": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1)),
            "group norm": lambda: nn.GroupNorm(1, width),
        }
        kind = self.draw.choice([*layers, *PAIRS, *SINGLES, "conv", "act", "add"])
        if kind in layers:
            self._layer(layers[kind](), a)
        elif kind in PAIRS:
            alike = [i for i, other in enumerate(self.widths) if i and (other == width or kind == "cat")]
            b = self.draw.choice(alike)
            self.program.append((kind, -1, (a, b)))
            self.widths.append(width + self.widths[b] if kind == "cat" else width)
        elif (kind != "gated" or even == 2) and width < 16:
            self.program.append((kind, -1, (a,)))
            self.widths.append({"gated": width // 2, "twice": 2 * width}.get(kind, width))

    def forward(self, x: Tensor) -> list[Tensor]:
        values = [x]
        for kind, layer, operands in self.program:
            taken = [values[i] for i in operands]
            if kind == "layer":
                values.append(self.layers[layer](*taken))
            else:
                values.append((PAIRS | SINGLES)[kind](*taken))
        return [values[i] for i in self.outputs]


def random_net(seed: int) -> tuple[nn.Module, Tensor]:
    """Return a random net in float64 with generic norms, in evaluation mode, and an example."""
    torch.manual_seed(seed)
    net = RandomNet(seed).double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in ((module.running_mean, -0.5), (module.weight, 0.5), (module.bias, -0.5)):
                nn.init.uniform_(tensor, low, low + 1)
    return net.eval(), torch.randn(2, 3, 6, 6, dtype=torch.float64)
