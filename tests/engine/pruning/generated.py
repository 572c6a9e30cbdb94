"""Programs drawn by hypothesis: layers, joins, modes, contexts, sizes, options and containers in any order.

A program is a list of steps over a list of values; every step is a plain function of torch, so that what is generated
is code as a researcher writes it. `Generated` runs it, and `silenced` zeros random groups of it.
"""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

Pair = namedtuple("Pair", "main extra")


@dataclass
class Result:
    """An output of a class of one's own."""

    main: Tensor
    extra: Tensor | None = None


class Output(OrderedDict):
    """As Hugging Face's."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class NormOfOnesOwn(nn.BatchNorm2d):
    """A batch norm that calls the function with its own mode, as timm's."""

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, self.eps
        )


class DropPath(nn.Module):
    """Stochastic depth by a branch on the mode."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (torch.rand(len(x), 1, 1, 1, dtype=x.dtype) < 0.5) / 0.5


LAYERS = {
    "conv": lambda c, d: (nn.Conv2d(c, d, 3, padding=1), d),
    "pointwise": lambda c, d: (nn.Conv2d(c, d, 1, bias=False), d),
    "depthwise": lambda c, d: (nn.Conv2d(c, c, 3, padding=1, groups=c), c),
    "norm": lambda c, d: (nn.BatchNorm2d(c), c),
    "own norm": lambda c, d: (NormOfOnesOwn(c), c),
    "instance norm": lambda c, d: (nn.InstanceNorm2d(c, affine=True), c),
    "group norm": lambda c, d: (nn.GroupNorm(1, c), c),
    "relu": lambda c, d: (nn.ReLU(inplace=False), c),
    "silu": lambda c, d: (nn.SiLU(), c),
    "dropout": lambda c, d: (nn.Dropout2d(0.3), c),
    "drop path": lambda c, d: (DropPath(), c),
    "channels last": lambda c, d: (nn.Linear(c, d), d),
}
PAIRS = ("add", "multiply", "concatenate", "add in place")
SINGLES = (
    "functional dropout", "bernoulli", "halves", "first part", "pool", "no grad", "pad if odd", "mean if large",
    "double the channels", "image by image", "half size", "scale", "number in a view", "flip", "global", "detach",
)  # fmt: skip
CONTAINERS = ("dict", "tuple", "nested", "dataclass", "named tuple", "ordered")


@st.composite
def programs(draw: st.DrawFn) -> dict[str, Any]:
    """Return the description of a network: steps with their operands, outputs, options."""
    kinds = st.sampled_from([*LAYERS, *LAYERS, *PAIRS, *SINGLES])
    steps = draw(
        st.lists(
            st.tuples(kinds, st.integers(0, 99), st.integers(0, 99), st.sampled_from((2, 4, 6))), min_size=3, max_size=9
        )
    )
    return {
        "steps": steps,
        "container": draw(st.sampled_from(CONTAINERS)),
        "auxiliary": draw(st.booleans()),  # an output of training mode only
        "option": draw(st.booleans()),  # an argument that is left out
        "seed": draw(st.integers(0, 2**16)),
        "share": draw(st.sampled_from((0.0, 0.3, 0.6))),
        "kind": draw(st.sampled_from(("coupled", "output", "input"))),
    }


class Generated(nn.Module):
    """The network of a description."""

    def __init__(self, described: dict[str, Any]) -> None:
        super().__init__()
        self.container, self.auxiliary, self.option = (described[key] for key in ("container", "auxiliary", "option"))
        self.layers, self.program, widths = nn.ModuleList(), [], [3, 6]
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        for kind, one, other, width in described["steps"]:
            self._step(kind, 1 + one % (len(widths) - 1), 1 + other % (len(widths) - 1), width, widths)
        self.heads = nn.ModuleDict({"main": nn.Conv2d(widths[-1], 2, 1), "extra": nn.Conv2d(widths[-1], 3, 1)})
        self.aux = nn.Conv2d(6, 2, 1)

    def _step(self, kind: str, a: int, b: int, width: int, widths: list[int]) -> None:
        c = widths[a]
        if kind in LAYERS:
            layer, after = LAYERS[kind](c, width)
            self.layers.append(layer)
            self.program.append((kind, len(self.layers) - 1, a, b))
            widths.append(after)
            return
        alike = kind == "concatenate" or widths[b] == c
        if (kind in PAIRS and not alike) or (kind in ("double the channels", "concatenate") and c + widths[b] > 24):
            return
        if kind == "halves" and c % 2:
            return
        self.program.append((kind, -1, a, b))
        after = {
            "concatenate": c + widths[b],
            "halves": c // 2,
            "first part": max(c - 1, 1),
            "double the channels": 2 * c,
        }
        widths.append(after.get(kind, c))

    def forward(self, x: Tensor, scale: float = 1.0, mask: Tensor | None = None) -> Any:
        values = [x, torch.relu(self.stem(x))]
        for kind, layer, a, b in self.program:
            values.append(self._value(kind, layer, values[a], values[b], x))
        last = values[-1] * scale if self.option else values[-1]
        if mask is not None:
            last = last * mask
        found = {name: head(last) for name, head in self.heads.items()}
        if self.auxiliary and self.training:
            found["aux"] = self.aux(values[1])
        return self._contained(found)

    def _contained(self, found: dict[str, Tensor]) -> Any:
        if self.container == "tuple":
            return tuple(found.values())
        if self.container == "nested":
            return {"dense": {"main": found.pop("main")}, "other": list(found.values())}
        if self.container == "dataclass":
            return Result(found["main"], found.get("aux", found["extra"]))
        if self.container == "named tuple":
            return Pair(found["main"], found.get("aux", found["extra"]))
        return Output(found) if self.container == "ordered" else found

    def _value(self, kind: str, layer: int, a: Tensor, b: Tensor, x: Tensor) -> Tensor:
        if kind == "channels last":
            return self.layers[layer](a.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        if kind in LAYERS:
            return self.layers[layer](a)
        if kind in PAIRS:
            return _joined(kind, a, b)
        return self._single(kind, a, x)

    def _single(self, kind: str, a: Tensor, x: Tensor) -> Tensor:
        batch, channels, height, width = a.shape
        if kind == "no grad":
            with torch.no_grad():
                return torch.tanh(a)
        found = {
            "functional dropout": lambda: F.dropout(a, 0.4, training=self.training),
            "bernoulli": lambda: (
                a * torch.bernoulli(torch.full((batch, 1, 1, 1), 0.5, dtype=a.dtype)) if self.training else a
            ),
            "halves": lambda: torch.mul(*a.chunk(2, 1)),
            "first part": lambda: a[:, : max(channels - 1, 1)],
            "pool": lambda: F.max_pool2d(a, 3, 1, 1),
            "pad if odd": lambda: F.pad(a, (0, 1, 0, 1))[..., :height, :width] if width % 2 else a,
            "mean if large": lambda: a - a.mean((2, 3), keepdim=True) if width > 9 else a,
            "double the channels": lambda: torch.cat([a, a.tanh()], 1),
            "image by image": lambda: torch.stack([image * 2 for image in a]),
            "half size": lambda: F.interpolate(F.avg_pool2d(a, 2), size=(int(x.shape[2]), int(x.shape[3]))),
            "scale": lambda: a / channels**0.5,
            "number in a view": lambda: a.reshape(batch, channels, -1).reshape(batch, -1, height, width),
            "flip": lambda: a.flip(1),
            "global": lambda: a * torch.sigmoid(a.mean((2, 3), keepdim=True)),
            "detach": lambda: a.detach() + a,
        }
        return found[kind]()


def _joined(kind: str, a: Tensor, b: Tensor) -> Tensor:
    if kind == "add in place":
        total = a.clone()
        total += b
        return total
    if kind == "concatenate":
        return torch.cat([a, b], 1)
    return a + b if kind == "add" else a * b


def generated(described: dict[str, Any]) -> tuple[nn.Module, Tensor]:
    """Return a network in float64 with generic norms, and an example of odd size."""
    torch.manual_seed(described["seed"])
    net = Generated(described).double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return net.eval(), torch.randn(2, 3, 7, 6, dtype=torch.float64)
