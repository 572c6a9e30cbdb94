"""What would be saved of a network's time and memory if only some groups lived, predicted without running it.

The time of a pass is that of its layers at the widths that a removal would leave (`engine.measure.layer_times`), of the
gathers that it would add, and of everything between the layers: a fixed time per operation, and a time per byte that
what is made there takes. The time per byte is such that the dense network takes what it takes. Shares are of the dense
network by the same account, so that a machine that is slower altogether predicts the same.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.records import Depthwise, Product
from winnow.engine.graph.weights import Flags
from winnow.engine.measure.layer_times import LayerTimes, WidthTimes
from winnow.engine.measure.layer_timing import TimedLayer, layer_uses, timed_layer
from winnow.engine.pruning.activations import Footprint, activation_bytes
from winnow.engine.pruning.foreseen import Foreseen
from winnow.engine.pruning.plan import Plan
from winnow.engine.pruning.readers import Reading
from winnow.engine.sparsity.groups import Bank

MISJUDGED = 0.02  # of the dense network's peak: the most by which shapes alone may miss it


class PredictedTime:
    """The seconds of a pass of a graph's network without the channels of a plan, by the times of its layers.

    Raises:
        ValueError: the times are those of another network.

    """

    def __init__(self, graph: ChannelGraph, times: LayerTimes) -> None:
        self._times = times
        self._layers = {use.result: timed_layer(graph, use) for use in layer_uses(graph)}
        missing = [layer.key for layer in self._layers.values() if layer and layer.key not in times.layers]
        if missing:
            raise ValueError(
                f"`times` must hold the layers of this network, got none of: {missing[0]}. They were measured for "
                "another network or another size of the images: measure again."
            )
        self._between = _between(graph)
        self._entries = {use.source: _entries(graph.carriers[use.source].shape) for use in graph.products}
        self._per_byte = self._settled(graph)

    def _settled(self, graph: ChannelGraph) -> float:
        """Return the seconds per byte between the layers with which the dense network takes what it was timed at."""
        kept = np.ones(graph.count, bool)
        layers = sum(self._layer(use, kept, {}) for use in layer_uses(graph))
        rest = self._times.whole - layers - len(self._between) * self._times.per_call
        moved = sum(_bytes(own, kept) for own in self._between)
        return max(rest, 0.0) / moved if moved else 0.0

    def seconds(self, plan: Plan) -> float:
        """Return the seconds of a pass of the network without what the plan removes."""
        kept, readings = plan.liveness.kept, plan.readings()
        graph = plan.graph
        found = sum(self._layer(use, kept, readings) for use in layer_uses(graph))
        moved = sum(_bytes(own, kept) for own in self._between)
        return found + len(self._between) * self._times.per_call + moved * self._per_byte

    def _layer(self, use: Product | Depthwise, kept: Flags, readings: dict[str, Reading]) -> float:
        if isinstance(use, Depthwise):
            rows = columns = int(kept[use.channels].sum())
            columns //= max(use.multiplier, 1)
            macs = use.macs * rows
        else:
            rows, columns = int(kept[use.rows].sum()), int(kept[use.columns].sum())
            macs = use.macs * rows * columns
        if not rows or not columns:
            return 0.0
        gathering = 0.0
        if isinstance(use, Product) and (reading := readings.get(use.layer)) is not None:
            if reading.index is not None:
                columns = len(reading.stays)
                moved = 2 * 4 * self._entries[use.source] / len(use.columns) * columns * self._times.images
                gathering = self._times.per_call + moved * self._times.per_byte
            columns += reading.ones
        return gathering + self._alone(self._layers[use.result], (columns, rows), macs)

    def _alone(self, layer: TimedLayer | None, widths: tuple[int, int], macs: float) -> float:
        if layer is None:
            return self._times.per_call + macs * self._times.images * self._times.per_mac
        times: WidthTimes = self._times.layers[layer.key]
        return times.at(*widths, self._times.step)


def _entries(shape: tuple[int, ...]) -> float:
    """Return the entries of a tensor for one image."""
    return float(np.prod(shape[1:])) if len(shape) > 1 else float(np.prod(shape))


def _between(graph: ChannelGraph) -> list[tuple[Labels, float]]:
    """Return the labels and the bytes per label of every tensor that no layer makes, in the first pass."""
    made = {graph.carriers[use.result].node for use in layer_uses(graph)}
    ran = {event.node for event in graph.events if event.node.startswith("0:")}
    found = [carrier for carrier in graph.carriers if carrier.node in ran - made and carrier.bears]
    return [(carrier.labels, 4 * float(np.prod(carrier.shape)) / max(carrier.labels.size, 1)) for carrier in found]


def _bytes(own: tuple[Labels, float], kept: Flags) -> float:
    labels, each = own
    return each * float(kept[labels].sum())


class PredictedShares:
    """The share [%] that is saved when only some groups live, of the time or of the peak of activations.

    A share that was asked for before is not worked out again: a network is asked for the same ones at the end.
    """

    def __init__(self, foreseen: Foreseen, banks: Sequence[Bank], cost: Callable[[Plan], float]) -> None:
        self._foreseen, self._cost = foreseen, cost
        self._known: dict[bytes, float] = {}
        self._dense = cost(foreseen.plan([torch.ones(bank.channels, dtype=torch.bool) for bank in banks]))

    def __call__(self, alive: Sequence[Tensor]) -> float:
        """Return the share that is saved when only the groups marked in `alive`, (channels,) per bank, live."""
        key = b"".join(np.packbits(mask.cpu().numpy()).tobytes() for mask in alive)
        if key not in self._known:
            self._known[key] = 100 * (1 - self._cost(self._foreseen.plan(alive)) / self._dense)
        return self._known[key]


def predicted_latency(graph: ChannelGraph, banks: Sequence[Bank], times: LayerTimes) -> PredictedShares:
    """Return the shares of a pass's time that would be saved, the removal gathering where that pays.

    Raises:
        ValueError: the times are those of another network.

    """
    return PredictedShares(Foreseen(graph, banks, times.coefficients), banks, PredictedTime(graph, times).seconds)


def predicted_memory(graph: ChannelGraph, banks: Sequence[Bank]) -> PredictedShares:
    """Return the shares of the peak of activations that would be saved.

    Raises:
        ValueError: the network does not run on shapes alone, or takes another peak there than in earnest.

    """
    footprint, foreseen = Footprint(graph), Foreseen(graph, banks)
    whole = [torch.ones(bank.channels, dtype=torch.bool) for bank in banks]
    told, real = footprint.bytes(foreseen.plan(whole)), activation_bytes(graph.model, graph.calls[0])
    if abs(told - real) > MISJUDGED * real:
        raise ValueError(
            f"`memory` must be predicted within {MISJUDGED:.0%}, got {told} bytes for a peak of {real}: this network "
            "runs differently on shapes alone. Choose a share of MACs or of parameters."
        )
    return PredictedShares(foreseen, banks, footprint.bytes)
