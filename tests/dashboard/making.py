"""Small runs, written with the writers that the worker uses."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.train import parse

LAYERS = [Layer("stem", 3, 9), Layer("<b>deep</b>", 4, 18)]
START = 1_750_000_000.0
STEP = 30  # of the checkpoint
STAMP, SECOND = "%Y%m%d-%H%M%S", 15  # how an id begins, and for how many characters
BEGINNING = re.compile(r"20\d{6}-\d{6}-")
NETWORK = pd.DataFrame(
    [
        (0, "input", "images", "", "", "images", "depth", 3, 3, 0, 0, 0, 0.0, 0.0, 0.0),
        (1, "layer", "stem", "Conv2d", "trunk", "stem", "depth", 4, 2, 3, 3, 108, 6000.0, 3000.0, 3000.0),
        (2, "layer", "<b>deep</b>", "Conv2d", "trunk", "add", "depth", 4, 4, 4, 2, 72, 2000.0, 0.0, 1000.0),
        (3, "join", "add", "add", "", "add", "depth", 4, 4, 0, 0, 0, 0.0, 0.0, 0.0),
        (4, "layer", "heads.depth", "Linear", "heads.depth", "", "depth", 1, 1, 4, 4, 200, 2000.0, 0.0, 0.0),
        (5, "output", "depth", "", "", "", "depth", 1, 1, 0, 0, 0, 0.0, 0.0, 0.0),
    ],
    columns=[
        *("node", "kind", "name", "operation", "component", "space", "outputs", "channels", "kept", "columns", "used"),
        *("parameters", "macs", "removable_macs", "gathered_macs"),
    ],
)
STREAMS = pd.DataFrame(
    [(0, 1, 3, 3), (1, 2, 4, 2), (1, 3, 4, 4), (2, 3, 4, 0), (3, 4, 4, 4), (4, 5, 1, 1)],
    columns=["source", "target", "channels", "kept"],
)


def write_run(root: Path, epochs: int = 3, state: str = "done", message: str = "", **spec: Any) -> Run:
    """Write a run of some epochs: one channel dies in each, from the last one on."""
    run = newest(create(parse({"name": "small", "epochs": 5, "tasks": ["depth"], **spec}), root))
    run.norms.begin(LAYERS)
    for epoch in range(epochs + 1):
        write_events(run.path / "events.jsonl", _epoch(epoch, run.spec.penalty.strength))
        norms = np.linspace(1.0, 2.0, 7, dtype=np.float32) * (np.arange(7) < 7 - epoch)
        run.norms.append(epoch, 10 * epoch, run.spec.penalty.strength, norms)
    status = Status(
        state=state, message=message, epoch=epochs, epochs=5, started=START, finished=START + 65, requested=START
    )
    replace(run.path / "status.json", status.model_dump_json().encode())
    return run


def newest(run: Run) -> Run:
    """Return a run under an id that is later than all others: ids hold the second, in which a test makes several."""
    names = [other.name for other in run.path.parent.iterdir() if other != run.path]
    latest = max((name[:SECOND] for name in names if BEGINNING.match(name)), default="")
    if run.id[:SECOND] > latest:
        return run
    later = datetime.strptime(latest, STAMP).replace(tzinfo=UTC) + timedelta(seconds=1)
    return Run(run.path.rename(run.path.with_name(f"{later:{STAMP}}{run.id[SECOND:]}")))


def write_tables(run: Run, nearly: tuple[int, ...] = ()) -> Run:
    """Write what the engine says of the newest norms: the groups at `nearly` are near the threshold."""
    norms = run.groups()
    dead = norms["norm"].to_numpy() == 0
    place = np.arange(len(norms))
    groups = norms.drop(columns="alive").assign(
        layer=norms["layer"].astype(str),
        relative=norms["norm"] / 2,
        state=np.where(dead, "dead", np.where(np.isin(place, nearly), "near", "alive")),
        firmness=np.where(dead, 0.1 * place, np.nan),
        removable=dead & (place % 2 == 0),
        blocked=np.where(dead & (place % 2 == 0), "", "add: 4 readers, 3 still use it (<b>a</b>, b, c)"),
    )
    kernels = pd.DataFrame(
        [("stem", c, i // 3, i % 3, 0.1 * (i + c)) for c in range(3) for i in range(9)]
        + [("<b>deep</b>", c, 0, 0, 1.0 - c / 3) for c in range(4)],
        columns=["layer", "channel", "row", "column", "magnitude"],
    )
    components = pd.DataFrame(
        [("trunk", 800, 8000.0, 400, 2000.0, 3000.0), ("heads.depth", 200, 2000.0, 0, 0.0, 0.0)],
        columns=["component", "parameters", "macs", "removable_parameters", "removable_macs", "gathered_macs"],
    )
    components.loc[2] = ["total", *components.drop(columns="component").sum()]
    (run.path / "tables").mkdir(exist_ok=True)
    tables = {"groups": groups, "kernels": kernels, "components": components, "network": NETWORK, "streams": STREAMS}
    for name, frame in tables.items():
        frame.to_parquet(run.path / "tables" / f"{name}.parquet")
    return run


def write_checkpoint(run: Run) -> Run:
    """Write the manifest of a checkpoint, which is what makes it exist."""
    (run.path / "weights").mkdir(exist_ok=True)
    replace_json(run.path / "weights" / f"{STEP:08d}.json", {"step": STEP, "bytes": 0, "sha256": ""})
    return run


def _epoch(epoch: int, strength: float) -> list[Event]:
    """Return what a worker records in an epoch of ten steps; before the first, the constant prediction."""

    def event(step: int, task: str | None, split: str, quantity: str, value: float | None) -> Event:
        return Event(START, epoch, step, task, split, quantity, value)

    if epoch == 0:
        events = [event(0, "depth", "constant", "abs_error", 1.5)]
    else:
        steps = range(10 * (epoch - 1) + 1, 10 * epoch + 1)
        events = [event(step, "depth", "train", "loss", 3.0 / step) for step in steps]
        events += [event(step, None, "train", "alive", 1 - epoch / 7) for step in steps]
        events += [event(step, None, "train", "strength", strength) for step in steps]
    last = 10 * epoch
    events += [
        event(last, "depth", "val", "loss", 2.0 - epoch / 5),
        event(last, "depth", "val", "abs_error", 1 / (1 + epoch)),
    ]
    counts = ("group_sparsity", "parameter_sparsity", "mac_sparsity")
    return events + [event(last, None, "model", name, 10.0 * epoch) for name in counts]
