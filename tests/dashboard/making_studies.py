"""Small studies and paths, their tables made by the functions that the worker uses, of results that are made up."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.dashboard.making import NETWORK, START
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.files import replace
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.quantities import metrics
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.study import COLUMNS, Study, create_study
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.study import parse_many
from winnow.engine.specs.train import parse
from winnow.engine.studies.plan import Member, plan
from winnow.engine.studies.rows import results_table
from winnow.engine.studies.tables import study_tables

BASE: dict[str, Any] = {"tasks": ["seg", "depth"], "epochs": 5, "threads": 1}
HARM = {
    "dense": 0.0,
    "sparse": 0.0,
    "continued": -0.01,
    "scratch": 0.012,
    "magnitude": 0.03,
    "unanimous": 0.04,
    "small": 0.05,
    "tailored": -0.005,
    "transferred": 0.01,
    "found": 0.005,
    "random": 0.06,
}
LAYERS = (Layer("stem", 12, 9), Layer("<b>deep</b>", 20, 18))
DONE = Status(state="done", epoch=5, epochs=5, started=START, finished=START + 50, requested=START)


def write_study(root: Path, layers: tuple[Layer, ...] = LAYERS, state: str = "done", **asked: Any) -> Study:
    """Write a study or path that has ended, with all its runs."""
    values = {"kind": "study", "name": "made up", "base": BASE, "targets": [50], "subsets": ["each", "all"], **asked}
    return write_results(create_study(parse_many(values), root), layers, state)


def write_path(root: Path, layers: tuple[Layer, ...] = LAYERS, **asked: Any) -> Study:
    """Write a path over four targets."""
    values = {"kind": "path", "name": "made up", "base": BASE, "targets": [20, 40, 60, 80], **asked}
    return write_results(create_study(parse_many(values), root), layers)


def write_tailoring(root: Path, **asked: Any) -> Study:
    """Write a tailoring over three seeds; of depth, no layer of the last stage lives in all of them."""
    values = {"kind": "tailor", "name": "made up", "base": BASE, "targets": [50], "seeds": [0, 1, 2], **asked}
    return write_results(create_study(parse_many(values), root), LAYERS)


def _write_network(run: Run, member: Member) -> None:
    """Write the graph of a run: a chain of one layer for each of the four stages, with a way around the last."""
    layers = [f"trunk.stages.{stage}.0.conv1.0" for stage in range(4)]
    frame = pd.DataFrame({"name": ["images", *layers, "out"], "kind": ["input", *["layer"] * 4, "output"]})
    frame["node"], frame["columns"], frame["used"] = range(6), 20, 10
    for name, kind in NETWORK.dtypes.items():
        if name not in frame:
            frame[name] = 0 if pd.api.types.is_numeric_dtype(kind) else ""
    if member.tasks == ("depth",) and member.seed == 2:
        frame.loc[4, "used"] = 0
    frame.to_parquet(run.path / "tables" / "network.parquet")
    ways = [*zip(range(5), range(1, 6), strict=True), (3, 5)]  # and a way around the last layer
    edges = pd.DataFrame(ways, columns=["source", "target"]).assign(channels=20, kept=20)
    edges.to_parquet(run.path / "tables" / "streams.parquet")


def write_results(study: Study, layers: tuple[Layer, ...], state: str = "done") -> Study:
    """Write the runs of a study, its tables and its status."""
    rows: list[dict[str, object]] = []
    members = []
    for place, member in enumerate(plan(study.spec)):
        run = _run(study.root, member, layers)
        results = _results(member, run)
        _log(run, results)
        rows += results
        members.append([*_who(member), "done", run.id, place == 0, ""])
    (study.path / "tables").mkdir(exist_ok=True)
    tables = {**study_tables(study, results_table(rows)), "members": pd.DataFrame(members, columns=pd.Index(COLUMNS))}
    for name, table in tables.items():
        table.to_parquet(study.path / "tables" / f"{name}.parquet")
    status = DONE.model_copy(update={"state": state, "phase": f"{len(members)} of {len(members)} runs over"})
    replace(study.path / "status.json", status.model_dump_json().encode())
    return study


def _run(root: Path, member: Member, layers: tuple[Layer, ...]) -> Run:
    """Write a run whose groups are zero in the order of a fixed draw, another one for each seed."""
    spec = parse({**member.spec.model_dump(), "start": None})
    run = create(spec, root)
    norms = norms_of(member, layers)
    run.norms.begin(list(layers))
    run.norms.append(5, 50, 0.0, norms)
    table = run.groups().drop(columns="alive")
    table = table.assign(layer=table["layer"].astype(str), state=np.where(norms > 0, "alive", "dead"))
    table.loc[(norms > 0) & (norms < 0.3), "state"] = "near"
    (run.path / "tables").mkdir(exist_ok=True)
    table.to_parquet(run.path / "tables" / "groups.parquet")
    total = pd.DataFrame({"component": ["total"], "parameters": [1000], "macs": [1e6]})
    total.assign(removable_parameters=0, removable_macs=0.0, gathered_macs=0.0).to_parquet(
        run.path / "tables" / "components.parquet"
    )
    _write_network(run, member)
    replace(run.path / "status.json", DONE.model_dump_json().encode())
    return run


def _log(run: Run, results: list[dict[str, object]]) -> None:
    """Write the results as the events that a worker writes."""
    split = {"val": ("kept", "val"), "test": ("test",)}
    events = [
        Event(START, 5, 50, str(row["task"]), name, str(row["metric"]), float(str(row["value"])))
        for row in results
        for name in split[str(row["split"])]
    ]
    figures = ("group_sparsity", "parameter_sparsity", "mac_sparsity", "removable_parameters", "removable_macs")
    events += [Event(START, 5, 50, None, "model", name, float(str(results[0][name]))) for name in figures]
    write_events(run.path / "events.jsonl", events)


def norms_of(member: Member, layers: tuple[Layer, ...]) -> np.ndarray:
    """Return norms of which the share that the member asks for is zero, the strongest left."""
    count = sum(layer.groups for layer in layers)
    norms = np.random.default_rng(member.seed).uniform(0.1, 3.0, count).astype(np.float32)
    zeros = round(count * member.level.value / 100)
    norms[np.argsort(norms)[:zeros]] = 0
    return norms


def _who(member: Member) -> list[object]:
    level = member.level
    return [member.key, member.arm, member.subset, member.balancing, level.of, level.value, member.seed]


def _results(member: Member, run: Run) -> list[dict[str, object]]:
    """Return results that fall once half of the groups are gone, a little else for each seed and arm."""
    share = member.level.value / 100
    loss = (
        0.3 * max(share - 0.5, 0.0)
        - 0.05 * share
        + 0.004 * ((member.seed * (1 + len(member.arm)) + round(10 * share)) % 7)
        + HARM[member.arm]
    )
    names = ("arm", "subset", "balancing", "level_of", "level", "seed")
    who = dict(zip(names, _who(member)[1:], strict=True))
    figures = {
        "group_sparsity": 100 * share,
        "parameter_sparsity": 80 * share,
        "mac_sparsity": 60 * share,
        "removable_parameters": 70 * share,
        "removable_macs": 50 * share,
        "gathered_macs": 55 * share,
        "skill": 0.6 - loss,
        "strength": 1e-3 * share,
        "parameters": 1000.0,
        "macs": 1e6,
    }
    rows: list[dict[str, object]] = []
    for split in ("val", "test"):
        for task in member.tasks:
            for place, metric in enumerate(metrics(run.spec.data.fields[task])):
                higher = metric.better == "higher"
                value = 50 * (1 - loss) if higher else 0.4 * (1 + loss)
                judged = {"split": split, "task": task, "metric": metric.name, "value": value, "unit": metric.unit}
                kinds = {"higher_is_better": higher, "main": place == 0}
                rows.append({**who, "run": run.id, **judged, **kinds, **figures})
    return rows
