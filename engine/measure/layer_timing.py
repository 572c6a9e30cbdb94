"""How long each layer of a network takes at every width: measured once per machine and shape.

A layer is timed by itself at a few numbers of channels that it reads and makes: an eighth, a quarter, a half, three
quarters and all of them, each up to a whole block (`engine.pruning.blocks`). A layer with fewer channels never takes
longer: where a timing says so, it was disturbed.

Timings are kept in `$XDG_CACHE_HOME/winnow/latency.json` (`~/.cache` by default), by processor, torch, threads, shape
of the layer, images and number type; delete the file to measure again.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.modes import memory_unfilled, while_timed
from winnow.engine.graph.records import Depthwise, Product
from winnow.engine.measure.layer_times import LayerTimes, WidthTimes, width_times
from winnow.engine.pruning.blocks import machine_name, measured_blocks, read_cache, write_cache
from winnow.engine.pruning.cost import Coefficients, device_of, layout_of, measured_cost

PARTS = (0.125, 0.25, 0.5, 0.75, 1.0)  # of a layer's channels
ALWAYS = 3  # channels: a width up to this is measured whole only
LEAST, MOST, SECONDS = 3, 15, 0.03  # passes of one layer: at least, at most, and the time for them [s]
WHOLE = 2.0  # s, for passes of the whole network
CACHE = "latency.json"
PLANTED = Coefficients(1e-10, 1e-10, 1e-6)  # where a timer is given, so that nothing depends on this machine
Timer = Callable[[nn.Module, Mapping[str, Any]], float]
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True, eq=False)
class TimedLayer:
    """A layer of a graph that can be timed by itself, at the shape of its input without the channels.

    `kind`: whether it reads and makes other channels (product), or one kernel per channel (depthwise).
    """

    module: nn.Module
    kind: Literal["product", "depthwise"]
    widths: tuple[int, int]
    shape: tuple[int, ...]
    axis: int

    @property
    def key(self) -> str:
        """What its times depend on besides machine, images and number type."""
        layer: Any = self.module
        names = ("kernel_size", "stride", "padding", "output_padding", "dilation", "padding_mode")
        options = " ".join(f"{name}={getattr(layer, name)}" for name in names if hasattr(layer, name))
        bias = "with" if layer.bias is not None else "without"
        widths = f"{self.widths[0]}→{self.widths[1]}"
        return f"{type(layer).__name__} {self.kind} {widths} {options} {bias} bias, input {self.shape} axis {self.axis}"

    def thin(self, reads: int, makes: int) -> nn.Module:
        """Return a layer of the same kind with other widths, its weights at random."""
        layer: Any = self.module
        kind, bias = type(layer), layer.bias is not None
        if kind is nn.Linear:
            return nn.Linear(reads, makes, bias)
        more = {"output_padding": layer.output_padding} if kind in TRANSPOSED else {}
        options = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "padding_mode")} | more
        groups = reads if self.kind == "depthwise" else 1
        made: nn.Module = kind(reads, makes, layer.kernel_size, groups=groups, bias=bias, **options)
        return made

    def input(self, reads: int, images: int) -> Tensor:
        """Return an input with so many channels and images."""
        shape = [images, *self.shape[1:]]
        shape[self.axis] = reads
        return torch.randn(shape)


def layer_uses(graph: ChannelGraph) -> tuple[Product | Depthwise, ...]:
    """Return every use of a layer in a graph, those with a kernel per channel last."""
    return (*graph.products, *graph.depthwise)


def timed_layer(graph: ChannelGraph, use: Product | Depthwise) -> TimedLayer | None:
    """Return the layer of a use, None where it is no plain layer of torch with its own weight."""
    module: Any = dict(graph.model.named_modules()).get(use.layer)
    convolution = type(module) in (*CONVOLUTIONS, *TRANSPOSED)
    if use.weight != f"{use.layer}.weight" or not (convolution or type(module) is nn.Linear):
        return None
    source = graph.carriers[use.source].shape
    if isinstance(use, Depthwise):
        plain = convolution and module.groups == module.in_channels
        widths = (module.in_channels, module.out_channels) if plain else (0, 0)
        return TimedLayer(module, "depthwise", widths, source, 1) if plain else None
    if use.blocks != 1 or len(source) < 2:
        return None
    axis = 1 if convolution else len(source) - 1
    return TimedLayer(module, "product", (len(use.columns), len(use.rows)), source, axis)


def measured_times(
    graph: ChannelGraph, inputs: Mapping[str, Any], images: int, timer: Timer | None = None
) -> LayerTimes:
    """Return the times of a graph's layers on this machine, from the cache where they are known.

    Args:
        graph: of the dense network, on the device that it is to run on.
        inputs: of its forward pass, by name, with `images` images.
        images: per pass.
        timer: the seconds of one pass of a module on named inputs; None: the least of some, and the cache is used.

    """
    device, layout = device_of(graph.model), layout_of(graph.model, inputs.values())
    machine = machine_name(device, layout)
    dtype = str(next(graph.model.parameters()).dtype).removeprefix("torch.")
    cost = measured_cost(device, layout) if timer is None else PLANTED
    step = measured_blocks(device, layout).step if timer is None else 1
    book = _Book(timer is None, f"{machine} · {images} images · {dtype} · step {step}")
    place = partial(_placed, like=next(graph.model.parameters()), layout=layout)
    clock = timer or least_seconds

    def alone(module: nn.Module, x: Tensor) -> float:
        return clock(place(module), {"input": place(x)})

    layers = (timed_layer(graph, use) for use in layer_uses(graph))
    of_each = {layer.key: layer for layer in layers if layer is not None}
    found = {key: book.times(key, partial(times_of, layer, images, step, alone)) for key, layer in of_each.items()}

    def of_whole() -> float:
        with while_timed(graph.model, inputs):
            return (timer or _least_of_many)(graph.model, inputs)

    whole = book.seconds(_program(graph, found), of_whole)
    book.close()
    numbers = (cost.per_mac, cost.per_byte, cost.per_call)
    used = (machine, torch.__version__, torch.get_num_threads(), images, dtype, step, whole, *numbers)
    return LayerTimes(*used, MappingProxyType(found))


class _Book:
    """What was measured on this machine before, and what is measured now; with `kept`, in the user's cache."""

    def __init__(self, kept: bool, about: str) -> None:
        self._kept, self._about = kept, about
        self._known = read_cache(CACHE) if kept else {}
        self._new: dict[str, Any] = {}

    def times(self, key: str, measure: Callable[[], WidthTimes]) -> WidthTimes:
        """Return the times of a layer, measured if they are not known, or damaged."""
        whole = f"{self._about} · {key}"
        try:
            return width_times(self._known[whole])
        except (KeyError, TypeError, ValueError):
            found = measure()
            self._new[whole] = asdict(found)
            return found

    def seconds(self, key: str, measure: Callable[[], float]) -> float:
        """Return one time likewise."""
        whole = f"{self._about} · {key}"
        known = self._known.get(whole)
        if isinstance(known, float) and 0 < known < float("inf"):
            return known
        self._new[whole] = found = measure()
        return found

    def close(self) -> None:
        """Write what is new."""
        if self._kept and self._new:
            write_cache(CACHE, {**read_cache(CACHE), **self._new})


def _program(graph: ChannelGraph, layers: Iterable[str]) -> str:
    """Return a name for a whole network: its operations and its layers."""
    ran = [(event.name, event.path) for event in graph.events]
    return f"whole {hashlib.sha256(repr((ran, sorted(layers))).encode()).hexdigest()}"


def _least_of_many(model: nn.Module, inputs: Mapping[str, Any]) -> float:
    return least_seconds(model, inputs, WHOLE)


def times_of(layer: TimedLayer, images: int, step: int, timer: Callable[[nn.Module, Tensor], float]) -> WidthTimes:
    """Return the times of one layer at its widths; a smaller one never takes longer than a larger one."""
    reads, makes = (grid_widths(width, step) for width in layer.widths)
    if layer.kind == "depthwise":
        factor = max(layer.widths[1] // layer.widths[0], 1)
        seconds = [[timer(layer.thin(width, factor * width), layer.input(width, images))] for width in reads]
        makes = (layer.widths[1],)
    else:
        seconds = [[timer(layer.thin(width, made), layer.input(width, images)) for made in makes] for width in reads]
    least = np.asarray(seconds)
    for axis in (0, 1):
        least = np.flip(np.minimum.accumulate(np.flip(least, axis), axis), axis)
    return WidthTimes(reads, makes, tuple(tuple(float(value) for value in row) for row in least))


def grid_widths(width: int, step: int) -> tuple[int, ...]:
    """Return at which widths a layer of so many channels is measured.

    Examples:
        >>> grid_widths(64, 16)
        (16, 32, 48, 64)

    """
    if width <= ALWAYS:
        return (width,)
    return tuple(sorted({min(-(-int(np.ceil(part * width)) // step) * step, width) for part in PARTS}))


def least_seconds(module: nn.Module, inputs: Mapping[str, Any], enough: float = SECONDS) -> float:
    """Return the least seconds of some passes of a module, after one that warms up; no more once it took `enough`."""
    gpu = next((parameter.device for parameter in module.parameters() if parameter.is_cuda), None)
    alone = gpu is None and torch.get_num_threads() == 1  # then other work on the machine does not count
    clock, found = time.thread_time if alone else time.perf_counter, list[float]()
    with torch.inference_mode(), memory_unfilled():
        while len(found) <= LEAST or (len(found) <= MOST and sum(found) < enough):
            start = clock()
            module(**inputs)
            if gpu is not None:
                torch.cuda.synchronize(gpu)
            found.append(clock() - start)
    return min(found[1:])


def _placed(value: Any, like: Tensor, layout: torch.memory_format) -> Any:
    """Return a layer or a tensor where the network is, in its number type and memory format."""
    moved = value.to(device=like.device, dtype=like.dtype)
    maps = isinstance(moved, nn.Module) or moved.dim() == 4
    return moved.to(memory_format=layout) if maps else moved
