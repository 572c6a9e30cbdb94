"""A training run from spec to last checkpoint: data, network, loop and pen composed. The worker's torch half."""

import torch

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
    spec = run.spec
    device = prepare(spec.threads, spec.device)
    tasks = build_tasks(fields(spec), spec.tasks)

    def say(phase: str) -> None:
        reporter.tick(phase=phase)

    training_images, validation = (batches(spec, tasks, "train", device, say), batches(spec, tasks, "val", device, say))
    reporter.status(phase="building the network")
    torch.manual_seed(spec.seed)
    training = begin(spec, build_network(spec.network, tasks, training_images.channels), tasks, training_images)
    start_at_constants(training, training_images)
    session = Session(training, training_images, validation, reporter, asked_to_end)
    session.enter()
    return session.go()
