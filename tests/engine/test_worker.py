"""A real second process: trained, stopped, changed, failed, lost."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from engine import jobs
from engine.folders import LIVE
from engine.runs import Run, create
from engine.spec import parse

SMALL = {"widths": (8, 8), "blocks": (1, 1), "head_width": 8}


def spec(epochs: int, **changes: object):
    values = {"data": {"dataset": "digits"}, "network": SMALL, "threads": 1, "batch_size": 64}
    return parse({**values, "name": "test", "epochs": epochs, **changes})


def wait(run: Run, states: tuple[str, ...], seconds: float = 90) -> str:
    end = time.monotonic() + seconds
    while run.status.state not in states and time.monotonic() < end:
        time.sleep(0.05)
    return run.status.state


def wait_for_steps(run: Run, steps: int) -> None:
    end = time.monotonic() + 90
    while run.status.step < steps and run.status.state in LIVE and time.monotonic() < end:
        time.sleep(0.05)


ENDED = ("done", "stopped", "failed", "lost")


def test_a_run_leaves_a_folder_that_pandas_and_safetensors_can_read(runs_root: Path):
    run = create(spec(2))
    jobs.start(run)
    assert wait(run, ENDED) == "done", (run.path / "log.txt").read_text()
    events = pd.read_json(run.path / "events.jsonl", lines=True)
    assert set(events["split"]) == {"train", "val", "constant", "model", "conflict"}
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
    jobs.start(run)
    wait_for_steps(run, 3)
    run.ask(strength=0.02)
    time.sleep(0.5)
    run.ask(pause=True)
    end = time.monotonic() + 30
    while not run.status.paused and time.monotonic() < end:
        time.sleep(0.05)
    paused_at = run.status.step
    time.sleep(0.5)
    assert run.status.paused
    assert run.status.step == paused_at
    run.ask(pause=False)
    wait_for_steps(run, paused_at + 5)
    jobs.stop(run)
    assert wait(run, ENDED) == "stopped"
    control = run.events().query("split == 'control'")
    assert control["quantity"].tolist() == ["strength", "pause", "resume", "stop"]
    change = run.replay().strength_changes[0]
    assert change.strength == 0.02
    assert change.step == control["step"].iloc[0]
    assert list((run.path / "weights").glob("*.safetensors"))


def test_a_killed_worker_is_lost_and_can_be_resumed(runs_root: Path):
    run = create(spec(6))
    jobs.start(run)
    wait_for_steps(run, 25)
    assert jobs.kill(run)
    assert wait(run, ENDED) == "lost"
    jobs.start(run)
    assert wait(run, ENDED) == "done", (run.path / "log.txt").read_text()
    epochs = run.events().query("split == 'val' and task == 'digit' and quantity == 'loss'")["epoch"].tolist()
    assert epochs[-1] == 6


def test_a_failed_run_says_why_in_a_sentence_and_keeps_its_folder(runs_root: Path):
    run = create(spec(3, optimiser={"optimiser": "sgd", "learning_rate": 1e30}))
    jobs.start(run)
    assert wait(run, ENDED) == "failed"
    assert "loss became" in run.status.message
    assert "epoch 1, step" in run.status.message
    assert (run.path / "log.txt").stat().st_size > 0


def test_a_live_run_is_not_started_twice(runs_root: Path):
    run = create(spec(500))
    jobs.start(run)
    wait_for_steps(run, 1)
    with pytest.raises(jobs.JobError, match="queued, stopped or lost"):
        jobs.start(run)
    jobs.stop(run)
    assert wait(run, ENDED) == "stopped"
