"""Do two workers train a study nearly twice as fast as one? The same eight runs on Dask clusters of one and of two."""

import time
from pathlib import Path

import pytest

from winnow.engine.runs import launch
from winnow.engine.runs.study import create_study
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.study import parse_many

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

EPOCHS = 40
BASE = {
    "data": {"dataset": "digits"},
    "tasks": ["digit", "ink"],
    "network": {"widths": [16, 32], "blocks": [2, 2]},
    "epochs": EPOCHS,
    "batch_size": 64,
    "threads": 1,
}


def seconds(root: Path, address: str) -> float:
    """Train the eight runs through a scheduler; return how long it took from the study's start to its end."""
    values = {"name": "eight", "base": BASE, "targets": [50], "seeds": [0, 1], "subsets": ["all"], "scheduler": address}
    study = create_study(parse_many(values), root)
    began = time.monotonic()
    launch.start(study)
    while study.status.state in LIVE:
        time.sleep(0.2)
    assert study.status.state == "done", study.status.message
    assert len(study.members()) == 8
    return time.monotonic() - began


def test_two_workers_are_nearly_twice_as_fast(tmp_path: Path, dask_cluster, capsys: pytest.CaptureFixture[str]):
    took = {}
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        with dask_cluster(folder, workers) as address:
            time.sleep(5)  # until all workers have imported what they need
            took[workers] = seconds(folder / "runs", address)
    ratio = took[1] / took[2]
    with capsys.disabled():
        print(f"\n8 runs: {took[1]:.0f} s on one worker, {took[2]:.0f} s on two: {ratio:.2f} times as fast (≥ 1.7)")
    assert ratio >= 1.7
