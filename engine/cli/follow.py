"""The progress of a live worker: a bar with the time left on a terminal, plain lines elsewhere."""

import math
import sys
import time
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from winnow.engine.runs import launch
from winnow.engine.runs.events import current_events
from winnow.engine.runs.labels import labels_of
from winnow.engine.runs.quantities import SPARSITIES, metrics
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE, WorkFolder

POLL = 0.25  # s


def attend(work: WorkFolder, label: str, quiet: bool = False) -> bool:
    """Show the progress of a worker until it ends; return whether the user stopped it with Ctrl-C.

    After the first Ctrl-C it finishes its step and saves its results; the second one ends it at once.
    """
    try:
        show_progress(work, label, quiet)
    except KeyboardInterrupt:
        errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        errors.print("\nstopping after this step; press Ctrl-C again to end it at once")
        launch.stop(work)
        try:
            show_progress(work, label, quiet=True)
        except KeyboardInterrupt:
            launch.kill(work)
        return True
    return False


def show_progress(work: WorkFolder, label: str, quiet: bool = False) -> None:
    """Show the progress of a worker until it ends."""
    if quiet:
        while work.status.state in LIVE:
            time.sleep(POLL)
    elif sys.stdout.isatty():
        _bar(work, label)
    else:
        _lines(work)


def _bar(work: WorkFolder, label: str) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console()) as progress:
        bar = progress.add_task(work.id, total=1.0)
        told = ""
        while (status := work.status).state in LIVE:
            phase = f"epoch {status.epoch} of {status.epochs}" if status.epoch else status.phase
            progress.update(bar, completed=status.progress, description=f"{label}: {phase}")
            if status.message != told:
                told = status.message
                progress.console.print(told, markup=False, highlight=False)
            time.sleep(POLL)
        if status.state == "done" and status.message not in ("", told):
            progress.console.print(status.message, markup=False, highlight=False)
        progress.update(bar, completed=status.progress, description=f"{label}: {status.state}")


def _lines(work: WorkFolder) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    said = told = ""
    while True:
        status = work.status
        text = f"epoch {status.epoch} of {status.epochs}" if status.epoch else status.phase.split(":")[0]
        if text != said and status.state in LIVE:
            left = f", {status.remaining:.0f} s left" if status.remaining else ""
            console.print(f"{work.id}: {text}{left}")
            said = text
        if status.message not in ("", told) and status.state in (*LIVE, "done"):  # why it failed, the caller says
            told = status.message
            console.print(f"{work.id}: {told}")
        if status.state not in LIVE:
            console.print(f"{work.id}: {status.state}")
            return
        time.sleep(POLL)


def outcome(run: Run) -> dict[str, Any]:
    """Return the state of a run: message, epoch, sparsities [%], {task: [metric, value, unit]} on validation."""
    status = run.status
    events = current_events(run.events())
    judged = events[events["split"].isin(["val", "model"])].fillna({"task": ""})
    values = dict(zip(zip(judged["task"], judged["quantity"], strict=True), judged["value"], strict=True))
    figures: dict[str, Any] = {}
    for task in run.spec.tasks:
        main = metrics(run.spec.fields[task])[0]
        if (task, main.name) in values:
            figures[task] = [main.name, _number(values[task, main.name]), main.unit]
    return {
        "run": run.id,
        "name": labels_of(run.path).name or run.spec.name,
        "state": status.state,
        "message": status.message,
        "epoch": status.epoch,
        "metrics": figures,
        **{name: _number(values.get(("", name))) for name in SPARSITIES},
        **({"predicted": predicted} if (predicted := _predicted(events)) else {}),
        **({"skipped": len(run.table("skipped"))} if (run.path / "tables" / "skipped.parquet").is_file() else {}),
    }


def _predicted(events: pd.DataFrame) -> dict[str, float | None]:
    """Return what a target of latency or memory was predicted to save, and what was measured at the end [%]."""
    own = events[events["split"] == "predicted"]
    return {name: _number(value) for name, value in zip(own["quantity"], own["value"], strict=True)}


def _number(value: float | None) -> float | None:
    """Return a float that JSON can hold, None otherwise."""
    return None if value is None or not math.isfinite(value) else float(value)
