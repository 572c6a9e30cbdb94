"""A task kind of the user's own: trained by command, recorded, on the pages, pruned and explained; or refused."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.commanding import forget_modules, winnow_here
from tests.engine.own_nets import at_home
from winnow.dashboard.frames.summaries import summary
from winnow.data.code import Code
from winnow.data.sample import Field, Learner, Metric
from winnow.data.trust import confirm, is_confirmed
from winnow.engine.cli.own import own_code
from winnow.engine.runs.quantities import metrics
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.tasks.build import build_tasks

MODULE = """
import torch
from winnow.data.sample import Metric


class Near:
    '''Whether an estimate of the ink is near: a Huber loss, and the share within 0.05.'''

    metrics = (Metric("near", "within 0.05", "%", "higher"), Metric("off", "mean absolute error", "", "lower"))
    outputs = 1

    def __init__(self, field):
        self.field = field

    def counts(self, target):
        return (~target.isnan()).sum()[None]

    def loss(self, prediction, target, counts=None):
        known = ~target.isnan()
        each = torch.nn.functional.huber_loss(prediction[:, 0][known], target[known], reduction="sum")
        return each / (self.counts(target) if counts is None else counts)[0].clamp(min=1)

    def meter(self):
        return Meter()

    def constant(self, target):
        return target.nanmedian()[None]

    def mirror(self, target):
        return target


class Meter:
    def __init__(self, field=None):
        self.found = torch.zeros(3)

    def update(self, prediction, target):
        error = (prediction[:, 0] - target)[~target.isnan()].abs()
        self.found += torch.tensor([float(len(error)), float((error < 0.05).sum()), float(error.sum())])

    @property
    def sums(self):
        return [self.found]

    def compute(self):
        n, near, off = self.found.tolist()
        return {"near": 100 * near / n, "off": off / n}


class Unnamed(Near):
    metrics = ()


class Other(Near):
    def meter(self):
        found = Meter()
        found.compute = lambda: {"else": 1.0}
        return found


class Half(Near):
    outputs = 0
"""
ASKED = [
    "train",
    "--dataset",
    "digits",
    "--tasks",
    "digit,ink",
    "--widths",
    "8,8",
    "--blocks",
    "1,1",
    "--head-width",
    "8",
    "--threads",
    "1",
    "--epochs",
    "1",
]
MORE = ["--batch-size", "256", "--strength", "0.02"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "mytasks.py").write_text(MODULE)
    at_home(monkeypatch, tmp_path, home)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mytasks", raising=False)
    yield tmp_path
    forget_modules({str(home)})


def trained(folder: Path, thing: str = "Near") -> Run:
    done = winnow_here(*ASKED, *MORE, "--task", f"ink=mytasks:{thing}")
    assert done.returncode == 0, done.stderr[-1000:]
    (run,) = list_runs(folder / "runs")
    return run


def test_a_task_of_ones_own_is_trained_judged_recorded_pruned_and_explained(folder: Path) -> None:
    run = trained(folder)
    assert run.status.state == "done"
    assert [metric.name for metric in metrics(run.spec.fields["ink"])] == ["near", "off"]
    assert metrics(run.spec.fields["digit"])[0].name == "accuracy"
    events = run.events()
    own = events[events["task"] == "ink"]
    assert {"near", "off", "loss"} <= set(own[own["split"] == "val"]["quantity"])
    assert {"near", "off"} <= set(own[own["split"] == "constant"]["quantity"])
    assert summary(run).main_metrics()["ink"][0].label == "within 0.05"
    (code,) = own_code(run.spec)
    assert f"{code.fingerprint()['digest']}" in (run.path / "spec.json").read_text()
    for job in (
        "prune --relevance-images 8 --rounds 3 --batches 1",
        "explain --images 8 --ablations 1 --ablation-images 8 --maps 0",
    ):
        name, *options = job.split()
        done = winnow_here(name, run.id, *options)
        assert done.returncode == 0, done.stderr[-1000:]


def test_code_that_was_changed_is_refused_until_it_is_confirmed(folder: Path) -> None:
    run = trained(folder)
    (folder / "home" / "mytasks.py").write_text(MODULE + "\n# another\n")
    refused = winnow_here("prune", run.id)
    assert "`task` must be code that you confirmed on this machine, got mytasks:Near" in refused.stdout + refused.stderr
    told = winnow_here("trust", run.id, "--yes")
    assert told.returncode == 0, told.stderr
    assert "mytasks:Near" in told.stdout
    assert is_confirmed(own_code(run.spec)[0].fingerprint())


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("ink=mytasks:Unnamed", "`metrics` of mytasks:Unnamed must name at least one metric"),
        ("ink", "`task` must be written as depth=MODULE:THING, got 'ink'"),
        ("sound=mytasks:Near", "`task` must name a field of data set digits, .*, got sound"),
        ("ink=mytasks:Absent", "`task` must name something in mytasks, got Absent, which is not there"),
        ("ink=nowhere:Near", "`task` must name a module in"),
    ],
)
def test_a_task_that_is_none_is_refused_by_name(task: str, says: str, folder: Path) -> None:
    done = winnow_here(*ASKED, *MORE, "--task", task)
    assert done.returncode != 0
    assert re.search(says, done.stderr), done.stderr
    assert not (folder / "runs").exists() or not list_runs(folder / "runs")


def test_a_task_that_breaks_its_word_fails_by_name(folder: Path) -> None:
    done = winnow_here(*ASKED, *MORE, "--task", "ink=mytasks:Other")
    assert done.returncode != 0
    (run,) = list_runs(folder / "runs")
    assert "`compute` must return the metrics near, off, got else from mytasks:Other" in run.status.message


def test_what_is_no_task_is_refused_by_name(folder: Path) -> None:
    code = str(folder / "home")
    for thing, says in (("Half", "`outputs` must be a whole number from 1 on, got 0"), ("Meter", "without outputs")):
        learner = Learner(f"mytasks:{thing}", code, (Metric("near", "near", "%", "higher"),))
        confirm(Code(learner.code, code, "task").fingerprint())
        with pytest.raises(ValueError, match=says):
            build_tasks({"ink": Field(kind="regression", learner=learner)}, ["ink"])
