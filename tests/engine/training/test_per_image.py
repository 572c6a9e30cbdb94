"""Image by image: the same numbers as the whole split where they add up, and who changed."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch

from winnow.data.catalog import load
from winnow.data.stacking import stack
from winnow.engine.jobs.prune_report import worst_images
from winnow.engine.networks.multitask import build_network
from winnow.engine.specs.network import ResidualSpec
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.evaluate import validated
from winnow.engine.training.per_image import judged_images

TASKS = ("seg", "depth", "normals", "edges")


@pytest.fixture(scope="module")
def judged():
    rooms = load("scenes", split="val", length=7, size=32)
    tasks = build_tasks(rooms.fields, TASKS)
    torch.manual_seed(0)
    net = build_network(ResidualSpec(widths=(6, 8), blocks=(1, 1), head_width=4), tasks, 3).eval()
    given = Batches(stack(rooms, TASKS), tasks, 3, torch.device("cpu"))
    other = deepcopy(net)
    with torch.no_grad():
        other.trunk.stem[0][0].weight[2:] = 0
    return net, other, tasks, given


def test_class_overlaps_add_up_to_the_metric_of_the_split(judged) -> None:
    net, other, tasks, given = judged
    images, classes = judged_images({"dense": net, "sparse": other}, tasks, given)
    sums = classes.groupby("class")[["intersection_dense", "union_dense"]].sum()
    iou = 100 * (sums["intersection_dense"] / sums["union_dense"]).mean()
    assert iou == pytest.approx(validated(net, tasks, given)["seg"]["miou"], rel=1e-6)
    assert sorted(images["image"].unique()) == list(range(7))
    depth = images[images["task"] == "depth"]
    assert depth["sparse"].ne(depth["dense"]).all()


def test_the_same_network_changes_nothing_and_one_network_has_no_change(judged) -> None:
    net, _, tasks, given = judged
    images, _ = judged_images({"dense": net, "sparse": deepcopy(net)}, tasks, given, most=4)
    assert images["image"].nunique() == 4
    assert images["changed"].max() < 0.05  # acos of a rounded cosine
    pd.testing.assert_series_equal(images["dense"], images["sparse"], check_names=False)
    alone, classes = judged_images({"run": net}, tasks, given)
    assert "changed" not in alone
    assert {"intersection_run", "union_run"} <= set(classes)


def test_an_image_without_labels_has_no_metric(judged) -> None:
    net, _, tasks, given = judged
    stacked = {name: given.target(name).clone() for name in TASKS}
    stacked["seg"][1] = -1
    images = torch.cat([batch.images for batch in given.in_order()])

    class Few:
        def in_order(self):
            from winnow.engine.training.batches import Batch

            yield Batch(images, stacked)

    found, classes = judged_images({"run": net}, tasks, Few())  # type: ignore[arg-type]
    seg = found[found["task"] == "seg"].set_index("image")["run"]
    assert np.isnan(seg[1])
    assert seg.drop(1).notna().all()
    assert 1 not in set(classes["image"])


def test_worst_takes_turns_of_the_tasks_and_minds_the_direction() -> None:
    rows = [(i, "seg", "higher", 50.0, 50.0 - i, 0.0) for i in range(4)]  # image 3 lost most
    rows += [(i, "depth", "lower", 1.0, 2.0 - i / 4, 0.0) for i in range(4)]  # image 0 lost most
    frame = pd.DataFrame(rows, columns=["image", "task", "better", "dense", "sparse", "changed"])
    assert worst_images(frame, 3) == [3, 0, 2]
    frame.loc[frame["task"] == "depth", "sparse"] = np.nan
    frame.loc[(frame["task"] == "depth") & (frame["image"] == 1), "changed"] = 9.0
    assert worst_images(frame, 2) == [3, 1]
