"""Tasks that are labelled in different images: batches of one data set at a time, and runs on several of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.commanding import winnow_here
from winnow.data.joined import JoinedData
from winnow.data.sample import Field
from winnow.data.stacking import Stacked
from winnow.engine.runs.run import Run
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.train import parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches


@pytest.mark.parametrize("lengths", [(9, 4), (4, 4), (12, 5, 4)])
def test_batches_in_turns_hold_one_part_each_and_spread_them(lengths: tuple[int, ...]):
    total = sum(lengths)
    which = np.repeat(np.arange(len(lengths)), lengths)
    stacked = Stacked(np.zeros((total, 2, 2, 1), np.uint8), {"number": np.arange(total, dtype=np.float32)}, lengths)
    task = build_tasks({"number": Field(kind="regression")}, ["number"])
    batches = Batches(stacked, task, 4, torch.device("cpu"))
    assert batches.steps == sum(length // 4 for length in lengths)
    for epoch in range(3):
        found = [batch.targets["number"].long().numpy() for batch in batches.shuffled(0, epoch, flips=False)]
        assert len(found) == batches.steps
        assert all(len(set(which[batch])) == 1 for batch in found)
        every = np.concatenate(found)
        assert len(set(every)) == len(every)
        skipped = [batch.targets["number"].long().numpy() for batch in batches.shuffled(0, epoch, False, skip=1)]
        np.testing.assert_array_equal(np.concatenate(skipped), np.concatenate(found[1:]))


@pytest.mark.usefixtures("works_here")
@pytest.mark.parametrize("how", [[], ["--alternating"]])
def test_tasks_of_two_data_sets_are_trained_and_pruned(runs_root: Path, how: list[str]):
    asked = ["--dataset", "fashion[upper]+fashion[seg]", "--widths", "8", "--blocks", "1", "--epochs", "4"]
    sizes = ["--train-length", "320", "--val-length", "64", "--batch-size", "16"]
    done = winnow_here("train", *asked, *sizes, *how, "--strength", "3e-3", "--name", "two", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert set(said["metrics"]) == {"upper", "seg"}
    run = Run.open(runs_root / said["run"])
    assert isinstance(run.spec.data, JoinedData)
    assert run.spec.data.alternating is bool(how)
    losses = run.events().query("split == 'val' and quantity == 'loss'").groupby("task")["value"]
    assert (losses.last() < losses.first()).all()  # each task learned from its own images
    pruned = winnow_here("prune", "two", "--no-onnx", "--rounds", "3", "--json")
    assert pruned.returncode == 0, pruned.stderr


def test_a_batch_must_fit_into_each_part_that_takes_turns(runs_root: Path):
    assert not runs_root.exists()
    with pytest.raises(SpecError, match="`balancing` must be equal or static with alternating batches"):
        parse(
            {
                "data": {"dataset": "joined", "sources": [{"dataset": "digits"}] * 2, "alternating": True},
                "balancing": {"balancing": "famo"},
            }
        )
