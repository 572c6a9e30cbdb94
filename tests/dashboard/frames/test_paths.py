from pathlib import Path

import numpy as np
import pytest

from tests.dashboard.making_studies import write_path
from winnow.dashboard.frames import paths
from winnow.engine.runs.study import Study, create_study


@pytest.fixture
def path(the_path: Study) -> Study:
    return the_path


def test_points_stand_in_the_order_of_what_was_asked(path: Study) -> None:
    found = paths.points(path)
    assert found["label"].tolist() == ["dense", "20 %", "40 %", "60 %", "80 %"]
    assert found["run"].is_unique


def test_networks_are_those_of_the_first_seed_group_by_group(runs_root: Path) -> None:
    path = write_path(runs_root, seeds=[3, 1], targets=[40, 80])
    known = paths.networks(path)
    assert known.norms.shape == (3, 32)
    for place, run in enumerate(known.points["run"]):
        assert (known.norms[place] == path.run(_key(path, run)).table("groups")["norm"].to_numpy()).all()
    assert all(_key(path, run).endswith("/3") for run in known.points["run"])


def _key(path: Study, run: str) -> str:
    members = path.members()
    return str(members.loc[members["run"] == run, "key"].iloc[0])


def test_norms_of_a_layer_are_missing_where_dead(path: Study) -> None:
    found = paths.path_norms(path, "<b>deep</b>")
    known = paths.networks(path)
    assert len(found) == 5 * 20
    assert found["norm"].isna().sum() == (known.norms[:, 12:] == 0).sum()
    assert paths.path_norms(path, "nowhere").empty


def test_the_share_of_dead_grows_along_a_path(path: Study) -> None:
    found = paths.deaths(path)
    for _, own in found.groupby("layer"):
        assert (np.diff(own["dead"]) >= 0).all()
    whole = found.assign(groups=found["layer"].map({"stem": 12, "<b>deep</b>": 20}))
    dead = (whole["dead"] * whole["groups"]).groupby(whole["level"]).sum() / 32
    assert dead.tolist() == pytest.approx([0, 18.75, 40.6, 59.4, 81.25], abs=0.1)


def test_a_path_without_results_has_no_networks(path: Study, tmp_path: Path) -> None:
    waiting = create_study(path.spec, tmp_path)
    assert paths.points(waiting).empty
    assert paths.networks(waiting).norms.size == 0
    assert paths.deaths(waiting).empty
