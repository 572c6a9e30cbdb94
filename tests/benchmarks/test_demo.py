"""What a newcomer waits for: first figures, and a run that is worth looking at."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from winnow.data.catalog import DATASETS
from winnow.engine.cli.follow import outcome
from winnow.engine.runs.quantities import metrics
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.work_folder import LIVE

pytestmark = pytest.mark.bench

FAR = {"miou": 3.0, "abs_error": 1 / 1.8, "mean_angle": 1 / 1.5}  # against the constant prediction


def test_the_demo_is_useful_within_two_minutes(tmp_path: Path, figure):
    began = time.time()
    command = [
        sys.executable,
        "-c",
        "from winnow.engine.cli.main import main; main()",
        "demo",
        "--no-browser",
        "--port",
        "8597",
    ]
    server = subprocess.Popen(command, env={**os.environ, "WINNOW_RUNS": str(tmp_path)})
    try:
        run = first_run(tmp_path)
        while run.status.state in LIVE:
            time.sleep(0.1)
        took = time.time() - began
    finally:
        server.terminate()
        server.wait()
    events = run.events()
    first = events.loc[events["split"] == "train", "time"].min() - began
    figure("`winnow demo`: first figures after", f"{first:.1f} s", "≤ 15 s")
    figure("`winnow demo`: finished after", f"{took:.1f} s", "≤ 120 s")
    result = outcome(run)
    constant = events[events["split"] == "constant"].set_index(["task", "quantity"])["value"]
    for task in run.spec.tasks:
        main = metrics(DATASETS["scenes"]().fields[task])[0]
        level, value = constant[task, main.name], result["metrics"][task][1]
        figure(f"demo, {task}: {main.label}", f"{value:.3g} {main.unit}", f"constant prediction {level:.3g}")
        better = value / level >= FAR[main.name] if main.better == "higher" else value / level <= FAR[main.name]
        assert better, f"{task}: {value} against {level}"
    figure("demo, zero groups", f"{result['group_sparsity']:.1f} %", "visible: ≥ 30 %")
    assert result["group_sparsity"] >= 30
    assert first <= 15
    assert took <= 120


def first_run(root: Path) -> Run:
    end = time.time() + 30
    while not list_runs(root) and time.time() < end:
        time.sleep(0.05)
    return list_runs(root)[0]
