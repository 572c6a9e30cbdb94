"""A sensitivity analysis of a run: each layer alone is cut to several budgets, and every task is judged on each.

The run is only read. Nothing is trained, and no network is written. The tables, rewritten after each layer:

| table         | rows                 | columns                                                                      |
|---------------|----------------------|------------------------------------------------------------------------------|
| `sensitivity` | layer × share × task | `engine.studies.layer_budgets.COLUMNS`                                       |
| `suggested`   | layer                | `engine.studies.layer_budgets.SUGGESTED`, at the spec's tolerance            |
| `judged_on`   | one                  | step (of the checkpoint), images (of the validation split, the first ones)   |
"""

from typing import Literal

import pandas as pd
import torch
from torch import nn

from winnow.engine.graph.weights import Values
from winnow.engine.jobs.prune_job import relevance_frame
from winnow.engine.jobs.prune_report import MetricsOf, first_images
from winnow.engine.jobs.restore import Restored, restored_network
from winnow.engine.jobs.run_data import prepare, run_images
from winnow.engine.jobs.writer import Writer
from winnow.engine.pruning.layer_cuts import LayerCut, layer_cuts
from winnow.engine.pruning.scores import norm_scores, relevance_scores
from winnow.engine.pruning.units import Units, units
from winnow.engine.runs.quantities import metrics
from winnow.engine.runs.run import Run
from winnow.engine.specs.sensitivity import SensitivitySpec
from winnow.engine.studies.layer_budgets import COLUMNS, suggested_budgets, with_falls
from winnow.engine.tasks.task import Task
from winnow.engine.training.evaluate import validated


def run_sensitivity(
    run: Run, spec: SensitivitySpec, writer: Writer, stop_requested: object
) -> Literal["done", "stopped"]:
    """Cut each layer of a run's network as the spec asks and write what the tasks lose; return the final state.

    Raises:
        ValueError: no checkpoint, a network without removable channels, no task with a metric that can fall.

    """
    device = prepare(spec.threads, spec.device, own_code=run.spec.steps_in_own_code)
    writer.status(phase="reading the run")
    restored = restored_network(run, device)
    if restored.skipped:
        writer.remark(f"damaged checkpoints were skipped: {', '.join(restored.skipped)}")
    judged = run_images(run, restored.tasks, "val", device, lambda phase: writer.tick(phase=phase), spec.images)
    found = units(restored.net, judged.example())
    if not len(found):
        raise ValueError(f"`RUN` must have channels that can be removed, got {run.id}, which has none.")
    writer.table("judged_on", pd.DataFrame({"step": [restored.step], "images": [judged.images]}))

    def evaluate(model: nn.Module) -> MetricsOf:
        return validated(model, restored.tasks, judged)

    dense, rows = evaluate(restored.net), list[list[object]]()
    cuts, total = len(spec.shares), len(spec.shares) * len(found.names)
    scores = _scores(run, spec, restored, found, device, writer)
    for place, cut in enumerate(layer_cuts(found, scores, evaluate, spec.shares), 1):
        rows += _rows(cut, dense, restored.tasks)
        if place % cuts == 0:
            table = with_falls(pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "fall"]))
            writer.table("sensitivity", table)
            writer.table("suggested", suggested_budgets(table, spec.tolerance))
        writer.tick(phase=f"{cut.layer}: {cut.share:g} % of its channels cut", progress=place / total)
        if stop_requested and place < total:
            return "stopped"
    return "done"


def _scores(
    run: Run, spec: SensitivitySpec, restored: Restored, found: Units, device: torch.device, writer: Writer
) -> Values:
    """Return the score of each unit by the spec's criterion."""
    if spec.criterion == "norm":
        return norm_scores(found)
    count = spec.relevance_images
    writer.status(phase=f"measuring relevance on {count} images")
    training = run_images(run, restored.tasks, "train", device, lambda phase: writer.tick(phase=phase), count)
    return relevance_scores(found, relevance_frame(restored, first_images(training, count)), list(restored.tasks))


def _rows(cut: LayerCut, dense: MetricsOf, tasks: dict[str, Task]) -> list[list[object]]:
    """Return the rows of one cut, one per task, without the fall; a task without a metric is judged by its loss."""
    place = [cut.layer, cut.channels, cut.unused, cut.share, cut.cut, cut.parameters, cut.macs]
    rows: list[list[object]] = []
    for name, task in tasks.items():
        main = next(iter(metrics(task.field)), None)
        metric, unit, better = (main.name, main.unit, main.better == "higher") if main else ("loss", "", False)
        values = [dense[name][metric], cut.metrics[name][metric]]
        rows.append([*place, name, metric, unit, better, *values])
    return rows
