"""Programs as people write them: modes, options, containers, contexts, writing in place, state, unknown operations.

A program is a list of (kind, number) genes. Every value is a map (B, C, H, W) of any H and W; channel counts are taken
from the tensors, never written as numbers, so that a model with fewer channels can run as it is.
"""

import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.checkpoint import checkpoint

from winnow.engine.graph.calls import Call

WIDTH = 6
Gene = tuple[str, int]


@dataclass
class Fields:
    main: Tensor
    rest: dict[str, Tensor] = field(default_factory=dict)


class OutputLike(OrderedDict):
    """As Hugging Face's outputs."""


@dataclass
class FieldsOfADict(dict):
    main: Tensor
    rest: dict[str, Tensor]


Pair = namedtuple("Pair", "main rest")
CONTAINERS: list[Callable[[Tensor, dict[str, Tensor]], object]] = [
    lambda main, rest: {"main": main, **rest},
    lambda main, rest: (main, list(rest.values())),
    Fields,
    FieldsOfADict,
    Pair,
    lambda main, rest: OutputLike(main=main, rest=rest),
    lambda main, rest: main,
]


class Doubled(torch.autograd.Function):
    """A custom function."""

    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        return 2 * gradient


def _scripted(x: Tensor) -> Tensor:
    return torch.tanh(x) + 0.5 * x


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", FutureWarning)  # from torch 2.14 on
    scripted = torch.jit.script(_scripted)


class FunctionalNorm(nn.BatchNorm2d):
    """A norm that calls F.batch_norm, as timm's."""

    def forward(self, x: Tensor) -> Tensor:
        momentum = self.momentum or 0.1
        args = (self.running_mean, self.running_var, self.weight, self.bias, self.training, momentum, self.eps)
        return F.relu(F.batch_norm(x, *args))


class Standardised(nn.Conv2d):
    """A convolution whose weight is computed, as in NFNets."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


def _tokens(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(len(x), -1, *x.shape[2:])


def _added_in_place(x: Tensor, y: Tensor) -> Tensor:
    out = x.clone()
    out += y
    return out


def _index_added(x: Tensor, y: Tensor) -> Tensor:
    order = torch.arange(x.shape[3] - 1, -1, -1)
    return x.clone().index_add_(3, order, y)


def _view_written(x: Tensor, y: Tensor) -> Tensor:
    out = x.clone()
    part = out[:, :, : x.shape[2] // 2]
    part.mul_(2.0).add_(y[:, :, : x.shape[2] // 2])
    return out * part.mean((2, 3), keepdim=True)


def _assigned(x: Tensor, y: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    out[:, :, ::2] = y[:, :, ::2]
    out[:, :, 1::2] = 0.5
    return out + x


def _copied(x: Tensor, y: Tensor) -> Tensor:
    out = torch.empty_like(x)
    out[..., 1:].copy_(y[..., 1:])
    out[..., :1].fill_(0.25)
    return out


def _stale_view(x: Tensor, y: Tensor) -> Tensor:
    base = x.clone()
    view = base.transpose(2, 3)
    base.copy_(y)
    return view.transpose(2, 3) + x


def _ordered(x: Tensor, y: Tensor) -> Tensor:
    order = y.mean((0, 1, 2)).argsort()
    return x[..., order]


def _half_of_the_channels(x: Tensor, y: Tensor) -> Tensor:
    return torch.cat([y[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]], 1)


def _channels_by_value(x: Tensor, y: Tensor) -> Tensor:
    return x[:, y.mean((0, 2, 3)).argsort()]


def _out_argument(x: Tensor, y: Tensor) -> Tensor:
    out = torch.empty_like(x)
    torch.add(x, y, out=out)
    return out


def _numpy_free_loop(x: Tensor) -> Tensor:
    return torch.stack([x[i] * (i + 1.0) for i in range(x.shape[0])])


def _by_number(x: Tensor) -> Tensor:
    return x * x.shape[1] ** -0.5


def _mean_by_hand(x: Tensor) -> Tensor:
    return x - x.sum(1, keepdim=True) / x.shape[1]


def _padded_if_odd(x: Tensor) -> Tensor:
    if x.shape[-1] % 2:
        return F.pad(x, (0, 1, 0, 0))[..., : x.shape[-1]]
    return x + 0.1


def _half(x: Tensor) -> Tensor:
    small = F.interpolate(x, size=(int(x.shape[2] / 2), max(x.shape[3] // 2, 1)))
    return F.interpolate(small, size=x.shape[2:])


def _frozen(x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.sigmoid(x) * x


def _low(x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return x.exp().clamp(max=3.0)


def _pooled_back(x: Tensor) -> Tensor:
    if min(x.shape[2:]) < 2:
        return x
    values, places = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(values, places, 2, output_size=x.shape[2:])


def _sampled(x: Tensor) -> Tensor:
    across = torch.linspace(-1, 1, x.shape[3], dtype=x.dtype).expand(len(x), x.shape[2], -1)
    return F.grid_sample(x, torch.stack([across, across], -1), align_corners=False)


SINGLES: dict[str, Callable[[Tensor], Tensor]] = {
    "custom function": Doubled.apply,
    "scripted": scripted,
    "checkpoint": lambda x: checkpoint(lambda y: y.cos() * y, x, use_reentrant=False),
    "no grad": _frozen,
    "autocast": _low,
    "loop": _numpy_free_loop,
    "number": _by_number,
    "mean by hand": _mean_by_hand,
    "if odd": _padded_if_odd,
    "half": _half,
    "unpool": _pooled_back,
    "grid sample": _sampled,
    "cummax": lambda x: x.cummax(3)[0],
    "cummax channels": lambda x: x.cummax(1)[0],
    "fft": lambda x: torch.fft.rfft(x, dim=1).abs().mean(1, keepdim=True) + x,
    "relu in place": lambda x: (x * 1.0).relu_(),
    "shuffled axes": lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
    "spatial softmax": lambda x: x.flatten(2).softmax(2).view_as(x) * x,
    "windows": lambda x: x.unfold(3, 1, 1).squeeze(-1) * 1.5,
    "top": lambda x: x + x.topk(1, dim=3)[0],
}
PAIRS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "in place": _added_in_place,
    "index add": _index_added,
    "view": _view_written,
    "assigned": _assigned,
    "copied": _copied,
    "stale view": _stale_view,
    "ordered": _ordered,
    "expand as": lambda x, y: x * y.mean(1, keepdim=True).expand_as(x) + torch.ones(1, 1, 1, 1).expand_as(y),
    "half of the channels": _half_of_the_channels,
    "channels by value": _channels_by_value,
    "out": _out_argument,
    "attention": lambda x, y: ((x.flatten(2) @ y.flatten(2).mT).softmax(-1) @ x.flatten(2).tanh()).view_as(x),
}
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
    "depthwise": lambda: nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH),
    "linear": lambda: nn.Linear(WIDTH, WIDTH),
    "norm": lambda: nn.BatchNorm2d(WIDTH),
    "batch statistics": lambda: nn.BatchNorm2d(WIDTH, track_running_stats=False),
    "instance norm": lambda: nn.InstanceNorm2d(WIDTH, affine=True, track_running_stats=True),
    "functional norm": lambda: FunctionalNorm(WIDTH),
    "standardised": lambda: Standardised(WIDTH, WIDTH, 3, padding=1),
    "weight norm": lambda: weight_norm(nn.Conv2d(WIDTH, WIDTH, 1)),
    "layer norm": lambda: nn.LayerNorm(WIDTH),
    "lstm": lambda: nn.LSTM(WIDTH, WIDTH, batch_first=True),
    "mha": lambda: nn.MultiheadAttention(WIDTH, 2, batch_first=True),
    "hooked": lambda: nn.Conv2d(WIDTH, WIDTH, 1),
    "drop path": lambda: nn.Conv2d(WIDTH, WIDTH, 1),
    "state": lambda: nn.Conv2d(WIDTH, WIDTH, 1),
    "option": lambda: nn.Conv2d(WIDTH, WIDTH, 1),
    "training only": lambda: nn.Conv2d(WIDTH, WIDTH, 1),
    "aux": lambda: nn.Conv2d(WIDTH, 2, 1),
    "tied": lambda: nn.Linear(WIDTH, WIDTH, bias=False),
}
KINDS = [*SINGLES, *PAIRS, *LAYERS]


class RandomProgram(nn.Module):
    """Runs its genes in order, each on the last value or an earlier one."""

    def __init__(self, genes: list[Gene], container: int) -> None:
        super().__init__()
        self.genes, self.container = genes, CONTAINERS[container % len(CONTAINERS)]
        self.stem, self.head = nn.Conv2d(3, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, 2, 1)
        self.layers = nn.ModuleDict({str(i): LAYERS[kind]() for i, (kind, _) in enumerate(genes) if kind in LAYERS})
        for place, (kind, _) in enumerate(genes):
            if kind == "hooked":
                self.layers[str(place)].register_forward_hook(lambda module, inputs, output: output * 1.5)
        self.register_buffer("passes", torch.zeros(()))
        self.history: list[Tensor] = []
        self.seen: dict[str, Tensor] = {}

    def forward(self, x: Tensor, extra: bool = False, mask: Tensor | None = None) -> object:
        values, aux = [self.stem(x)], {}
        for place, (kind, number) in enumerate(self.genes):
            value = values[-1] if number % 3 else values[number % len(values)]
            other = values[number % len(values)]
            if kind in SINGLES:
                value = SINGLES[kind](value)
            elif kind in PAIRS:
                value = PAIRS[kind](value, other)
            elif kind == "aux":
                aux[f"aux{place}"] = self.layers[str(place)](value)
            else:
                value = self._layer(kind, self.layers[str(place)], value, extra)
            values.append(value)
        last = values[-1] if mask is None else values[-1] * mask
        return self.container(self.head(last), aux)

    def _layer(self, kind: str, layer: nn.Module, value: Tensor, extra: bool) -> Tensor:
        if kind in ("linear", "layer norm"):
            return _tokens(layer, value)
        if kind in ("lstm", "mha"):
            run = (lambda t: layer(t)[0]) if kind == "lstm" else (lambda t: layer(t, t, t)[0])
            return _tokens(run, value)
        if kind == "drop path":
            kept = torch.rand(len(value), 1, 1, 1, dtype=value.dtype) < 0.5 if self.training else 1.0
            return value + layer(value) * kept
        if kind == "state":
            self.passes += 1
            self.seen["last"] = layer(value)
            self.history.append(self.seen["last"])
            return value + self.seen["last"]
        if kind == "option":
            return value + layer(value) if extra else value
        if kind == "training only":
            return value * layer(value).sigmoid() if self.training else value
        if kind == "tied":
            return _tokens(lambda t: F.linear(layer(t), layer.weight.t()), value)
        return layer(value)


def random_program(genes: list[Gene], container: int, seed: int) -> tuple[nn.Module, list[Call]]:
    """Return a program in float64 with generic weights and norms, and the calls that it is used with."""
    torch.manual_seed(seed)
    net = RandomProgram(genes, container).double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            for tensor, low in ((module.running_mean, -0.5), (module.weight, 0.5), (module.bias, -0.5)):
                if tensor is not None:
                    nn.init.uniform_(tensor, low, low + 1)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    mask = torch.rand(2, 1, 6, 6, dtype=torch.float64)
    return net.eval(), [Call((x,)), Call((x,), {"extra": True}), Call((x,), {"mask": mask})]
