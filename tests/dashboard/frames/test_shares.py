from collections.abc import Callable

import pytest

from winnow.dashboard.frames import shares
from winnow.engine.runs.derived import DerivedJob, derived_job
from winnow.engine.specs.explain import ExplainSpec

Make = Callable[..., DerivedJob]


def test_a_channel_has_the_task_of_its_largest_share(make_explained: Make) -> None:
    frame = shares.map_cells(make_explained()).set_index(["layer", "channel"])
    assert frame.loc[("stem", 1), "dominant"] == "seg"
    assert frame.loc[("stem", 2), "dominant"] == "normals"
    assert frame.loc[("stem", 1), "label"] == "seg"
    assert frame.loc[("stem", 0), "label"] == "shared"
    assert frame.loc[("stem", 1), "share"] == pytest.approx(frame.loc[("stem", 1), "share_seg"])
    assert frame["certainty"].dropna().between(0, 1).all()


def test_dead_channels_have_no_task_and_are_left_out_and_counted(make_explained: Make) -> None:
    work = make_explained()
    whole = shares.map_cells(work)
    assert whole.loc[whole["label"] == "dead", ["dominant", "share"]].isna().all(axis=None)
    assert len(shares.cells(work)) == 12
    assert shares.left_out(work) == (13, 1, 0)
    assert shares.left_out(work, "stem") == (3, 0, 0)


def test_every_layers_labels_add_up_to_its_channels_even_for_a_task_called_depth(make_explained: Make) -> None:
    frame = shares.counts(make_explained())
    assert frame["layer"].tolist() == ["stem", "<b>deep</b>", "trunk"]
    counted = frame[[name for name in frame if name.startswith("channels_")]]
    assert counted.sum(axis=1).tolist() == frame["total"].tolist() == [3, 4, 6]
    assert frame["channels_dead"].tolist() == [0, 0, 1]


def test_sets_of_tasks_come_with_the_largest_first(make_explained: Make) -> None:
    frame = shares.overlaps(make_explained())
    assert frame["channels"].is_monotonic_decreasing
    assert frame.loc[0, "tasks"] == "seg+depth+normals"
    assert frame["channels"].sum() == 12


def test_heads_say_how_many_of_their_columns_are_zero(make_explained: Make) -> None:
    assert shares.heads(make_explained())["ignored"].tolist() == [1, 1, 1]


def test_what_is_not_measured_yet_is_empty(make_explained: Make) -> None:
    work = derived_job(make_explained().run, ExplainSpec())
    frames = [shares.map_cells(work), shares.cells(work), shares.counts(work), shares.overlaps(work)]
    assert [len(frame) for frame in [*frames, shares.affinity(work), shares.heads(work)]] == [0] * 6
