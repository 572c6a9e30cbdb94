"""What a removal while training buys: a step of the smaller network beside one with the same zeros left in."""

import time

import numpy as np
import pytest
import torch

from tests.benchmarks.side_by_side import ratio
from winnow.data.catalog import load
from winnow.data.stacking import stack
from winnow.engine.networks.multitask import build_network
from winnow.engine.sparsity.counts import living
from winnow.engine.specs.train import parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.loop import Training, begin, train
from winnow.engine.training.removal import remove

pytestmark = pytest.mark.bench

ROLES = {"input": ("reader",), "coupled": ("writer", "norm", "reader")}
SCOPES = {"input": "trunk", "coupled": "both"}
IMAGES = 64


def silenced(groups: str, share: float) -> tuple[Training, Batches]:
    """Return a training on rooms in which a share of the channels that may go is at zero, and stays there."""
    data = {"dataset": "scenes", "train_length": IMAGES, "val_length": 2}
    penalty = {"groups": groups, "scope": SCOPES[groups], "floor": 0.0}
    asked = parse({"data": data, "epochs": 100, "penalty": penalty})
    rooms = load("scenes", split="train", length=IMAGES, size=64, seed=0)
    tasks = build_tasks(rooms.fields, asked.tasks)
    batches = Batches(stack(rooms, asked.tasks), tasks, asked.batch_size, torch.device("cpu"))
    torch.manual_seed(0)
    training = begin(asked, build_network(asked.network, tasks, 3), tasks, batches)
    chance, parameters = np.random.default_rng(0), dict(training.net.named_parameters())
    for space in training.graph.spaces:
        at_home = all(part.layer.startswith("trunk.") for part in space.readers)
        if not space.removable or (groups == "input" and not at_home):
            continue
        count = len(space.channels)
        chosen = torch.from_numpy(chance.permutation(count)[: int(share * count)])
        for part in space.slices:
            if part.role in ROLES[groups] and part.parameter in parameters:
                entries = (part.start + part.repeat * chosen[:, None] + torch.arange(part.repeat)).flatten()
                parameters[part.parameter].data.index_fill_(part.axis, entries, 0.0)
    training.proximal.norms = [bank.norms() for bank in training.proximal.banks]
    training.proximal.freeze()
    return training, batches


@pytest.mark.parametrize("share", [0.7, 0.9])
@pytest.mark.parametrize("groups", ["input", "coupled"])
def test_a_step_after_a_removal_is_faster(groups: str, share: float, figure):
    torch.set_num_threads(1)
    (dense, batches), (small, _) = silenced(groups, share), silenced(groups, share)
    removed = remove(small, batches)
    assert removed is not None
    steps = [train(training, batches, batches) for training in (dense, small)]
    measured = ratio(lambda: next(steps[0]), lambda: next(steps[1]), rounds=11, clock=time.process_time)
    sizes = f"MACs ÷ {removed.before.macs / removed.after.macs:.1f}"
    figure(f"step with zeros ÷ after removal, {groups}, {share:.0%} of the channels, {sizes}", measured, "≥ 1.4")
    assert measured.median >= 1.4


def seconds_of_run(refit: float, removal: int, epochs: int = 12) -> tuple[float, float]:
    """Return the CPU seconds of a whole run on rooms, validation included, and the share of MACs gone at its end."""
    length = {"train_length": 4 * IMAGES, "val_length": 8}
    penalty = {"groups": "coupled", "scope": "both", "target": 70.0, "target_of": "mac", "refit": refit}
    data = {"dataset": "scenes", **length}
    asked = parse({"data": data, "epochs": epochs, "penalty": {**penalty, "removal": removal}})
    rooms = {split: load("scenes", split=split, length=n) for split, n in (("train", 4 * IMAGES), ("val", 8))}
    tasks = build_tasks(rooms["train"].fields, asked.tasks)
    read = {
        split: Batches(stack(own, asked.tasks), tasks, asked.batch_size, torch.device("cpu"))
        for split, own in rooms.items()
    }
    torch.manual_seed(0)
    training = begin(asked, build_network(asked.network, tasks, 3), tasks, read["train"])
    began = time.process_time()
    for _ in train(training, read["train"], read["val"]):
        pass
    taken = time.process_time() - began
    whole = training.proximal.whole(training.proximal.norms)
    return taken, training.counts.percent("mac", living(whole))


@pytest.mark.parametrize("refit", [0.25, 0.5, 0.7])
def test_a_run_that_shrinks_takes_less_time_than_one_that_keeps_its_zeros(refit: float, figure):
    """To 70 % of the MACs: the target is reached when the refit begins, so a longer refit gains more."""
    torch.set_num_threads(1)
    (dense, _), (shrinking, reached) = seconds_of_run(refit, 0), seconds_of_run(refit, 1)
    said = f"{shrinking / dense:.2f} ({shrinking:.1f} s and {dense:.1f} s of CPU; {reached:.0f} % of the MACs gone)"
    figure(f"whole run with removal ÷ without, refit from {1 - refit:.0%} of the run", said, "≤ 0.7")
    assert shrinking < dense
