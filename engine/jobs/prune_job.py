"""A pruning from a run's newest checkpoint to a smaller network: restored, scored, chosen, removed, measured, refitted.

The run is only read. What is written goes into the pruning's own folder (`engine.jobs.prune_report`), as soon as it is
known, so that a pruning that is stopped leaves what it found.
"""

from typing import Literal

import numpy as np
import pandas as pd
from torch import nn

from winnow.engine.export import save_model
from winnow.engine.graph.weights import Flags, Values
from winnow.engine.jobs.certificate_file import certificate_document, reasons_table
from winnow.engine.jobs.prune_report import measures_table
from winnow.engine.jobs.prune_state import BEFORE_REFIT, MetricsOf, Pruning, Stopped, first, pictures
from winnow.engine.jobs.restore import Restored, restore
from winnow.engine.jobs.run_data import batches, prepare
from winnow.engine.jobs.writer import Pen
from winnow.engine.pruning import Compacted, compact, transfer
from winnow.engine.pruning.budget import Budget, choose
from winnow.engine.pruning.latency_budget import Timed
from winnow.engine.pruning.masking import silence
from winnow.engine.pruning.scores import norms, relevance
from winnow.engine.pruning.sweep import SHARES, sweep_steps
from winnow.engine.pruning.units import Units, units
from winnow.engine.pruning.what_if import WhatIf
from winnow.engine.runs.files import replace_json
from winnow.engine.runs.run import Run
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.training.batches import Batch
from winnow.engine.training.evaluate import validated
from winnow.engine.training.refit import Refit, RefitStep, Split, refit


def run_prune(run: Run, spec: PruneSpec, pen: Pen, asked_to_end: object) -> Literal["done", "stopped"]:
    """Prune a run's network as asked, and write what came of it; return the final state.

    Args:
        run: the run, of which at least one checkpoint is whole.
        spec: what is asked.
        pen: writes into the pruning's folder.
        asked_to_end: true, as a condition, once somebody wants it to end.

    Raises:
        ValueError: no checkpoint, a task that the run does not have, a budget that cannot be met.
        NotExact: the smaller network does not give what it should.

    """
    try:
        pruning = _begun(run, spec, pen, asked_to_end)
        compacted, masked = _removed(pruning)
        _measured(pruning, masked, compacted.model)
        if spec.refit_epochs:
            _refitted(pruning, compacted, masked)
        pen.status(phase="writing the network")
        save_model(pen.folder / "model", compacted.model, pruning.validation.example())
    except Stopped:
        return "stopped"
    return "done"


def _begun(run: Run, spec: PruneSpec, pen: Pen, ending: object) -> Pruning:
    """Read the run: its network, and the images that are needed."""
    device = prepare(spec.threads, spec.device)
    pen.status(phase="reading the run")
    restored = restore(run, device)
    if restored.skipped:
        pen.status(message=f"damaged checkpoints were passed over: {', '.join(restored.skipped)}")
    if unknown := [task for task in spec.tasks if task not in restored.tasks]:
        known = ", ".join(restored.tasks)
        raise ValueError(f"`tasks` should be among those of the run, {known}. Found {', '.join(unknown)}.")

    def say(phase: str) -> None:
        pen.tick(phase=phase)

    needs_training = spec.refit_epochs > 0 or spec.criterion == "relevance"
    validation = batches(run.spec, restored.tasks, "val", device, say)
    training = batches(run.spec, restored.tasks, "train", device, say) if needs_training else None
    return Pruning(run, spec, pen, ending, restored, device, validation, training)


def _removed(pruning: Pruning) -> tuple[Compacted, nn.Module]:
    """Return the smaller network, and the run's with what went at zero."""
    spec, pen, net = pruning.spec, pruning.pen, pruning.restored.net
    example = pruning.validation.example()
    pruning.phase("judging the network as it is", 0.05)
    pruning.judge("dense", net, list(pruning.restored.tasks))
    found = units(net, example)
    gone = _chosen(pruning, found)
    masked = silence(net, found.chosen(gone)) if spec.criterion != "zeros" else net
    pruning.phase("removing", 0.7)
    compacted = compact(masked, example, gather=spec.gather, tasks=pruning.kept if pruning.dropped else None)
    certificate = compacted.certificate
    pen.table("removed", certificate.removed)
    pen.table("reasons", reasons_table(certificate))
    zeroed = f", {int(gone.sum())} of {len(found)} channels at zero" if spec.criterion != "zeros" else ""
    compared = f"the network of {pruning.run.id} at step {pruning.restored.step}{zeroed}"
    replace_json(pen.folder / "certificate.json", certificate_document(certificate, spec, compared))
    pruning.phase("judging the pruned network", 0.75)
    pruning.judge("pruned", compacted.model, pruning.kept)
    return compacted, masked


def _chosen(pruning: Pruning, found: Units) -> Flags:
    """Return which units go, (units,)."""
    spec, pen = pruning.spec, pruning.pen
    tasks = pruning.kept if pruning.dropped else None
    idle = found.idle(tasks)
    if spec.budget is None:
        pen.table("units", found.frame(idle=idle, gone=idle, score=np.full(len(found), np.nan)))
        shares, latency = WhatIf(found, tasks).shares(np.zeros(len(found), bool)), None
        gone = idle
    else:
        scores = _scores(pruning, found)
        pruning.phase("choosing what goes", 0.2)
        timed = Timed({"images": pictures(pruning.validation, spec.batches[0])}, spec.rounds, gather=spec.gather)
        budget = Budget(spec.budget, spec.budget_of, spec.floor)
        choice = choose(found, scores, budget, tasks=tasks, timed=timed)
        gone, shares, latency = choice.gone, choice.shares, choice.latency
        pen.table("units", found.frame(idle=idle, gone=gone, score=scores))
        _swept(pruning, found, scores)
    saved = {"group": shares.group, "parameter": shares.parameter, "mac": shares.mac}
    saved |= {} if latency is None else {"latency": latency}
    pen.table("saved", pd.DataFrame({"of": list(saved), "value": list(saved.values())}))
    return gone


def _scores(pruning: Pruning, found: Units) -> Values:
    """Return what each unit is worth by the criterion."""
    if pruning.spec.criterion == "norm":
        return norms(found, pruning.spec.compared)
    if pruning.training is None:
        raise ValueError("`training` should be there for criterion relevance. Found None.")
    count = pruning.spec.relevance_images
    pruning.phase(f"relevance of the channels on {count} images", 0.1)
    images = first(pruning.training, count)
    return relevance(found, relevance_frame(pruning.restored, images), pruning.kept)


def relevance_frame(restored: Restored, images: list[Batch]) -> pd.DataFrame:
    """Return the relevance of every shared channel for every task, to first order."""
    from winnow.engine.explain.relevance.relevance import relevance as attributed  # only where it is asked for

    return attributed(restored.net, images, tasks=restored.tasks)


def _swept(pruning: Pruning, found: Units, scores: Values) -> None:
    """Write what the metrics become as more and more goes."""

    def evaluate(model: nn.Module) -> MetricsOf:
        return validated(model, pruning.restored.tasks, pruning.validation)

    rows: list[pd.DataFrame] = []
    pruning.phase("what if nothing went", 0.35)
    for place, step in enumerate(sweep_steps(found, scores, evaluate, floor=pruning.spec.floor)):
        rows.append(step)
        pruning.pen.table("sweep", pd.concat(rows, ignore_index=True))
        if place + 1 < len(SHARES):
            pruning.phase(f"what if {SHARES[place + 1]:g} % went", 0.35 + 0.3 * (place + 1) / len(SHARES))


def _measured(pruning: Pruning, masked: nn.Module, small: nn.Module) -> None:
    """Write what the networks cost and how long they take, beside one another."""
    spec = pruning.spec
    models = {"dense": pruning.restored.net, "masked": masked, "pruned": small}

    def tell(what: str, part: float) -> None:
        pruning.phase(f"measuring: {what}", 0.8 + 0.2 * part)

    table, missing = measures_table(models, pruning.validation.example(), spec, tell)
    pruning.pen.table("measures", table)
    if missing:
        pruning.pen.status(message=missing)


def _refitted(pruning: Pruning, compacted: Compacted, masked: nn.Module) -> None:
    """Train the smaller network on, with the run's moments, and judge it."""
    spec, run, model = pruning.spec, pruning.run.spec, compacted.model
    if pruning.training is None:
        raise ValueError("`training` should be there for a refit. Found None.")
    rate = run.optimiser.learning_rate if spec.learning_rate is None else spec.learning_rate
    optimiser = run.optimiser.model_copy(update={"learning_rate": rate})
    weights = {task: weight for task, weight in run.balancing.task_weights.items() if task in pruning.kept}
    settings = Refit(spec.refit_epochs, optimiser, weights, spec.seed, run.flips, run.bf16)
    tasks = {task: pruning.restored.tasks[task] for task in pruning.kept}
    moved = transfer(pruning.restored.optimizer(optimiser, masked), compacted)
    split = Split(pruning.training, pruning.validation)
    total = spec.refit_epochs * pruning.training.steps
    for record in refit(model, tasks, split, settings, moved):
        if isinstance(record, RefitStep):
            progress = BEFORE_REFIT + (1 - BEFORE_REFIT) * record.step / total
            phase = f"refit: epoch {record.epoch} of {spec.refit_epochs}"
            pruning.pen.tick(phase=phase, progress=progress, epoch=record.epoch, step=record.step)
            pruning.go_on()
        else:
            pruning.refitted(record)
