import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.dashboard.making_studies import write_path
from winnow.dashboard.canvas.path_scrubber import Request
from winnow.dashboard.canvas.path_scrubber import request as read
from winnow.dashboard.frames import paths
from winnow.dashboard.frames.paths import FIRST
from winnow.dashboard.pages.path.study_figures import course
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study


@pytest.fixture
def path(the_path: Study) -> Study:
    return the_path


def test_all_networks_travel_as_one_byte_a_group(path: Study) -> None:
    made, sent = course(path)
    levels = np.frombuffer(base64.b64decode(sent["levels"]), np.uint8).reshape(5, 32)
    assert ((levels == 0) == (made.networks.norms == 0)).all()
    assert (levels == 0).mean(axis=1) == pytest.approx([0, 0.19, 0.41, 0.59, 0.81], abs=0.01)
    assert (sent["layers"], sent["counts"]) == (["stem", "<b>deep</b>"], [12, 20])


def test_points_stand_where_their_targets_do(path: Study) -> None:
    _, sent = course(path)
    assert [point["label"] for point in sent["points"]] == ["dense", "20 %", "40 %", "60 %", "80 %"]
    assert [point["place"] for point in sent["points"]] == [0, 0.25, 0.5, 0.75, 1]
    assert sent["axis"] | {"unit": " %", "log": False, "high": 80.0} == sent["axis"]


def test_strengths_stand_on_a_log_axis_with_the_dense_network_apart(runs_root: Path) -> None:
    _, sent = course(write_path(runs_root, targets=[], strengths=[0.01, 0.1, 1.0]))
    places = [point["place"] for point in sent["points"]]
    assert places == pytest.approx([0, FIRST, (1 + FIRST) / 2, 1])
    assert sent["points"][1]["label"] == "0.01 λ_max"


def test_a_single_strength_stands_at_the_end(runs_root: Path) -> None:
    _, sent = course(write_path(runs_root, targets=[], strengths=[0.1]))
    assert [point["place"] for point in sent["points"]] == [0, 1]


def test_the_charts_are_what_is_zero_the_skill_and_each_task(path: Study) -> None:
    _, sent = course(path)
    titles = [panel["title"] for panel in sent["panels"]]
    assert titles == ["exactly zero [%]", "skill over all tasks ↑", "seg: mean IoU ↑", "depth: absolute error ↓"]
    assert sent["panels"][0]["curves"][0]["values"] == [0, 20, 40, 60, 80]
    assert sent["panels"][3]["unit"] == " m"


def test_elbow_and_one_standard_error_are_marked(path: Study) -> None:
    _, sent = course(path)
    marks = {mark: point["label"] for point in sent["points"] for mark in point["marks"]}
    assert marks.keys() == {"elbow", "one standard error"}
    assert marks["elbow"] in ("40 %", "60 %")


def test_what_the_browser_asks_for_is_checked(path: Study) -> None:
    made, sent = course(path)
    run = sent["points"][2]["run"]
    assert read({"what": "open", "of": path.id, "run": run}, made) == Request(path.id, run=run)
    assert read({"what": "train", "of": path.id, "level": 44.8}, made) == Request(path.id, level=44.8)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"what": "open", "run": "../../etc"},
        {"what": "open", "run": ["x"]},
        {"what": "train", "level": 0},
        {"what": "train", "level": 100},
        {"what": "train", "level": float("nan")},
        {"what": "train", "level": True},
        {"what": "train", "level": "50"},
        {"what": "train", "level": 50, "of": "another"},
        {"what": "remove"},
    ],
)
def test_a_request_that_makes_no_sense_is_none(path: Study, value: dict[str, Any]) -> None:
    assert read({"of": path.id, **value}, course(path)[0]) is None


def test_a_point_whose_run_is_gone_is_left_out(runs_root: Path) -> None:
    path = write_path(runs_root)
    Run(path.root / paths.points(path)["run"].iloc[1]).remove()
    assert paths.networks(path).points["label"].tolist() == ["dense", "40 %", "60 %", "80 %"]


def test_a_study_is_no_path(the_study: Study) -> None:
    with pytest.raises(ValueError, match="must be a path"):
        course(the_study)
