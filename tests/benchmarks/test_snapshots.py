"""What it costs to keep a compact network on the way: next to nothing beside the epoch that it comes after."""

import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from winnow.engine.jobs.snapshots import Snapshots
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.training_job import run_training
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.run import create
from winnow.engine.runs.snapshots import list_snapshots, snapshot_folders
from winnow.engine.specs.train import demo
from winnow.engine.training.loop import EpochDone

pytestmark = pytest.mark.bench

EPOCHS = 4


def test_keeping_a_network_beside_an_epoch_of_the_demo(tmp_path: Path, figure, monkeypatch, worker_settings):
    run = create(demo().model_copy(update={"epochs": EPOCHS, "snapshots": 5, "threads": 1}), tmp_path)
    look, ends, kept = Snapshots.look, [], []

    def timed(self: Snapshots, record: EpochDone) -> None:
        before, began = len(snapshot_folders(run.path)), time.process_time()
        look(self, record)
        ended = time.process_time()
        if len(snapshot_folders(run.path)) > before:
            kept.append(ended - began)
        ends.append((began, ended))

    monkeypatch.setattr(Snapshots, "look", timed)
    with worker_settings():
        run_training(run, ResultWriter(run), StopRequest(run))
    epochs = [began - ended for (_, ended), (began, _) in pairwise(ends)]
    share = median(kept) / median(epochs)
    levels = ", ".join(f"{point.level} % after epoch {point.epoch}" for point in list_snapshots(run.path))
    figure(
        f"keeping a network ÷ an epoch of the demo ({levels})",
        f"{share:.3f} ({median(kept):.2f} s of {median(epochs):.1f} s, processor time, one thread)",
        "≤ 0.1",
    )
    assert share <= 0.1
