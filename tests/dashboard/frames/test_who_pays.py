"""Two networks image by image: who lost, what the resampled intervals say, when two runs can be joined."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tests.dashboard.making_judged import IMAGES, write_judged
from tests.dashboard.pruning_making import write_pruning
from winnow.dashboard.frames import who_pays
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]
Make = Callable[..., DerivedJob]


def test_images_of_a_pruning_come_worst_first_in_the_direction_of_their_metric(make_stored_run: MakeRun) -> None:
    judged = who_pays.of_pruning(write_judged(write_pruning(make_stored_run())))
    assert judged.tasks == ["seg", "depth"] or judged.tasks == ["depth", "seg"]
    for _, own in judged.images.groupby("task"):
        assert own["image"].tolist() == list(range(IMAGES))[::-1]
        assert own["lost"].tolist() == [float(i) for i in range(IMAGES)][::-1]


def test_a_class_that_falls_in_every_image_has_an_interval_below_zero(make_stored_run: MakeRun) -> None:
    judged = who_pays.of_pruning(write_judged(write_pruning(make_stored_run())))
    changes = who_pays.iou_changes(judged.classes).set_index("class")
    assert changes.loc[1, ["one", "other", "change"]].tolist() == pytest.approx([50, 26.5, -23.5])
    assert changes.loc[1, "low"] < -23.5 < changes.loc[1, "high"] < 0
    assert changes.loc[0, ["change", "low", "high"]].tolist() == [0, 0, 0]


def test_the_interval_of_a_mean_is_that_of_the_bootstrap() -> None:
    rng = np.random.default_rng(1)
    hits = rng.integers(0, 100, 200)
    rows = [(i, "seg", 0, "wall", 0, 100, int(hit), 100) for i, hit in enumerate(hits)]
    columns = ["image", "task", "class", "name", "intersection_one", "union_one", "intersection_other", "union_other"]
    found = who_pays.iou_changes(pd.DataFrame(rows, columns=columns), draws=4000).iloc[0]
    half = 1.96 * hits.std() / np.sqrt(len(hits))
    assert found["high"] - found["low"] == pytest.approx(2 * half, rel=0.08)
    assert found["change"] == pytest.approx(hits.mean())


def test_burden_is_the_part_that_the_worst_images_bear() -> None:
    lost = pd.DataFrame({"lost": [9.0, 1.0, *[0.0] * 7, -5.0]})
    assert who_pays.burden(lost) == pytest.approx(0.9)
    assert np.isnan(who_pays.burden(pd.DataFrame({"lost": [0.0, -1.0]})))


def test_two_runs_are_joined_on_the_images_that_both_explanations_judged(make_explained: Make) -> None:
    a, b = make_explained(), make_explained()
    assert who_pays.of_run_pair(a.run, b.run).images.empty
    write_judged(a, ("run",), lose=False)
    write_judged(b, ("run",))
    judged = who_pays.of_run_pair(a.run, b.run)
    assert judged.images[judged.images["task"] == "seg"]["lost"].tolist() == [float(i) for i in range(IMAGES)][::-1]
    assert who_pays.iou_changes(judged.classes).iloc[0]["name"] == "<b>chair</b>"


def test_explanations_of_different_splits_are_not_joined(make_explained: Make) -> None:
    a, b = make_explained(), make_explained(split="train")
    write_judged(a, ("run",))
    write_judged(b, ("run",))
    assert who_pays.judged_pair(a.run, b.run) is None


@pytest.mark.parametrize(("other", "lost"), [(0.5 + 4e-6, 0.0), (0.5 + 6e-6, 6e-6), (0.5 - 4e-6, 0.0), (0.25, -0.25)])
def test_no_image_pays_what_another_order_of_summing_changes(
    make_stored_run: MakeRun, other: float, lost: float
) -> None:
    pruning = write_judged(write_pruning(make_stored_run()))
    path = pruning.path / "tables" / "images.parquet"
    frame = pd.read_parquet(path)
    frame.assign(better="lower", dense=0.5, sparse=other).to_parquet(path)
    assert who_pays.of_pruning(pruning).images["lost"].tolist() == pytest.approx([lost] * len(frame))
