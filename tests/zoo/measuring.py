"""What the engine does with one network of the zoo: its groups, what is removed of random zero ones, and the error.

The error is measured apart from the certificate, in float64, at batches and sizes that the certificate did not choose.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from tests.zoo.catalogue import ZOO, build
from winnow.engine.graph.calls import Call, run
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.modes import in_mode
from winnow.engine.graph.spaces import Slice, Space
from winnow.engine.graph.trace import trace
from winnow.engine.measure.counts import macs
from winnow.engine.pruning import Compacted, NotExact, NotTraceable, compact
from winnow.engine.pruning.chance import same_chance
from winnow.engine.pruning.precision import in_precision

EXACT, TRAINING = 1e-10, 1e-6  # relative to the scale of the output; a batch norm divides by small deviations
KINDS = ("channels", "heads", "streams")


@dataclass
class Row:
    """One line of the table. `groups` by kind; `error` is the largest relative one, over `compared` other calls."""

    name: str
    groups: Counter[str] = field(default_factory=Counter)
    zero: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    before: float = 0.0
    after: float = 0.0
    error: float = 0.0
    training: float | None = None
    compared: int = 0
    pinned: str = ""
    refused: str = ""

    @property
    def traced(self) -> bool:
        """Whether the graph has groups."""
        return self.groups.total() > 0

    @property
    def exact(self) -> bool:
        """Whether a smaller model was handed out."""
        return self.traced and not self.refused


class SilentlyWrong(AssertionError):  # noqa: N818 - what it is
    """A smaller model was handed out, and gives something else."""


def kind(space: Space) -> str:
    """Return what a group of a space is: the channel of one layer, a head of attention, a channel of a stream."""
    weights = [
        part for part in space.writers if part.repeat > 1 and part.axis == 0 and not part.parameter.endswith("bias")
    ]
    if len(weights) > 1 and len(space.channels) > 1:  # the rows of queries, keys and values
        return "heads"
    return "streams" if len({part.layer for part in space.writers}) > 1 else "channels"


def entries(part: Slice, channel: int) -> range:
    """Return the places of a channel in the axis of a slice; none if it lists other channels."""
    if not part.first <= channel < part.first + part.length:
        return range(0)
    start = part.start + (channel - part.first) * part.repeat
    return range(start, start + part.repeat)


@torch.no_grad()
def silence(net: nn.Module, graph: ChannelGraph, share: float = 0.5, seed: int = 0) -> list[tuple[Space, int]]:
    """Zero a share of random groups, all that writes and reads a channel; one of every space stays."""
    generator, parameters, found = torch.Generator().manual_seed(seed), dict(net.named_parameters()), []
    for space in (space for space in graph.spaces if space.removable):
        count = len(space.channels)
        for channel in torch.randperm(count, generator=generator)[: min(int(count * share + 0.5), count - 1)].tolist():
            found.append((space, channel))
            for part in (part for part in space.slices if part.parameter in parameters):
                for place in entries(part, channel):
                    parameters[part.parameter].select(part.axis, place).zero_()
    return found


def gone(compacted: Compacted, space: Space, channel: int) -> bool:
    """Whether nothing of a channel is left in the smaller model."""
    cuts = {cut.name: cut for cut in compacted.cuts}
    left = dict(compacted.model.named_parameters())
    for part in space.slices:
        stays = cuts[part.parameter].stays.get(part.axis)
        held = range(cuts[part.parameter].shape[part.axis]) if stays is None else set(stays.tolist())
        if part.parameter in left and any(place in held for place in entries(part, channel)):
            return False
    return True


def differences(net: nn.Module, small: nn.Module, calls: Sequence[Call], training: bool) -> float:
    """Return the largest difference by the scale of the output; an output that is missing raises."""
    largest = 0.0
    for call in calls:
        found = []
        for model in (net, small):
            with torch.no_grad(), in_mode(model, training), same_chance(model, len(call.tensors()[0][1]), seed=3):
                state = [buffer.clone() for buffer in model.buffers()]
                with in_precision(model, torch.float64, own=False):  # code that asks for float32 would round to it
                    found.append(flatten(run(model, call)))
                for buffer, value in zip(model.buffers(), state, strict=True):
                    buffer.copy_(value)
        if not found[0] or [path for path, _ in found[0]] != [path for path, _ in found[1]]:
            raise SilentlyWrong(f"outputs {[path for path, _ in found[1]]} in the place of those of the model")
        for (path, one), (_, other) in zip(*found, strict=True):
            if one.shape != other.shape:
                raise SilentlyWrong(f"{path} of shape {tuple(other.shape)}, expected {tuple(one.shape)}")
            largest = max(largest, float((one - other).abs().max() / one.abs().max().clamp(min=1e-3)))
    return largest


def measure(name: str, seed: int = 0) -> Row:
    """Return what comes of a network of the zoo.

    Raises:
        SilentlyWrong: a smaller model gives something else than the model.

    """
    net, example, row = build(name, seed), ZOO[name].example(seed=seed), Row(name)
    try:
        graph = trace(net, example)
    except NotTraceable as error:
        row.refused = str(error)
        return row
    row.groups = Counter({kind(s): 0 for s in graph.spaces if s.removable})
    for space in (space for space in graph.spaces if space.removable):
        row.groups[kind(space)] += len(space.channels)
    row.pinned = "; ".join(dict.fromkeys(f"{place}: {reason}" for place, reason in graph.pinned))
    zero = silence(net, graph, seed=seed)
    row.zero = Counter(kind(space) for space, _ in zero)
    row.before = macs(net, example[0])
    try:
        found = compact(net, example, gather="never")
    except NotExact as error:
        row.refused = str(error)
        return row
    row.removed = Counter(kind(space) for space, channel in zero if gone(found, space, channel))
    row.after = macs(found.model, example[0])
    if not row.pinned:
        row.pinned = "; ".join(f"{place}: {reason}" for place, reason in found.certificate.kept_for.items())
    return compared(row, net, found, seed)


def compared(row: Row, net: nn.Module, found: Compacted, seed: int) -> Row:
    """Compare at other batches and sizes, in both modes where the certificate says so."""
    architecture = ZOO[row.name]
    others = [(batch, more) for batch, more in architecture.others if not (found.certificate.fixed_sizes and more)]
    calls = [call for batch, more in others for call in architecture.example(batch, more, seed + 1)]
    row.error, row.compared = differences(net, found.model, calls, training=False), len(calls)
    if "training mode" not in found.certificate.open:
        several = [call for batch, more in others if batch > 1 for call in architecture.example(batch, more, seed + 2)]
        row.training = differences(net, found.model, several, training=True)
    if not row.error <= EXACT or (row.training or 0.0) > TRAINING:
        raise SilentlyWrong(f"{row.name}: {row.error:.2g} in evaluation mode, {row.training} in training mode")
    return row
