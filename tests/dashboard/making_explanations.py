"""Small explanations with known contents, their tables made by the engine's own functions where these need no torch.

Three layers, `stem` (3 channels), `<b>deep</b>` (4) and `trunk` (6). In each, channel 0 is wanted by all tasks alike,
channel 1 by the first task alone, channel 2 by the last; the last channel of the trunk is dead; the rest is shared.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tests.dashboard.making import START, STEP
from winnow.engine.explain.checks.badges import COLUMNS
from winnow.engine.explain.circuits.tables import CIRCUITS, FIGURES, OVERLAPS
from winnow.engine.explain.usage import layer_usage, task_overlaps, usage
from winnow.engine.runs.derived import DerivedJob, derived_job
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.explain import ExplainSpec

WIDTHS = {"stem": 3, "<b>deep</b>": 4, "trunk": 6}


def write_explanation(run: Run, state: str = "done", ablated: bool = True, **spec: Any) -> DerivedJob:
    """Write an explanation of a run that ended in this state; without ablation, it is not held against anything."""
    asked = ExplainSpec.model_validate({"images": 8, "ablation_images": 4, "ablations": 2, **spec})
    work = derived_job(run, asked)
    status = Status(state=state, started=START, finished=START + 20, requested=START, message=_message(state))
    replace(work.path / "status.json", status.model_dump_json().encode())
    widths = {name: width for name, width in WIDTHS.items() if not asked.layers or name in asked.layers}
    tasks = list(run.spec.tasks)
    relevance = pd.concat([_relevance(tasks, widths, method) for method in asked.methods], ignore_index=True)
    first = relevance[relevance["method"] == asked.methods[0]].drop(columns="method")
    used = usage(first)
    tables = {"relevance": relevance, "usage": used, "layers": layer_usage(used), "overlaps": task_overlaps(used)}
    tables |= {"heads": _heads(tasks), "affinity": _affinity(tasks, widths)}
    if ablated:
        tables |= {"ablation": _ablation(first), "deletion": _deletion(tasks, widths)}
        tables["faithfulness"] = _faithfulness(tasks, widths, asked.methods)
    write_frames(work, tables)
    return work


def write_frames(work: DerivedJob, tables: dict[str, pd.DataFrame]) -> None:
    """Put tables into the folder of an explanation."""
    (work.path / "tables").mkdir(exist_ok=True)
    for name, frame in tables.items():
        frame.to_parquet(work.path / "tables" / f"{name}.parquet")


def write_circuits(work: DerivedJob) -> None:
    """Add circuits of 95 and 90 %: every task reads channel 0 of every layer; channel 1 serves the first task alone.

    An edge leads from every channel to outputs 0 and 1; the head of a task reads channels 0 and 1 of the trunk.
    """
    tasks = list(work.run.spec.tasks)
    rows = [
        (task, layer, source, destination, 0.1, kept, kept, True)
        for place, task in enumerate(tasks)
        for layer, source in _cells({name: width for name, width in WIDTHS.items() if name != "trunk"})
        for destination in (0, 1)
        for kept in [source == 0 or (source == 1 and place == 0)]
    ]
    rows += [
        (task, f"heads.{task}", source, 0, 0.2, source < 2, source < 2, False) for task in tasks for source in range(6)
    ]
    edges = pd.DataFrame(rows, columns=[*CIRCUITS, "kept_90", "kept_95", "shared"])
    figures = pd.DataFrame([_circuit(edges, task, level) for level in (0.9, 0.95) for task in tasks], columns=FIGURES)
    pairs = [(one, other) for place, one in enumerate(tasks) for other in tasks[place + 1 :]]
    overlaps = [(0.95, layer, *pair, 0.5, 0.4, 0.6, 0.1, 0.5, 1.0) for layer in ("", "stem") for pair in pairs]
    tables = {"circuits": edges, "circuit_figures": figures}
    write_frames(work, {**tables, "circuit_overlaps": pd.DataFrame(overlaps, columns=OVERLAPS)})


def _circuit(edges: pd.DataFrame, task: str, level: float) -> tuple[Any, ...]:
    own = edges[edges["task"] == task]
    kept = int(own["kept_95"].sum())
    return task, level, len(own), kept, kept / len(own), 0.5, 2.0, level, 0.9, 1.0, 0.9, 0.1, 0.2, 0.01, 0.02, 16


def _message(state: str) -> str:
    return "`run` should have a checkpoint that is whole. Found none." if state == "failed" else ""


def _cells(widths: dict[str, int]) -> list[tuple[str, int]]:
    return [(layer, channel) for layer, width in widths.items() for channel in range(width)]


def _relevance(tasks: Sequence[str], widths: dict[str, int], method: str) -> pd.DataFrame:
    rows = []
    for place, task in enumerate(tasks):
        for layer, channel in _cells(widths):
            wants = {1: 0, 2: len(tasks) - 1}.get(channel)
            value = 1.0 if wants is None or wants == place else 0.01
            value *= (place + 1) / (1 + channel)  # tasks have other units
            value *= 0.0 if (layer, channel) == ("trunk", 5) else 1.0
            rows.append((method, task, layer, channel, value, 0.9 * value, 1.2 * value, value > 0))
    names = ["method", "task", "layer", "channel", "relevance", "low", "high", "alive"]
    return pd.DataFrame(rows, columns=names)


def _ablation(relevance: pd.DataFrame) -> pd.DataFrame:
    """Channels 0 and 1 of every layer are switched off; the loss rises by a tenth of the relevance."""
    own = relevance[relevance["channel"] < 2]
    effect = own["relevance"] / 10
    own = own[["layer", "channel", "task"]].assign(
        step=STEP, group="", channels=1, fill="mean", images=4, loss=2 + effect, loss_change=effect, effect=effect
    )
    metric = own["task"].map({"seg": "miou", "depth": "abs_error", "normals": "mean_angle"})
    worse = own["task"].map({"seg": -1.0, "depth": 1.0, "normals": 1.0})
    return own.assign(metric=metric, value=0.5 + worse * effect, value_change=worse * effect)


def _deletion(tasks: Sequence[str], widths: dict[str, int]) -> pd.DataFrame:
    rows = [
        (layer, task, order, draw, fraction, 1, 2 + rise * fraction, rise * fraction, rise * fraction)
        for layer in widths
        for task in tasks
        for order, draw, rise in (("relevance", 0, 1.0), ("random", 0, 0.3), ("random", 1, 0.5))
        for fraction in (0.0, 0.25, 0.5)
    ]
    names = ["layer", "task", "order", "draw", "fraction", "channels", "loss", "loss_change", "effect"]
    return pd.DataFrame(rows, columns=names)


def _faithfulness(tasks: Sequence[str], widths: dict[str, int], methods: Sequence[str]) -> pd.DataFrame:
    """Each method agrees with ablation by a tenth better than the one before."""
    rows = []
    for better, method in enumerate(methods):
        figures = {"rank_correlation": 0.75 + better / 10, "share_correlation": 0.72, "split_half": 0.95}
        if not better:
            figures |= {"head_randomisation": 0.1, "cascade_1": 0.05, "cascade_4": -0.02}
        else:
            figures["share_correlation"] = 0.8
        rows += [(layer, t, name, v, method, 8) for layer in widths for t in tasks for name, v in figures.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _heads(tasks: Sequence[str]) -> pd.DataFrame:
    rows = [(task, f"heads.{task}", channel, float(channel), channel == 0) for task in tasks for channel in range(6)]
    return pd.DataFrame(rows, columns=["task", "layer", "channel", "norm", "zero"])


def _affinity(tasks: Sequence[str], widths: dict[str, int]) -> pd.DataFrame:
    pairs = [(one, other) for place, one in enumerate(tasks) for other in tasks[place + 1 :]]
    rows = [(layer, *pair, 0.5 - depth / 2, 0.2, np.nan) for depth, layer in enumerate(widths) for pair in pairs]
    return pd.DataFrame(rows, columns=["layer", "task", "other", "cosine", "conflict_rate", "transfer"])
