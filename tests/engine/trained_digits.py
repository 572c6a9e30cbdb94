"""A small network really trained on digits, for tests of what is done with the result."""

from functools import cache

import torch

from winnow.engine.jobs.run_data import batches, fields
from winnow.engine.networks.multitask import MultiTaskNet, build_network
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batches
from winnow.engine.training.loop import EpochDone, Training, begin, start_at_constants, train

SMALL = {"widths": (12, 16), "blocks": (1, 1), "head_width": 12}
SPEC: TrainSpec = parse({"data": {"dataset": "digits"}, "network": SMALL, "threads": 1, "epochs": 4, "batch_size": 64})


def untrained(spec: TrainSpec) -> tuple[Training, Batches, Batches]:
    """Return the start of a training on digits, the images to train on and those to validate on."""
    tasks = build_tasks(fields(spec), spec.tasks)
    cpu = torch.device("cpu")
    images, validation = (batches(spec, tasks, split, cpu, lambda phase: None) for split in ("train", "val"))
    torch.manual_seed(0)
    training = begin(spec, build_network(spec.network, tasks, images.channels), tasks, images)
    start_at_constants(training, images)
    return training, images, validation


@cache
def trained() -> tuple[MultiTaskNet, dict[str, Task], Batches, Batches, dict[str, dict[str, float]]]:
    """Return net, tasks, training and validation images, and the last metrics; the same for all who ask."""
    training, images, validation = untrained(SPEC)
    epochs = [record for record in train(training, images, validation) if isinstance(record, EpochDone)]
    return training.net.eval(), dict(training.tasks), images, validation, epochs[-1].metrics
