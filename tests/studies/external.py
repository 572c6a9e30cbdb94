"""Torch-Pruning as arms of the claim: the trained dense network, pruned by their scores, trained on for as long.

Both arms start from the dense run's weights, as the sparse run does. They lose whole channels until they have as many
parameters as the sparse network has that are not zero. Then they are trained with the study's optimiser, schedule,
batch size and epochs; the validation split picks the epoch, the test split is looked at once. What is done is kept as
JSON beside the tables and is not trained again.

| arm                     | score of a channel                                                                         |
|-------------------------|--------------------------------------------------------------------------------------------|
| `torch-pruning, norm`   | norm of all weights that write and read it (`GroupMagnitudeImportance`; 2301.12900)        |
| `torch-pruning, Taylor` | |w ∂L/∂w| summed over the same weights, from 8 batches (`GroupTaylorImportance`)           |
"""

import copy
import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from winnow.engine.jobs.restore import restored_network
from winnow.engine.jobs.run_data import batches
from winnow.engine.jobs.study_members import living_parameters
from winnow.engine.measure.counts import parameters
from winnow.engine.runs.quantities import metrics
from winnow.engine.runs.run import Run
from winnow.engine.studies.skill import skill
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batches
from winnow.engine.training.evaluate import validated
from winnow.engine.training.loop import EpochDone, constant_metrics
from winnow.engine.training.refit import Refit, Split, refit

SCORES = {"norm": "GroupMagnitudeImportance", "Taylor": "GroupTaylorImportance"}
BATCHES = 8  # whose gradients the Taylor scores are of
HALVINGS = 12  # of the share that goes
CPU = torch.device("cpu")
Given = tuple[Mapping[str, Task], Batches, Mapping[str, float]]  # tasks, training images, weights of the losses


def external_rows(
    tp: ModuleType, runs: tuple[Run, Run], who: Mapping[str, object], score: str, folder: Path
) -> list[dict[str, object]]:
    """Return the rows of `results` of one arm and seed; `runs` are the dense and the sparse run of the seed."""
    kept = folder / f"torch-pruning-{score}-{runs[1].id}.json"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(_trained(tp, runs, score)))
    found = json.loads(kept.read_text())
    fields, arm = runs[0].spec.fields, f"torch-pruning, {score}"
    return [
        {
            **who,
            "arm": arm,
            "run": f"{arm} of {runs[1].id}",
            "split": split,
            "task": task,
            "metric": metric.name,
            "value": found[split][task].get(metric.name, float("nan")),
            "unit": metric.unit,
            "higher_is_better": metric.better == "higher",
            "main": place == 0,
            "parameters": found["parameters"],
        }
        for split in ("val", "test")
        for task in found[split]
        for place, metric in enumerate(metrics(fields[task]))
    ]


def _trained(tp: ModuleType, runs: tuple[Run, Run], score: str) -> dict[str, Any]:
    dense, sparse = runs
    spec = dense.spec
    restored = restored_network(dense, CPU)
    tasks = restored.tasks
    images = {split: batches(spec, tasks, split, CPU, lambda _: None) for split in ("train", "val")}
    weights = restored.weights
    net = pruned(tp, restored.net, (tasks, images["train"], weights), score, living_parameters(sparse))
    settings = Refit(spec.epochs, spec.optimiser, weights, spec.seed, spec.flips)
    best = _best_epoch(net, tasks, images, settings)
    test = batches(spec, tasks, "test", CPU, lambda _: None)
    reached = {split: validated(best, tasks, images) for split, images in (("val", images["val"]), ("test", test))}
    return {**reached, "parameters": parameters(best)}


def _best_epoch(net: nn.Module, tasks: Mapping[str, Task], images: Mapping[str, Batches], settings: Refit) -> nn.Module:
    """Train on; return the network of the epoch with the highest mean skill on validation."""
    constant = constant_metrics(tasks, images["train"], images["val"])
    fields = {name: task.field for name, task in tasks.items()}
    best, kept = float("-inf"), net
    for record in refit(net, tasks, Split(images["train"], images["val"]), settings):
        if isinstance(record, EpochDone) and (reached := skill(record.metrics, constant, fields)) > best:
            best, kept = reached, copy.deepcopy(net)
    return kept.eval()


def pruned(
    tp: ModuleType,
    dense: nn.Module,
    given: Given,
    score: str,
    wanted: int,
) -> nn.Module:
    """Return a copy without the trunk's channels of the lowest scores, of at most `wanted` parameters."""
    low, high = 0.0, 1.0
    found: nn.Module | None = None
    for _ in range(HALVINGS):
        share = (low + high) / 2
        candidate = _without(tp, dense, given, score, share)
        if parameters(candidate) <= wanted:
            found, high = candidate, share
        else:
            low = share
    if found is None:
        raise ValueError(f"`wanted` must be a size that whole channels can reach, got {wanted}.")
    return found


def _without(
    tp: ModuleType,
    dense: nn.Module,
    given: Given,
    score: str,
    share: float,
) -> nn.Module:
    net, (tasks, images, weights) = copy.deepcopy(dense).eval(), given
    if score == "Taylor":
        _accumulate(net, tasks, images, weights)
    heads = [module for module in net.heads.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    pruner = tp.pruner.BasePruner(
        net,
        images.example(),
        importance=getattr(tp.importance, SCORES[score])(),
        global_pruning=True,
        pruning_ratio=share,
        max_pruning_ratio=0.98,
        ignored_layers=heads,
        output_transform=lambda out: sum(each.sum() for each in out.values()),
    )
    pruner.step()
    net.zero_grad()
    return net


def _accumulate(net: nn.Module, tasks: Mapping[str, Task], images: Batches, weights: Mapping[str, float]) -> None:
    """Leave in every parameter the gradient of the weighted losses over the first batches."""
    for batch in islice(images.in_order(), BATCHES):
        predictions = net(batch.images)
        losses = [
            weights.get(name, 1.0) * task.loss(predictions[name], batch.targets[name]) for name, task in tasks.items()
        ]
        torch.stack(losses).sum().backward()
