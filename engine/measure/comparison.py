"""Several models side by side, measured in one run: their counts and sizes, and their times, taken in turns."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from winnow.engine.export.onnx_file import Session, export_onnx, runtime_installed
from winnow.engine.graph.examples import batched
from winnow.engine.graph.modes import while_timed
from winnow.engine.graph.trace import named_inputs
from winnow.engine.measure.counts import macs, parameters
from winnow.engine.measure.memory import file_size, peak_memory
from winnow.engine.measure.timing import Runner, Timing, check_batches, eager, in_turns

COLUMNS = ["model", "quantity", "batch", "backend", "value", "low", "high", "unit", "threads", "steady"]
BACKENDS = ("eager", "onnxruntime")
Progress = Callable[[str, float], None]


def compare(
    models: Mapping[str, nn.Module],
    example_inputs: Any,
    *,
    batches: Sequence[int] = (1, 16),
    backends: Sequence[str] | None = None,
    timing: Timing = Timing(),  # noqa: B008 - frozen
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return what each model costs and how long it takes: a tidy frame with one figure per row.

    Columns: model; quantity: parameters [1], macs [1] of one image, file_size [B], peak_memory [B] and latency [s] of a
    forward pass; batch, images per pass (NaN where it does not matter); backend: eager, onnxruntime or empty; value;
    low, high: for a latency p10 and p90 over the rounds (value is the median), else the value; unit; threads; steady:
    False for a latency whose p90/p10 is above 1.5. Do not quote such a figure.

    Every round times every model in every backend once, in an order that rotates. Models keep their modes.

    Args:
        models: by their name in the frame. All must take the example.
        example_inputs: a tensor, a sequence of positional inputs, or a mapping of named ones; images are repeated to
            make a batch.
        batches: images per pass.
        backends: eager, onnxruntime or both. None: eager, and onnxruntime if its packages are installed and the example
            is on the CPU, in float32.
        timing: rounds, seconds and threads.
        progress: called with what is measured and the part that is done, in [0, 1].

    Raises:
        ValueError: no models, or an argument out of range.
        MissingPackages, NotDescribable, NotSame: onnxruntime was asked for and cannot run a model.

    Examples:
        >>> figures = compare({"net": nn.Linear(8, 2)}, torch.ones(1, 8), batches=[1], backends=["eager"])
        >>> float(figures.set_index("quantity").loc["macs", "value"])
        16.0

    """
    if not models:
        raise ValueError("`models` must hold at least one model, got none.")
    check_batches(batches)
    chosen = _backends(example_inputs, backends)
    tell = progress or (lambda what, part: None)
    rows: list[list[Any]] = []
    with ExitStack() as stack:
        for model in models.values():
            stack.enter_context(while_timed(model, named_inputs(model, example_inputs)))
        sessions: dict[str, Session] = {}
        for place, (name, model) in enumerate(models.items()):
            tell(f"{name}: counts", place / len(models) / 4)
            rows += _counted(name, model, example_inputs, batches)
            if "onnxruntime" in chosen:
                tell(f"{name}: ONNX", (place + 0.5) / len(models) / 4)
                sessions[name] = _session(model, example_inputs, timing.used_threads)
        for place, size in enumerate(batches):
            runners = {
                (name, backend): _runner(model, sessions.get(name), batched(model, example_inputs, size), backend)
                for name, model in models.items()
                for backend in chosen
            }
            rows += _timed(runners, size, timing, _part(tell, place, len(batches)))
    frame = pd.DataFrame([[*row[:-1], timing.used_threads, row[-1]] for row in rows], columns=COLUMNS)
    return frame.astype({"batch": float, "value": float, "low": float, "high": float})


def speed_ups(frame: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return how much faster than a reference each model of a `compare` frame is.

    Columns: model, batch, backend; speed_up, the ratio of the medians; mac_ratio; achieved, speed_up ÷ mac_ratio;
    steady, whether both times are steady.

    Raises:
        ValueError: the frame has no such model.

    Examples:
        >>> models = {"wide": nn.Linear(8, 2), "narrow": nn.Linear(8, 1)}
        >>> figures = compare(models, torch.ones(1, 8), batches=[1], backends=["eager"])
        >>> float(speed_ups(figures, "wide").set_index("model").loc["narrow", "mac_ratio"])
        2.0

    """
    if reference not in set(frame["model"]):
        raise ValueError(f"`reference` must be one of {list(frame['model'].unique())}, got {reference!r}.")
    work = frame[frame["quantity"] == "macs"].set_index("model")["value"]
    times = frame[frame["quantity"] == "latency"]
    base = times[times["model"] == reference].set_index(["batch", "backend"])
    base = base[["value", "steady"]].add_suffix("_base")
    found = times[times["model"] != reference].join(base, on=["batch", "backend"])
    ratio = found["value_base"] / found["value"]
    less = work[reference] / found["model"].map(work)
    return pd.DataFrame(
        {
            "model": found["model"],
            "batch": found["batch"],
            "backend": found["backend"],
            "speed_up": ratio,
            "mac_ratio": less,
            "achieved": ratio / less,
            "steady": found["steady"] & found["steady_base"],
        }
    ).reset_index(drop=True)


def _backends(example_inputs: Any, backends: Sequence[str] | None) -> tuple[str, ...]:
    if backends is None:
        leaves = [leaf for leaf in _pytree.tree_leaves(example_inputs) if isinstance(leaf, Tensor)]
        plain = all(not leaf.is_cuda and leaf.dtype in (torch.float32, torch.int64) for leaf in leaves)
        return BACKENDS if plain and runtime_installed() else BACKENDS[:1]
    if not backends or any(backend not in BACKENDS for backend in backends):
        raise ValueError(f"`backends` must be among {', '.join(BACKENDS)}, got {list(backends)}.")
    return tuple(dict.fromkeys(backends))


def _counted(name: str, model: nn.Module, example_inputs: Any, batches: Sequence[int]) -> list[list[Any]]:
    """Return the rows of quantities that are counted, not timed."""
    inputs = named_inputs(model, example_inputs)
    figures = [
        ("parameters", np.nan, "", float(parameters(model)), "1"),
        ("macs", np.nan, "", macs(model, inputs), "1"),
        ("file_size", np.nan, "", float(file_size(model)), "B"),
    ]
    peaks = {size: float(peak_memory(model, batched(model, inputs, size))) for size in batches}
    figures += [("peak_memory", size, "eager", value, "B") for size, value in peaks.items()]
    return [
        [name, quantity, b, backend, value, value, value, unit, True] for quantity, b, backend, value, unit in figures
    ]


def _session(model: nn.Module, example_inputs: Any, threads: int) -> Session:
    with tempfile.TemporaryDirectory() as folder:
        return Session(export_onnx(model, example_inputs, Path(folder) / "model.onnx").path, threads)


def _runner(model: nn.Module, session: Session | None, inputs: dict[str, Any], backend: str) -> Runner:
    if backend == "eager" or session is None:
        return eager(model, inputs)
    feed = session.feed(inputs)
    return lambda: session.run(feed)


def _timed(
    runners: Mapping[tuple[str, str], Runner], size: int, timing: Timing, progress: Callable[[int, int], None]
) -> list[list[Any]]:
    return [
        [name, "latency", size, backend, found.median, found.p10, found.p90, "s", found.steady]
        for (name, backend), found in in_turns(runners, timing, progress).items()
    ]


def _part(tell: Progress, place: int, count: int) -> Callable[[int, int], None]:
    """Return a function that reports rounds as part of the last three quarters of the whole."""

    def told(done: int, rounds: int) -> None:
        tell("latency", 0.25 + 0.75 * (place + done / rounds) / count)

    return told
