"""A real second process: trained, stopped, changed, failed, lost."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.engine.commanding import Trained
from winnow.engine.jobs import worker
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.train import parse

ENDED = ("done", "stopped", "failed", "lost")
SMALL = {"widths": (8, 8), "blocks": (1, 1), "head_width": 8}


def spec(epochs: int, **changes: object):
    values = {"data": {"dataset": "digits"}, "network": SMALL, "threads": 1, "batch_size": 64}
    return parse({**values, "name": "test", "epochs": epochs, **changes})


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true, for a minute and a half at most."""
    end = time.monotonic() + 90
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


def wait(run: Run) -> str:
    """Return how a run ends."""
    until(lambda: run.status.state in ENDED)
    return run.status.state


def wait_for_steps(run: Run, steps: int) -> None:
    until(lambda: run.status.step >= steps or run.status.state not in LIVE)


def controls(run: Run) -> list[str]:
    """Return what the worker says that it was asked."""
    return run.events().query("split == 'control'")["quantity"].tolist()


@pytest.fixture(scope="module", autouse=True)
def failing(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that fails, started first, so that it does so while the others are at work."""
    run = create(spec(3, optimiser={"optimiser": "sgd", "learning_rate": 1e30}), tmp_path_factory.mktemp("failing"))
    launch.start(run)
    return run


def test_a_run_leaves_a_folder_that_pandas_and_safetensors_can_read(trained: Trained):
    run = trained.run
    events = pd.read_json(run.path / "events.jsonl", lines=True)
    assert set(events["split"]) == {"train", "val", "constant", "model", "conflict", "start"}
    losses = events[(events.task == "digit") & (events.quantity == "loss") & (events.split == "val")]
    assert losses["value"].is_monotonic_decreasing
    (weights,) = [load_file(file) for file in sorted((run.path / "weights").glob("*.safetensors"))[-1:]]
    assert any(name.startswith("net.trunk") for name in weights)
    groups = run.groups()
    assert len(run.norms.rows()) == 3
    first = weights["net.trunk.stem.0.0.weight"]
    np.testing.assert_allclose(groups["norm"][0], np.linalg.norm(first[:, 0]), rtol=1e-5)


def test_a_user_changes_pauses_and_stops_a_live_run_and_it_can_be_replayed(runs_root: Path):
    run = create(spec(500))
    launch.start(run)
    wait_for_steps(run, 3)
    run.ask(strength=0.02)
    until(lambda: "strength" in controls(run))
    run.ask(pause=True)
    until(lambda: run.status.paused)
    paused_at = run.status.step
    time.sleep(0.5)
    assert run.status.paused
    assert run.status.step == paused_at
    run.ask(pause=False)
    wait_for_steps(run, paused_at + 5)
    with pytest.raises(launch.JobError, match="queued, stopped, lost or failed"):
        launch.start(run)  # a live run is not started twice
    launch.stop(run)
    assert wait(run) == "stopped"
    assert controls(run) == ["strength", "pause", "resume", "stop"]
    control = run.events().query("split == 'control'")
    change = run.replay().strength_changes[0]
    assert change.strength == 0.02
    assert change.step == control["step"].iloc[0]
    assert list((run.path / "weights").glob("*.safetensors"))


def test_a_killed_worker_is_lost_and_can_be_resumed(runs_root: Path):
    run = create(spec(12))  # long enough to be in the middle of it when the kill comes
    launch.start(run)
    wait_for_steps(run, 25)
    assert launch.kill(run)
    assert wait(run) == "lost"
    launch.start(run)
    assert wait(run) == "done", (run.path / "log.txt").read_text()
    epochs = run.events().query("split == 'val' and task == 'digit' and quantity == 'loss'")["epoch"].tolist()
    assert epochs[-1] == 12


def test_a_failed_run_says_why_in_a_sentence_and_keeps_its_folder(failing: Run):
    assert wait(failing) == "failed"
    assert "loss became" in failing.status.message
    assert "epoch 1, step" in failing.status.message
    assert (failing.path / "log.txt").stat().st_size > 0


def test_code_that_ends_the_process_is_named() -> None:
    assert "ended the process: sys.exit(0)" in worker.reason(SystemExit(0))
