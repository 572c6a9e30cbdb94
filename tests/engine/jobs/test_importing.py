"""`winnow import`: weights that were trained elsewhere as a run, which is pruned and explained."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.engine.commanding import winnow_here
from tests.engine.own_nets import at_home, project
from winnow.data.code import Code
from winnow.data.trust import confirm
from winnow.engine.export import explorer_files
from winnow.engine.jobs.export_job import explorer_graph
from winnow.engine.jobs.restore import restored_network
from winnow.engine.runs.run import Run, list_runs

OWN = ["--network", "mypkg.nets:build", "--network-option", "width=4"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    at_home(monkeypatch, tmp_path, project(tmp_path))
    for name in ("mypkg", "mypkg.nets", "mypkg.blocks", "mypkg.halves"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    others = [folder for folder in sys.path if not folder.endswith("/project")]  # of other tests in this process
    monkeypatch.setattr(sys, "path", others)  # what the command adds to it goes with the test
    return tmp_path


def weights(home: Path) -> Path:
    """A checkpoint of the user's network for the three tasks of the digits, one channel of it zero."""
    code = Code("mypkg.nets:build", str(home / "project"), "network")
    confirm(code.fingerprint())
    outputs = {"digit": 10, "parity": 2, "ink": 1}
    state = code.load()({name: SimpleNamespace(outputs=count) for name, count in outputs.items()}, width=4).state_dict()
    for name in ("second.weight", "second.bias"):
        state[name][2] = 0
    for task in outputs:
        state[f"out.{task}.weight"][:, 2] = 0
    torch.save({"state_dict": state}, home / "net.pth")
    return home / "net.pth"


def test_a_checkpoint_becomes_a_run_with_metrics_groups_and_sample(home: Path) -> None:
    file = weights(home)
    done = winnow_here("import", str(file), *OWN, "--dataset", "digits", "--name", "there", "--json")
    assert done.returncode == 0, done.stderr
    run = Run(home / "runs" / json.loads(done.stdout)["run"])
    assert run.status.state == "done"
    assert run.spec.network.origin.startswith("mypkg.nets:build ")
    groups = run.groups()
    assert groups[~groups["alive"]][["layer", "channel"]].to_numpy().tolist() == [["second", 2]]
    events = run.events()
    assert events[(events["split"] == "val") & (events["quantity"] == "accuracy")]["value"].notna().all()
    net = restored_network(run, torch.device("cpu")).net
    for name, tensor in torch.load(file, weights_only=True)["state_dict"].items():
        assert torch.equal(net.state_dict()[name], tensor)
    shown = winnow_here("runs", "list")
    assert "there" in shown.stdout
    graph, missing = explorer_graph(run)
    alive = json.loads(explorer_files(graph).files["model_explorer_alive.json"])["results"]
    assert alive["second"]["value"] == 87.5  # one of its eight groups is zero
    assert "no explanation" in missing[0]


def test_frozen_weights_are_looked_at_like_the_others(home: Path) -> None:
    nets = home / "project" / "mypkg" / "nets.py"
    nets.write_text(
        nets.read_text() + "\n\ndef still(tasks, width):\n    return build(tasks, width).requires_grad_(False)\n"
    )
    file = weights(home)
    code = Code("mypkg.nets:still", str(home / "project"), "network")
    confirm(code.fingerprint())
    asked = ["--network", "mypkg.nets:still", *OWN[2:], "--dataset", "digits", "--name", "still", "--json"]
    done = winnow_here("import", str(file), *asked)
    assert done.returncode == 0, done.stderr
    run = Run(home / "runs" / json.loads(done.stdout)["run"])
    assert "tensors came frozen; they count like the others, and a refit trains them" in run.spec.network.origin
    groups = run.groups()
    assert groups[~groups["alive"]][["layer", "channel"]].to_numpy().tolist() == [["second", 2]]


def test_what_does_not_fit_is_said(home: Path) -> None:
    torch.save({"first.0.weight": torch.zeros(4, 1, 3, 3)}, home / "part.pth")
    for arguments, said in (
        ([*OWN, "--example", "1,1,8,8"], "`weights` must fit the network tensor by tensor"),
        ([*OWN], "`example` must be the shape of an input, such as 1,3,64,64, got none"),
        ([*OWN, "--example", "1,a"], "`example` must be the shape of an input"),
        (["--network", "residual", "--example", "1,1,8,8"], "`network` must be MODULE:FUNCTION"),
        ([*OWN, "--dataset", "digits", "--tasks", "depth"], "`tasks` must be among digit, parity, ink, got depth"),
        ([*OWN, "--dataset", "mnist"], "`dataset` must be one of scenes"),
        ([*OWN, "--network-option", "width=5", "--example", "1,1,8,8"], "must be given once for width, got it twice"),
        ([*OWN[:2], "--network-option", "depth=5", "--example", "1,1,8,8"], "got: got an unexpected keyword argument"),
    ):
        done = winnow_here("import", str(home / "part.pth"), *arguments)
        assert done.returncode == 2, done.stdout
        assert said in done.stderr
    assert not list_runs(home / "runs")


ODD = """
import torch
from torch import nn


class Words(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.words, self.out = nn.Embedding(9, 4), nn.Conv2d(3, 4, 3)
        self.kind = kind

    def forward(self, x):
        return {"it": self.words(x) if self.kind == "words" else self.out(x)}


def build(kind):
    return Words(kind).half() if kind == "half" else Words(kind)
"""


@pytest.mark.parametrize(
    ("kind", "shape", "said"),
    [
        ("words", "1,7", "RuntimeError: Expected tensor for argument #1 'indices'"),
        ("half", "1,3,8,8", "RuntimeError: Input type (float) and bias type"),
        ("plain", "1,4,8,8", "RuntimeError: Given groups=1, weight of size [4, 3, 3, 3]"),
    ],
)
def test_an_example_that_the_network_does_not_take_is_refused_in_a_line(
    home: Path, kind: str, shape: str, said: str
) -> None:
    (home / "project" / "oddnets.py").write_text(ODD)
    sys.modules.pop("oddnets", None)
    state = {"words.weight": torch.zeros(9, 4), "out.weight": torch.zeros(4, 3, 3, 3), "out.bias": torch.zeros(4)}
    torch.save(state, home / "odd.pth")
    asked = ["--network", "oddnets:build", "--network-option", f"kind={kind}", "--example", shape]
    done = winnow_here("import", str(home / "odd.pth"), *asked)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("winnow: `example` must be an input that the network takes, float32 of shape (1, ")
    assert said in done.stderr
    assert not list_runs(home / "runs")
