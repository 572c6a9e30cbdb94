"""A pruning from a run's newest checkpoint to a smaller network: restored, scored, chosen, removed, measured, refitted.

The run is only read. Results are written into the pruning's own folder (`engine.jobs.prune_report`) as soon as they are
known, so that a pruning that is stopped keeps what it has found.
"""

from typing import Literal

import numpy as np
import pandas as pd
from torch import nn

from winnow.engine.export import save_model
from winnow.engine.graph.weights import Flags, Values
from winnow.engine.jobs.certificate_file import certificate_document, reasons_table
from winnow.engine.jobs.prune_report import (
    BEFORE_REFIT,
    MetricsOf,
    Pruning,
    Stopped,
    first_images,
    image_batch,
    measures_table,
    write_who_pays,
)
from winnow.engine.jobs.refit_checkpoint import RefitCheckpoint
from winnow.engine.jobs.restore import Restored, restored_network
from winnow.engine.jobs.run_data import prepare, run_images
from winnow.engine.jobs.writer import Writer
from winnow.engine.pruning import Compacted, compact, transfer
from winnow.engine.pruning.blocks import blocks_of
from winnow.engine.pruning.budget import Budget, Choice, choose, choose_up_to
from winnow.engine.pruning.cost import layout_of
from winnow.engine.pruning.latency_budget import Timed
from winnow.engine.pruning.layer_cuts import TIE, scores_by_cost
from winnow.engine.pruning.masking import silence
from winnow.engine.pruning.repair import repair
from winnow.engine.pruning.scores import norm_scores, relevance_scores
from winnow.engine.pruning.sweep import SHARES, sweep_steps
from winnow.engine.pruning.units import Units, units
from winnow.engine.pruning.what_if import WhatIf
from winnow.engine.runs.derived import find_derived_job
from winnow.engine.runs.files import replace_json
from winnow.engine.runs.run import Run
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.specs.sensitivity import SensitivitySpec
from winnow.engine.studies.layer_budgets import cut_costs
from winnow.engine.tasks.surroundings import seed_stream
from winnow.engine.training.batches import Batch
from winnow.engine.training.distillation import Distillation
from winnow.engine.training.evaluate import validated
from winnow.engine.training.refit import Refit, RefitStep, Split, refit


def run_prune(run: Run, spec: PruneSpec, writer: Writer, stop_requested: object) -> Literal["done", "stopped"]:
    """Prune a run's network as its spec asks and write the results; return the final state.

    Args:
        run: the run, with at least one intact checkpoint.
        spec: what is asked for.
        writer: writes into the pruning's folder.
        stop_requested: true, as a condition, once the pruning is to stop.

    Raises:
        ValueError: no checkpoint, a task that the run does not have, a budget that cannot be met.
        NotExact: the outputs of the smaller network are not those of the larger one.

    """
    try:
        pruning = _read(run, spec, writer, stop_requested)
        compacted, masked = _removed(pruning)
        _measured(pruning, masked, compacted.model)
        if spec.refit_epochs:
            _refitted(pruning, compacted, masked)
        writer.status(phase="judging every image")
        write_who_pays(pruning, compacted.model)
        writer.status(phase="writing the network")
        save_model(writer.folder / "model", compacted.model, pruning.validation.example())
    except Stopped:
        return "stopped"
    return "done"


def _read(run: Run, spec: PruneSpec, writer: Writer, stop_requested: object) -> Pruning:
    """Read the run's network and the images that are needed."""
    device = prepare(spec.threads, spec.device, own_code=run.spec.steps_in_own_code)
    writer.status(phase="reading the run")
    restored = restored_network(run, device)
    if restored.skipped:
        writer.remark(f"damaged checkpoints were skipped: {', '.join(restored.skipped)}")
    if unknown := [task for task in spec.tasks if task not in restored.tasks]:
        known = ", ".join(restored.tasks)
        raise ValueError(f"`tasks` must be tasks of the run, {known}, got {', '.join(unknown)}.")

    def say(phase: str) -> None:
        writer.tick(phase=phase)

    needs_training = spec.refit_epochs > 0 or spec.criterion == "relevance" or spec.repair != "none"
    validation = run_images(run, restored.tasks, "val", device, say)
    training = run_images(run, restored.tasks, "train", device, say) if needs_training else None
    return Pruning(run, spec, writer, stop_requested, restored, device, validation, training)


def _removed(pruning: Pruning) -> tuple[Compacted, nn.Module]:
    """Return the smaller network, and the run's network with the removed channels set to zero."""
    spec, writer, net = pruning.spec, pruning.writer, pruning.restored.net
    example = pruning.validation.example()
    pruning.phase("evaluating the run's network", 0.05)
    pruning.evaluate("dense", net, list(pruning.restored.tasks))
    found = units(net, example)
    gone = _chosen(pruning, found)
    masked = silence(net, found.chosen(gone)) if spec.criterion != "zeros" else net
    repaired = _repaired(pruning, masked)
    pruning.phase("removing channels", 0.7)
    tasks = pruning.kept if pruning.dropped else None
    compacted = compact(masked, example, gather=spec.gather, tasks=tasks, round_to=spec.round_to)
    certificate = compacted.certificate
    writer.table("removed", certificate.removed)
    writer.table("reasons", reasons_table(certificate))
    zeroed = f", {int(gone.sum())} of {len(found)} channels set to zero" if spec.criterion != "zeros" else ""
    compared = f"the network of {pruning.run.id} at step {pruning.restored.step}{zeroed}{repaired}"
    replace_json(writer.folder / "certificate.json", certificate_document(certificate, spec, compared))
    pruning.phase("evaluating the pruned network", 0.75)
    pruning.evaluate("repaired" if repaired else "pruned", compacted.model, pruning.kept)
    return compacted, masked


def _repaired(pruning: Pruning, masked: nn.Module) -> str:
    """Repair the silenced network in place if that is asked for, once it was evaluated as it is; say what was done."""
    spec = pruning.spec
    if spec.repair == "none":
        return ""
    if pruning.training is None:
        raise ValueError("`training` must be read for a repair, got None.")
    pruning.phase("evaluating before the repair", 0.66)
    pruning.evaluate("pruned", masked, pruning.kept)
    pruning.phase(f"repairing on {spec.repair_images} images", 0.68)
    images = image_batch(pruning.training, min(spec.repair_images, pruning.training.images))
    pruning.writer.table("repair", repair(masked, pruning.restored.net, images, spec.repair, spec.seed))
    return f", repaired on {len(images)} images"


def _chosen(pruning: Pruning, found: Units) -> Flags:
    """Return which units are removed, (units,)."""
    spec, writer = pruning.spec, pruning.writer
    tasks = pruning.kept if pruning.dropped else None
    idle, measured = found.idle(tasks), dict[str, float | None]()
    if spec.criterion == "zeros":
        writer.table("units", found.frame(idle=idle, gone=idle, score=np.full(len(found), np.nan)))
        shares, gone = WhatIf(found, tasks).shares(np.zeros(len(found), bool)), idle
    else:
        scores = _scores(pruning, found)
        pruning.phase("choosing the channels to remove", 0.2)
        choice = _choice(pruning, found, scores, tasks)
        gone, shares = choice.gone, choice.shares
        measured |= {"latency": choice.latency, "memory": choice.memory}
        writer.table("units", found.frame(idle=idle, gone=gone, score=scores))
        _swept(pruning, found, scores)
    saved = {"group": shares.group, "parameter": shares.parameter, "mac": shares.mac}
    saved |= {name: value for name, value in measured.items() if value is not None}
    writer.table("saved", pd.DataFrame({"of": list(saved), "value": list(saved.values())}))
    return gone


def _choice(pruning: Pruning, found: Units, scores: Values, tasks: list[str] | None) -> Choice:
    """Return the channels that a budget takes, or all whose layer's cut costs no more than is tolerated."""
    spec, images = pruning.spec, image_batch(pruning.validation, pruning.spec.batches[0])
    blocks = blocks_of(spec.round_to, pruning.device, layout_of(pruning.restored.net, [images]))
    if spec.budget is None:
        highest = (spec.tolerance or 0.0) + TIE
        return choose_up_to(found, scores, highest, floor=spec.floor, tasks=tasks, blocks=blocks)
    timed = Timed({"images": images}, spec.rounds, gather=spec.gather, round_to=spec.round_to)
    budget = Budget(spec.budget, spec.budget_of, spec.floor, blocks=blocks)
    return choose(found, scores, budget, tasks=tasks, timed=timed)


def _scores(pruning: Pruning, found: Units) -> Values:
    """Return the score of each unit by the spec's criterion, or by what a sensitivity analysis says that it costs."""
    own = _by_criterion(pruning, found)
    if not pruning.spec.sensitivity:
        return own
    costs = _costs(pruning)
    return scores_by_cost(
        found, own, dict(zip(zip(costs["layer"], costs["share"], strict=True), costs["cost"], strict=True))
    )


def _costs(pruning: Pruning) -> pd.DataFrame:
    """Return what the cuts of a sensitivity analysis cost the tasks that are kept.

    Raises:
        ValueError: it is of another criterion, not done, or of another checkpoint.

    """
    spec, work = pruning.spec, find_derived_job(pruning.run, "sensitivity", pruning.spec.sensitivity)
    asked = work.spec
    if not isinstance(asked, SensitivitySpec) or asked.criterion != spec.criterion:
        raise ValueError(f"`criterion` must be that of sensitivity {work.id}, got {spec.criterion}.")
    if (state := work.recorded_status().state) != "done":
        raise ValueError(f"`sensitivity` must be one that is done, got {work.id}, which is {state}.")
    step = int(work.table("judged_on")["step"].iloc[0])
    if step != pruning.restored.step:
        raise ValueError(
            f"`sensitivity` must be of the run's newest checkpoint, step {pruning.restored.step}, got {work.id}, of "
            f"step {step}. Analyse the layers again."
        )
    return cut_costs(work.table("sensitivity"), pruning.kept)


def _by_criterion(pruning: Pruning, found: Units) -> Values:
    if pruning.spec.criterion == "norm":
        return norm_scores(found, pruning.spec.compared)
    if pruning.training is None:
        raise ValueError("`training` must be read for criterion relevance, got None.")
    count = pruning.spec.relevance_images
    pruning.phase(f"measuring relevance on {count} images", 0.1)
    images = first_images(pruning.training, count)
    return relevance_scores(found, relevance_frame(pruning.restored, images), pruning.kept)


def relevance_frame(restored: Restored, images: list[Batch]) -> pd.DataFrame:
    """Return the relevance of every shared channel for every task, to first order."""
    from winnow.engine.explain.relevance.relevance import relevance as attributed  # only for criterion relevance

    return attributed(restored.net, images, tasks=restored.tasks)


def _swept(pruning: Pruning, found: Units, scores: Values) -> None:
    """Write the metrics at increasing shares of removed channels."""

    def evaluate(model: nn.Module) -> MetricsOf:
        return validated(model, pruning.restored.tasks, pruning.validation)

    rows: list[pd.DataFrame] = []
    pruning.phase("evaluating with nothing removed", 0.35)
    for place, step in enumerate(sweep_steps(found, scores, evaluate, floor=pruning.spec.floor)):
        rows.append(step)
        pruning.writer.table("sweep", pd.concat(rows, ignore_index=True))
        if place + 1 < len(SHARES):
            pruning.phase(f"evaluating with {SHARES[place + 1]:g} % removed", 0.35 + 0.3 * (place + 1) / len(SHARES))


def _measured(pruning: Pruning, masked: nn.Module, small: nn.Module) -> None:
    """Write what the networks cost and how long they take, side by side."""
    spec = pruning.spec
    models = {"dense": pruning.restored.net, "masked": masked, "pruned": small}

    def tell(what: str, part: float) -> None:
        pruning.phase(f"measuring: {what}", 0.8 + 0.2 * part)

    table, missing = measures_table(models, pruning.validation.example(), spec, tell)
    pruning.writer.table("measures", table)
    if missing:
        pruning.writer.remark(missing)


def _refitted(pruning: Pruning, compacted: Compacted, masked: nn.Module) -> None:
    """Train the smaller network further, with the run's optimiser state, and evaluate it."""
    spec, run, model = pruning.spec, pruning.run.spec, compacted.model
    if pruning.training is None:
        raise ValueError("`training` must be read for a refit, got None.")
    rate = run.optimiser.learning_rate if spec.learning_rate is None else spec.learning_rate
    optimiser = run.optimiser.model_copy(update={"learning_rate": rate})
    weights = {task: weight for task, weight in pruning.restored.weights.items() if task in pruning.kept}
    tasks = {task: pruning.restored.tasks[task] for task in pruning.kept}
    teacher = Distillation(pruning.restored.net, tasks, spec.distillation) if spec.distillation else None
    if run.steps_in_own_code:
        seed_stream(spec.seed)
    settings = Refit(spec.refit_epochs, optimiser, weights, spec.seed, run.flips, run.bf16, teacher)
    moved = transfer(pruning.restored.optimizer(optimiser, masked), compacted)
    split = Split(pruning.training, pruning.validation)
    total = spec.refit_epochs * pruning.training.steps
    stored = RefitCheckpoint(pruning.writer.folder, model, moved)

    def resume() -> int:
        known = stored.resume()
        for record in known:
            pruning.write_refit(record)
        return len(known)

    for record in refit(model, tasks, split, settings, moved, resume):
        if isinstance(record, RefitStep):
            progress = BEFORE_REFIT + (1 - BEFORE_REFIT) * record.step / total
            phase = f"refit: epoch {record.epoch} of {spec.refit_epochs}"
            pruning.writer.tick(phase=phase, progress=progress, epoch=record.epoch, step=record.step)
            pruning.check_stop()
        else:
            pruning.write_refit(record)
            stored.save(record)
    stored.remove()
