"""Where the time of a network goes, layer by layer, beside what the machine could do: a roofline.

A layer of M multiply-accumulates that reads and writes B bytes cannot take less than max(2 M / peak, B / bandwidth).
Peak and bandwidth are measured on this machine: the best of some products of matrices in float32, and of copies of a
tensor that fits no cache. Layers are timed inside a forward pass, two networks in turns, so that both find the caches
as they are in use.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from winnow.engine.graph.calls import Call, length_of, with_length
from winnow.engine.graph.modes import memory_unfilled, modules_called, while_timed
from winnow.engine.measure.counts import layer_macs
from winnow.engine.measure.peaks import Peaks, seconds_of, with_threads
from winnow.engine.measure.timing import Timing, each_round, eager
from winnow.engine.pruning.selecting import Gather, Selecting

REST = "(between layers)"
WARM = 2  # passes


@dataclass(frozen=True)
class LayerCost:
    """One layer in a pass: its kind, multiply-accumulates, bytes, widths in and out, seconds, and those to gather."""

    kind: str
    macs: float
    bytes: float
    widths: tuple[int, int]
    seconds: float
    gathering: float = 0.0


def layer_costs(
    models: Mapping[str, nn.Module], inputs: Mapping[str, Mapping[str, Any]], threads: int, rounds: int = 20
) -> dict[str, dict[str, LayerCost]]:
    """Return what every layer of each model costs, {model: {layer: cost}}: seconds are medians of passes in turns.

    Layers are the innermost modules, with all their calls. The entry `REST` is what a pass that nobody watches takes
    beyond them: what runs between them. MACs and bytes are those of the whole batch.

    Args:
        models: by their name.
        inputs: of each model, by the names of its forward pass's arguments.
        threads: of the passes.
        rounds: passes of each model.

    """
    given = {name: with_length(model, Call(kwargs=inputs[name])) for name, model in models.items()}
    macs = {name: layer_macs(model, given[name]) for name, model in models.items()}
    with ExitStack() as stack:
        stack.enter_context(modules_called())
        stack.enter_context(with_threads(threads))
        for name, model in models.items():
            stack.enter_context(while_timed(model, inputs[name]))
        stack.enter_context(torch.inference_mode())
        whole = each_round(
            {name: eager(model, inputs[name]) for name, model in models.items()}, Timing(max(rounds, 3), 1e-6, threads)
        )
        probes = {name: stack.enter_context(_probed(model)) for name, model in models.items()}
        for turn in range(rounds + WARM):
            for name in sorted(models, reverse=bool(turn % 2)):
                probes[name].run(models[name], inputs[name])
        return {
            name: _costs(
                model, probes[name], macs[name], (max(length_of(given[name]), 1), float(np.median(whole[name])))
            )
            for name, model in models.items()
        }


class _Probe:
    """What the layers of one model took in each pass, and what they read and wrote."""

    def __init__(self) -> None:
        self.passes: list[dict[str, float]] = []
        self.seen: dict[str, tuple[float, tuple[int, int]]] = {}
        self.inputs: dict[str, Tensor] = {}
        self._starts: dict[str, float] = {}
        self._running = False  # two names may be one model

    def run(self, model: nn.Module, inputs: Mapping[str, Any]) -> None:
        """Run one pass."""
        self.passes.append({})
        self.seen = {}
        self._running = True
        with memory_unfilled():
            model(**inputs)
        self._running = False

    def begin(self, name: str) -> Callable[..., None]:
        """Return a hook for before the layer."""

        def hook(module: nn.Module, given: Any) -> None:
            self._starts[name] = time.perf_counter()

        return hook

    def end(self, name: str) -> Callable[..., None]:
        """Return a hook for behind the layer."""

        def hook(module: nn.Module, given: Any, result: Any) -> None:
            if not self._running:
                return
            took, passed = time.perf_counter() - self._starts[name], self.passes[-1]
            passed[name] = passed.get(name, 0.0) + took
            read, written = _tensors(given), _tensors(result)
            own = sum(_bytes(tensor) for tensor in module.parameters())
            known, _ = self.seen.get(name, (float(own), (0, 0)))
            moved = sum(map(_bytes, [*read, *written]))
            self.seen[name] = (known + moved, (_width(read), _width(written)))
            if isinstance(module, Selecting) and read:
                self.inputs[name] = read[0]

        return hook


@contextmanager
def _probed(model: nn.Module) -> Iterator[_Probe]:
    probe, handles = _Probe(), []
    for name, module in model.named_modules():
        if not any(True for _ in module.children()):
            handles.append(module.register_forward_pre_hook(probe.begin(name)))
            handles.append(module.register_forward_hook(probe.end(name)))
    try:
        yield probe
    finally:
        for handle in handles:
            handle.remove()


def _costs(
    model: nn.Module, probe: _Probe, macs: Mapping[str, float], taken: tuple[int, float]
) -> dict[str, LayerCost]:
    passes, (images, whole) = probe.passes[WARM:], taken
    found = {}
    for name in passes[0]:
        layer = model.get_submodule(name)
        moved, widths = probe.seen[name]
        seconds = float(np.median([one[name] for one in passes]))
        gathering = _gathering(layer, probe.inputs[name]) if name in probe.inputs else 0.0
        gathering = seconds if isinstance(layer, Gather) else min(gathering, seconds)
        found[name] = LayerCost(type(layer).__name__, images * macs.get(name, 0.0), moved, widths, seconds, gathering)
    between = images * sum(count for name, count in macs.items() if name not in found)
    found[REST] = LayerCost("", between, 0.0, (0, 0), max(whole - sum(cost.seconds for cost in found.values()), 0.0))
    return found


def _gathering(layer: Any, x: Tensor) -> float:
    """Return the seconds in which a layer picks its channels and appends ones."""
    work = layer if isinstance(layer, Gather) else layer.picked
    return seconds_of(lambda: work(x), of=np.median)


def layer_table(dense: Mapping[str, LayerCost], small: Mapping[str, LayerCost], of: Peaks) -> pd.DataFrame:
    """Return one row per layer: both networks beside each other, and what of the promised time was lost, to what.

    Columns: layer, kind; of each network macs, bytes, seconds, flops [FLOP/s], bound (compute or memory), with the
    endings _dense and _compact; promised, the seconds that the layer would take if its time fell with its MACs (those
    of the whole network where the layer has none); lost, seconds − promised; and its parts [s], which add up to it:

    | part      | what it is                                                                                      |
    |-----------|-------------------------------------------------------------------------------------------------|
    | `gather`  | channels picked, and ones appended                                                              |
    | `launch`  | the fixed time of an operation, which no smaller layer saves                                    |
    | `memory`  | bytes that must be moved in any case, by the bandwidth of a copy                                |
    | `padding` | channels that fill a block of the processor's vectors up                                        |
    | `kernel`  | the rest: less FLOP/s on what is left. Negative where the layer is faster than promised         |

    A layer that is gone in the small network has 0 there.
    """
    ratio = _ratio(dense, small)
    rows = [_row(name, dense.get(name, NONE), small.get(name, NONE), of, ratio) for name in {**dense, **small}]
    return pd.DataFrame(rows)


NONE = LayerCost("", 0.0, 0.0, (0, 0), 0.0)


def _ratio(dense: Mapping[str, LayerCost], small: Mapping[str, LayerCost]) -> float:
    whole = sum(cost.macs for cost in dense.values())
    return sum(cost.macs for cost in small.values()) / whole if whole else 1.0


def _row(name: str, one: LayerCost, other: LayerCost, of: Peaks, ratio: float) -> dict[str, Any]:
    share = other.macs / one.macs if one.macs else ratio
    promised = one.seconds * share
    row: dict[str, Any] = {"layer": name, "kind": one.kind or other.kind}
    for ending, cost in (("dense", one), ("compact", other)):
        row |= {
            f"macs_{ending}": cost.macs,
            f"bytes_{ending}": cost.bytes,
            f"seconds_{ending}": cost.seconds,
            f"flops_{ending}": 2 * cost.macs / cost.seconds if cost.seconds else 0.0,
            f"bound_{ending}": of.bound(cost.macs, cost.bytes) if cost.bytes else "",
        }
    lost = other.seconds - promised
    return row | {"promised": promised, "lost": lost, **_parts(lost, one, other, of, share)}


def _parts(lost: float, one: LayerCost, other: LayerCost, of: Peaks, share: float) -> dict[str, float]:
    """Return to what the time was lost, in this order and never more than is left of it."""
    ideal = one.seconds * share
    padded = _padded(other, of.block) / _padded(one, of.block) if one.macs and other.macs else 1.0
    causes = {
        "gather": other.gathering - one.gathering * share,
        "launch": of.call * (1 - share) if other.seconds else 0.0,
        "memory": other.bytes / of.bandwidth - ideal,
        "padding": ideal * (padded - 1),
    }
    found, left = {}, max(lost, 0.0)
    for name, seconds in causes.items():
        found[name] = min(max(seconds, 0.0), left)
        left -= found[name]
    return found | {"kernel": lost - sum(found.values())}


def _padded(cost: LayerCost, block: int) -> float:
    """Return by how much channels that fill blocks up make a layer's widths larger."""
    outer = cost.widths[1]
    return (-(-outer // block) * block / outer) if outer else 1.0


def _tensors(structure: Any) -> list[Tensor]:
    leaves = torch.utils._pytree.tree_leaves(structure)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _width(tensors: list[Tensor]) -> int:
    """Return the number of channels of the first tensor: axis 1 of a map, the last of anything else."""
    return tensors[0].shape[1 if tensors[0].dim() > 3 else -1] if tensors and tensors[0].dim() else 0
