"""A training run from spec to last checkpoint: data, network, loop and pen composed. The worker's torch half."""

import torch

from winnow.engine.jobs.best_epoch import Selection
from winnow.engine.jobs.conclusion import conclude
from winnow.engine.jobs.other_ranks import follow
from winnow.engine.jobs.run_data import batches, fields, prepare
from winnow.engine.jobs.session import Session
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.warm_start import measured_strength_max, start_from
from winnow.engine.jobs.writer import ResultWriter, Values
from winnow.engine.networks.multitask import build_network
from winnow.engine.runs.run import Run
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.distributed.joining import joined
from winnow.engine.training.distributed.orders import tell_to_end
from winnow.engine.training.distributed.place import place
from winnow.engine.training.distributed.ranks import ALONE, Ranks
from winnow.engine.training.loop import Training, begin, start_at_constants


def run_training(run: Run, writer: ResultWriter, asked_to_end: StopRequest) -> str:
    """Train a run from where it stands; return the final state, `done` or `stopped`."""
    here = place()
    device = prepare(run.spec.threads, run.spec.device, here)
    with joined(here, device) as ranks:
        return run_on(run, writer, asked_to_end, device, ranks)


def run_on(run: Run, writer: ResultWriter, asked_to_end: StopRequest, device: torch.device, ranks: Ranks) -> str:
    """Train a run on one device, together with the other processes of the run on theirs."""
    spec = run.spec
    tasks = build_tasks(fields(spec), spec.tasks)

    def say(phase: str) -> None:
        writer.tick(phase=phase)

    training_images, validation = (batches(spec, tasks, "train", device, say), batches(spec, tasks, "val", device, say))
    writer.status(phase="building the network")
    fresh = spec.start.fresh_seed if spec.start is not None else None
    torch.manual_seed(spec.seed if fresh is None else fresh)
    training = begin(spec, build_network(spec.network, tasks, training_images.channels), tasks, training_images, ranks)
    start_at_constants(training, training_images)
    began = _begun_with(training, training_images, run)
    if not ranks.leads:
        follow(training, training_images, validation, run.path / "weights")
        return "done"
    session = Session(training, training_images, validation, writer, asked_to_end)
    session.enter()
    if began and training.step == 0:
        writer.events((0, 0), "start", began)
    selection = Selection(training, training_images, validation, run.path / "weights")
    state = session.go(selection.watch)
    tell_to_end(ranks)
    training.ranks = ALONE  # what is still to do, this process does by itself
    if state == "done" and (spec.test or spec.keep == "best"):
        writer.status(phase="judging the network that is kept")
        splits = {"kept": validation}
        if spec.test:
            splits["test"] = batches(spec, tasks, "test", device, say)
        conclude(selection, training, writer, splits)
    return state


def _begun_with(training: Training, images: Batches, run: Run) -> Values:
    """Take over what the run starts from, in units of what the loss says; return what was measured.

    Before a resumed run's own checkpoint is loaded, all this is done again: it comes to the same.
    """
    measured: dict[tuple[str | None, str], float | None] = {}
    if training.spec.penalty.strength_of == "max":
        unit = measured_strength_max(training, images)
        training.controller.base *= unit
        measured[None, "strength_max"] = unit
    if training.spec.start is not None:
        start_from(training, training.spec.start, run.path.parent, images.example())
    return measured
