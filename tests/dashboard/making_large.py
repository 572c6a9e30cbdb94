"""Runs as large as a ResNet-50 and a ViT-B, with an explanation and a sensitivity analysis: what pages must bear."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.dashboard import making
from tests.dashboard.making_explanations import write_frames
from tests.dashboard.pruning_making import set_status, write_pruning, write_table
from winnow.engine.explain.usage import layer_usage, task_overlaps, usage
from winnow.engine.runs.derived import derived_job, read
from winnow.engine.runs.files import replace
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.explain import ExplainSpec
from winnow.engine.specs.train import parse
from winnow.engine.studies.layer_budgets import COLUMNS, with_falls

TASKS = ("seg", "depth", "normals")
EPOCHS = 30
SHARES = (10.0, 25.0, 50.0, 75.0, 90.0)
MAIN = {"seg": ("miou", "%", True), "depth": ("abs_error", "m", False), "normals": ("mean_angle", "°", False)}


def resnet50() -> list[Layer]:
    """Return the 55 layers of a ResNet-50 with two wide heads, and their 22,787 input groups."""
    layers = [Layer("trunk.stem", 3, 49 * 64)]
    width = 64
    for stage, (blocks, inner) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for block in range(blocks):
            name = f"trunk.stages.{stage}.{block}"
            parts = [("conv1", width), ("conv2", inner), ("conv3", inner)]
            parts += [("around", width)] if block == 0 else []
            layers += [Layer(f"{name}.{part}", channels, 9 * inner) for part, channels in parts]
            width = 4 * inner
    return [*layers, Layer("heads.seg.out", 128, 40), Layer("heads.depth.out", 128, 1)]


def vit_b() -> list[Layer]:
    """Return the stream of a ViT-B, and the heads and the hidden units of its 12 layers."""
    inner = [
        layer
        for block in range(12)
        for layer in (
            Layer(f"trunk.blocks.{block}.attention.heads", 12, 4 * 64 * 768),
            Layer(f"trunk.blocks.{block}.mlp.units", 3072, 2 * 768),
        )
    ]
    return [Layer("trunk.stream", 768, 12 * 4000), *inner]


def write_large(root: Path, layers: list[Layer], name: str) -> Run:
    """Write a run with these layers: a third of the groups die; with tables, an explanation, a pruning, an analysis."""
    run = create(parse({"name": name, "epochs": EPOCHS, "tasks": list(TASKS)}), root)
    run.norms.begin(layers)
    count = sum(layer.groups for layer in layers)
    start = np.random.default_rng(0).uniform(0.01, 2.0, count).astype(np.float32)
    for epoch in range(EPOCHS + 1):
        making.write_events(run.path / "events.jsonl", _epoch(epoch))
        norms = np.maximum(start - 0.7 * epoch / EPOCHS, 0).astype(np.float32)
        run.norms.append(epoch, 10 * epoch, 1e-3, norms)
    known = {"state": "done", "epoch": EPOCHS, "epochs": EPOCHS, "started": making.START, "requested": making.START}
    replace(run.path / "status.json", Status(**known, finished=making.START + 65).model_dump_json().encode())
    making.write_checkpoint(_with_tables(run, layers))
    _explained(run, layers)
    write_pruning(run, criterion="norm", budget=50)
    _analysed(run, layers)
    return run


def _epoch(epoch: int) -> list[Any]:
    def event(step: int, task: str | None, split: str, quantity: str, value: float) -> Any:
        return making.Event(making.START, epoch, step, task, split, quantity, value)

    last = 10 * epoch
    events = [event(last, task, "val", name, 1.0 / (1 + epoch)) for task, (name, *_) in MAIN.items()]
    events += [event(last, task, "val", "loss", 2.0 - epoch / 50) for task in TASKS]
    events += [event(last, None, "model", f"{of}_sparsity", 1.0 * epoch) for of in ("group", "parameter", "mac")]
    for step in range(last - 9, last + 1) if epoch else ():
        events += [event(step, task, "train", "loss", 3.0 / step) for task in TASKS]
        events += [event(step, None, "train", "alive", 1 - epoch / 90), event(step, None, "train", "strength", 1e-3)]
    return events


def _with_tables(run: Run, layers: list[Layer]) -> Run:
    norms = run.groups()
    dead, firm = norms["norm"].to_numpy() == 0, np.linspace(0, 1, len(norms))
    groups = norms.drop(columns="alive").assign(
        layer=norms["layer"].astype(str), relative=norms["norm"] / 2, state=np.where(dead, "dead", "alive"),
        firmness=np.where(dead, firm, np.nan), removable=dead, blocked="",
    )  # fmt: skip
    cells = norms[["layer", "channel"]].loc[norms.index.repeat(9)].reset_index(drop=True)
    place = np.tile(np.arange(9), len(norms))
    kernels = cells.assign(
        layer=cells["layer"].astype(str), row=place // 3, column=place % 3, magnitude=np.float32(0.1) * place
    )
    nodes = [(0, "input", "images", "", "", "images", "all", 3, 3, 0, 0, 0, 0.0, 0.0, 0.0)]
    for place, layer in enumerate(layers, 1):
        width = layer.groups
        nodes.append(
            (
                place,
                "layer",
                layer.name,
                "Conv2d",
                "trunk",
                layer.name,
                "all",
                width,
                width // 2,
                3,
                3,
                900,
                1e6,
                1e5,
                1e5,
            )
        )
    network = pd.DataFrame(nodes, columns=making.NETWORK.columns)
    edges = [(place, place + 1, layer.groups, layer.groups // 2) for place, layer in enumerate(layers)]
    tables = {"groups": groups, "kernels": kernels, "network": network}
    tables |= {"streams": pd.DataFrame(edges, columns=making.STREAMS.columns)}
    (run.path / "tables").mkdir(exist_ok=True)
    for name, frame in tables.items():
        frame.to_parquet(run.path / "tables" / f"{name}.parquet")
    return run


def _explained(run: Run, layers: list[Layer]) -> None:
    work = derived_job(run, ExplainSpec(images=8, ablation_images=4, ablations=2))
    status = Status(state="done", started=making.START, finished=making.START + 20, requested=making.START)
    replace(work.path / "status.json", status.model_dump_json().encode())
    shared = [layer for layer in layers if not layer.name.startswith("heads")]
    names = np.repeat([layer.name for layer in shared], [layer.groups for layer in shared])
    channels = np.concatenate([np.arange(layer.groups) for layer in shared])
    chance, parts = np.random.default_rng(1), []
    for task in TASKS:
        value = chance.gamma(0.5, 1.0, len(names))
        frame = {"task": task, "layer": names, "channel": channels, "relevance": value}
        parts.append(pd.DataFrame({**frame, "low": 0.8 * value, "high": 1.2 * value, "alive": value > 0.01}))
    first = pd.concat(parts, ignore_index=True)
    used = usage(first)
    tables = {"relevance": first.assign(method="taylor"), "usage": used}
    write_frames(work, {**tables, "layers": layer_usage(used), "overlaps": task_overlaps(used)})


def _analysed(run: Run, layers: list[Layer]) -> None:
    work = derived_job(run, read({"kind": "sensitivity", "shares": list(SHARES)}))
    set_status(work, state="done", phase="done", progress=1.0, started=making.START, finished=making.START + 9)
    rows = [
        [layer.name, layer.groups, 0, share, int(layer.groups * share / 100), 0.1, 0.1, task, *MAIN[task], 1.0,
         1.0 + share / 500]
        for layer in layers for share in SHARES for task in TASKS
    ]  # fmt: skip
    write_table(work, "sensitivity", with_falls(pd.DataFrame(rows, columns=list(COLUMNS[:-1]))))
    write_table(work, "judged_on", pd.DataFrame({"step": [making.STEP], "images": [64]}))
