"""A training run from spec to last checkpoint: data, network, loop and pen composed. The worker's torch half."""

import torch

from engine.distributed.following import follow
from engine.distributed.joining import joined
from engine.distributed.orders import tell_to_end
from engine.distributed.place import place
from engine.distributed.ranks import ALONE, Ranks
from engine.ending import Ending
from engine.networks.multitask import build_network
from engine.reporting import Reporter
from engine.run_data import batches, fields, prepare
from engine.runs import Run
from engine.session import Session
from engine.tasks.build import build_tasks
from engine.training import begin, start_at_constants


def run_training(run: Run, reporter: Reporter, asked_to_end: Ending) -> str:
    """Train a run from where it stands; return the final state, `done` or `stopped`."""
    here = place()
    device = prepare(run.spec.threads, run.spec.device, here)
    with joined(here, device) as ranks:
        return run_on(run, reporter, asked_to_end, device, ranks)


def run_on(run: Run, reporter: Reporter, asked_to_end: Ending, device: torch.device, ranks: Ranks) -> str:
    """Train a run on one device, with the other processes of the run on theirs."""
    spec = run.spec
    tasks = build_tasks(fields(spec), spec.tasks)

    def say(phase: str) -> None:
        reporter.tick(phase=phase)

    training_images, validation = (batches(spec, tasks, "train", device, say), batches(spec, tasks, "val", device, say))
    reporter.status(phase="building the network")
    torch.manual_seed(spec.seed)
    net = build_network(spec.network, tasks, training_images.channels)
    training = begin(spec, net, tasks, training_images, ranks)
    start_at_constants(training, training_images)
    if not ranks.leads:
        follow(training, training_images, validation, run.path / "weights")
        return "done"
    session = Session(training, training_images, validation, reporter, asked_to_end)
    session.enter()
    state = session.go()
    tell_to_end(ranks)
    training.ranks = ALONE  # whatever is still to do, this process does by itself
    return state
