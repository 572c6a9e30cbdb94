"""What a run says of its data before the first step: nothing to judge by, or depths in another unit."""

import numpy as np
import pytest
import torch

from winnow.data.sample import Field
from winnow.data.stacking import Stacked
from winnow.engine.jobs.training_job import _in_other_units, _unjudged
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches

FIELDS = {"class": Field(kind="classification", classes=("x", "y")), "depth": Field(kind="depth", unit="m")}


def images(depth: float, label: int) -> Batches:
    """Return four images, a quarter of whose depths are not known."""
    depths = np.full((4, 8, 8), depth, np.float32)
    depths[0] = 0
    stacked = Stacked(np.zeros((4, 8, 8, 3), np.uint8), {"class": np.full(4, label), "depth": depths})
    return Batches(stacked, build_tasks(FIELDS, [*FIELDS]), 2, torch.device("cpu"))


@pytest.mark.parametrize(
    ("depth", "said"), [(2.5, ""), (0.1, ""), (2500, "`depth`: the mean is 2500 m, which"), (0.01, "very near")]
)
def test_a_depth_in_another_unit_is_said(depth: float, said: str) -> None:
    found = _in_other_units(images(depth, 0))
    assert len(found) == bool(said)
    assert said in "".join(found)


def test_a_task_that_validation_cannot_judge_is_said() -> None:
    assert _unjudged(images(1.0, 1)) == []
    assert _unjudged(images(1.0, -1)) == [
        "`class` has no label in the validation images: it is trained, but not judged"
    ]
    assert len(_unjudged(images(0.0, -1))) == 2
