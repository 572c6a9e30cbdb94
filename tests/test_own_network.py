"""docs/own-network.md as written: its files train, and its loop is recorded; few lines are added to it."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

from tests.engine.commanding import winnow_here
from winnow.engine.runs.run import list_runs
from winnow.engine.runs.study import list_studies

PAGE = (Path(__file__).parents[1] / "docs" / "own-network.md").read_text()
FILES = dict(re.findall(r'```python title="([^"]+)"\n(.*?)```', PAGE, re.S))
(COMMAND,) = re.findall(r"^winnow (train .*)$", PAGE, re.M)
MOST = 12  # lines added to a loop


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("WINNOW_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("WINNOW_TRUSTED", str(tmp_path / "trusted.json"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_network_and_the_data_are_trained_by_command(folder: Path) -> None:
    asked = [*COMMAND.replace("--dataset digits", "--dataset mydata:load").split(), "--task", "light=mytasks:Near"]
    done = winnow_here(*asked, "--epochs", "2", "--threads", "1", "--json")
    assert done.returncode == 0, done.stderr
    (run,) = list_runs(folder / "runs")
    assert run.spec.network.options == {"width": 24}
    assert "near" in set(run.events()["quantity"])
    assert list(dict.fromkeys(run.groups()["layer"])) == ["backbone.0", "backbone.3"]


def test_the_loop_is_recorded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 4 <= FILES["train.py"].count("# +\n") <= MOST
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    for name in ("mynets", "mydata"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    torch.manual_seed(0)
    runpy.run_path(str(folder / "train.py"))
    (run,) = list_runs(folder / "runs")
    assert (run.status.state, run.status.epoch) == ("done", 3)
    events = run.events()
    accuracy = events[(events["quantity"] == "accuracy") & (events["split"] == "val")]["value"]
    assert accuracy.iloc[-1] > 90


@pytest.mark.study
def test_a_study_of_a_network_data_and_task_of_ones_own(folder: Path) -> None:
    """What the code prints is kept apart from the result of the command."""
    for name in ("mynets", "mydata", "mytasks"):
        (folder / f"{name}.py").write_text(f"print('{name} is imported')\n{FILES[f'{name}.py']}")
    asked = [
        "--network",
        "mynets:build",
        "--network-option",
        "width=4",
        "--trunk",
        "backbone",
        "--task",
        "light=mytasks:Near",
    ]
    asked += ["--dataset", "mydata:load", "--dataset-option", "length=64", "--epochs", "1", "--batch-size", "16"]
    done = winnow_here("study", *asked, "--subsets", "light,all", "--strengths", "0.01", "--seeds", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "done"
    assert "mydata is imported" in done.stderr
    runs = list_runs(folder / "runs")
    asked_for = {(len(run.spec.tasks), run.spec.penalty.strength) for run in runs}
    assert asked_for == {(1, 0), (1, 0.01), (2, 0), (2, 0.01)}
    assert {run.status.state for run in runs} == {"done"}
    assert {run.spec.own_tasks["light"].code for run in runs} == {"mytasks:Near"}
    (study,) = list_studies(folder / "runs")
    summary = study.table("summary")
    assert {"light.near", "side.accuracy"} <= set(summary["quantity"])
