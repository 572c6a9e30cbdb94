"""A loop of the user's own reaches the zeros of `winnow train`: tasks in turns, partly labelled, cross-stitched."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from tests.engine.commanding import winnow_here
from tests.engine.own_nets import at_home
from tests.engine.trained_digits import untrained
from winnow.engine import GroupLasso, Kept, Proximal, coupled_groups, record, trace
from winnow.engine.graph.sharing import parts_of
from winnow.engine.jobs.restore import restored_network
from winnow.engine.jobs.run_data import batches, fields
from winnow.engine.networks.multitask import build_network
from winnow.engine.runs.run import list_runs
from winnow.engine.specs.train import parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.loop import train
from winnow.engine.training.optimisers import build_optimizer, set_rate
from winnow.engine.training.setup import build_groups

NETS = """
import torch
from torch import nn


class Shared(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.ReLU(), nn.Flatten())
        self.tops = nn.ModuleDict({name: nn.Linear(12 * 16, count) for name, count in outputs.items()})

    def forward(self, x):
        x = self.body(x)
        return {name: top(x) for name, top in self.tops.items()}


def shared(fields):
    return Shared({name: field.outputs for name, field in fields.items()})
"""
PARTLY = """
import numpy as np
from winnow.data.digits import Digits
from winnow.data.sample import Field, Sample


class Partly:
    name = "partly labelled"
    fields = {name: Digits("val").fields[name] for name in ("digit", "ink")}

    def __init__(self, split):
        self.whole = Digits(split)

    def __len__(self):
        return len(self.whole)

    def sample(self, index):  # every third image has one label of the two, every fifth the other, some have none
        found = self.whole.sample(index)
        digit = found.targets["digit"] if index % 3 else np.asarray(-1)
        ink = found.targets["ink"] if index % 5 else np.asarray(np.nan, np.float32)
        return Sample(found.image, {"digit": digit, "ink": ink})


def load(split):
    return Partly(split)
"""
ASKED = [
    "train",
    "--dataset",
    "digits",
    "--tasks",
    "digit,ink",
    "--threads",
    "1",
    "--epochs",
    "2",
    "--groups",
    "coupled",
]
MORE = ["--batch-size", "128", "--optimiser", "sgd", "--learning-rate", "0.05", "--accumulate", "1"]


def test_a_loop_of_ones_own_reaches_the_same_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "loopnets.py").write_text(NETS)
    at_home(monkeypatch, tmp_path, home)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "loopnets", raising=False)
    done = winnow_here(*ASKED, *MORE, "--network", "loopnets:shared", "--strength", "0.03")
    assert done.returncode == 0, done.stderr[-1000:]
    (theirs,) = list_runs(tmp_path / "runs")
    spec = theirs.spec
    torch.set_num_threads(1)
    torch.manual_seed(spec.seed)
    tasks = build_tasks(fields(spec), spec.tasks)
    images = batches(spec, tasks, "train", torch.device("cpu"), lambda phase: None)
    net = build_network(spec.network, tasks, images.channels)
    graph = trace(net, images.example())
    optimizer = build_optimizer(spec.optimiser, net.named_parameters(), [])
    groups = coupled_groups(net, images.example(), within=parts_of(graph).trunk, graph=graph)
    proximal = Proximal(optimizer, groups, GroupLasso(spec.penalty.strength))
    total = spec.epochs * images.steps
    with record("mine", net, images.example(), proximal, tasks=tasks, runs=tmp_path / "own") as run:
        for epoch in range(spec.epochs):
            net.train()
            for batch in images.shuffled(spec.seed, epoch, spec.flips):
                set_rate(proximal.optimizer, spec.optimiser, run._training.step / total)
                proximal.zero_grad()
                losses = {}
                for task, own in tasks.items():  # in turns: a backward pass for each task
                    losses[task] = own.loss(net(batch.images)[task], batch.targets[task])
                    losses[task].backward()
                proximal.step()
                run.step(losses)
            run.epoch({})
    mine, reached = (restored_network(own, torch.device("cpu")).net for own in (run.run, theirs))
    zeros = {key: own == 0 for key, own in reached.state_dict().items()}
    assert sum(int(own.sum()) for own in zeros.values()) > 0
    for key, own in mine.state_dict().items():
        assert torch.equal(own == 0, zeros[key]), key
        assert torch.allclose(own, reached.state_dict()[key], atol=1e-5), key  # gradients are summed in another order


CROSSED = {"network": "residual", "coupling": "cross-stitch", "widths": [8, 12], "blocks": [1, 1], "head_width": 8}


@pytest.mark.parametrize("strength", [0.03, 0.12])
def test_cross_stitched_towers_reach_the_same_zeros_with_the_same_floor(tmp_path: Path, strength: float) -> None:
    asked = {"data": {"dataset": "digits"}, "network": CROSSED, "tasks": ["digit", "ink"], "epochs": 2}
    asked |= {"batch_size": 128, "threads": 1, "optimiser": {"optimiser": "sgd", "learning_rate": 0.05}}
    spec = parse(asked | {"penalty": {"strength": strength, "groups": "coupled"}})
    training, images, validation = untrained(spec)
    net = copy.deepcopy(training.net)
    groups = build_groups(spec.penalty, net, trace(net, images.example()), images.example())
    optimizer = build_optimizer(spec.optimiser, net.named_parameters())
    proximal = Proximal(optimizer, groups, GroupLasso(strength), Kept(floor=spec.penalty.floor))
    steps = iter(range(total := spec.epochs * images.steps))
    with record("mine", net, images.example(), proximal, tasks=training.tasks, runs=tmp_path) as run:
        for epoch in range(spec.epochs):
            for batch in images.shuffled(spec.seed, epoch, spec.flips):
                net.train()
                set_rate(optimizer, spec.optimiser, next(steps) / total)
                proximal.zero_grad()
                seen = net(batch.images)
                losses = {name: task.loss(seen[name], batch.targets[name]) for name, task in training.tasks.items()}
                for loss in losses.values():
                    loss.backward(retain_graph=True)
                proximal.step()
                run.step(losses)
            run.epoch({})
    list(train(training, images, validation))
    theirs = training.net.state_dict()
    assert sum(int((value == 0).sum()) for value in theirs.values()) > 1000
    for name, value in net.state_dict().items():
        assert torch.equal(value == 0, theirs[name] == 0), name
        assert torch.allclose(value, theirs[name], atol=1e-6), name


def test_partly_labelled_data_reach_the_same_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's loop averages each loss over what is labelled in the batch, as torch's `ignore_index` does."""
    for name, text in {"partnets": NETS, "partdata": PARTLY}.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    at_home(monkeypatch, tmp_path, tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    asked = [*ASKED, *MORE, "--network", "partnets:shared", "--strength", "0.03"]
    asked[asked.index("digits")] = "partdata:load"
    done = winnow_here(*asked)
    assert done.returncode == 0, done.stderr[-1000:]
    (theirs,) = list_runs(tmp_path / "runs")
    spec = theirs.spec
    torch.manual_seed(spec.seed)
    tasks = build_tasks(fields(spec), spec.tasks)
    images = batches(spec, tasks, "train", torch.device("cpu"), lambda phase: None)
    validation = batches(spec, tasks, "val", torch.device("cpu"), lambda phase: None)
    net = build_network(spec.network, tasks, images.channels)
    graph = trace(net, images.example())
    optimizer = build_optimizer(spec.optimiser, net.named_parameters(), [])
    groups = coupled_groups(net, images.example(), within=parts_of(graph).trunk, graph=graph)
    proximal = Proximal(optimizer, groups, GroupLasso(spec.penalty.strength), Kept(floor=spec.penalty.floor))
    steps = iter(range(total := spec.epochs * images.steps))
    scale = spec.fields["ink"].scale
    told = {"tasks": dict(spec.fields), "loader": [(own.images, own.targets) for own in validation.in_order()]}
    with record("mine", net, images.example(), proximal, runs=tmp_path / "own", **told) as run:
        for epoch in range(spec.epochs):
            for batch in images.shuffled(spec.seed, epoch, spec.flips):
                set_rate(optimizer, spec.optimiser, next(steps) / total)
                found, known = net.train()(batch.images), ~batch.targets["ink"].isnan()
                assert 0 < int(known.sum()) < len(known)
                digit = functional.cross_entropy(found["digit"], batch.targets["digit"].long(), ignore_index=-1)
                ink = functional.mse_loss(found["ink"][known, 0], batch.targets["ink"][known] / scale)
                proximal.zero_grad()
                (digit + ink).backward()
                proximal.step()
                run.step({"digit": digit, "ink": ink})
            run.epoch()
    mine, reached = (restored_network(own, torch.device("cpu")).net.state_dict() for own in (run.run, theirs))
    assert sum(int((value == 0).sum()) for value in reached.values()) > 0
    for key, own in mine.items():
        assert torch.equal(own == 0, reached[key] == 0), key
        assert torch.allclose(own, reached[key], atol=1e-5), key
    losses = [
        own.events().query("split == 'val' and quantity == 'loss'")["value"].tolist() for own in (run.run, theirs)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)  # divided by what is labelled over the whole split
