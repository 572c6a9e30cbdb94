from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dashboard.making import write_tables
from tests.dashboard.making_explanations import write_explanation
from winnow import engine
from winnow.dashboard.frames import reliance
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.current import OF_AN_IMAGE
from winnow.engine.runs.derived import DerivedJob

Make = Callable[..., DerivedJob]


def test_the_most_relevant_come_first_and_the_dead_not_at_all(make_explained: Make) -> None:
    frame = reliance.ranked(make_explained(), "taylor", "seg")
    assert frame["relevance"].is_monotonic_decreasing
    assert (frame["low"] <= frame["relevance"]).all()
    assert len(frame) == 12
    assert frame["part"].sum() == pytest.approx(100)
    assert set(reliance.ranked(make_explained(), "taylor", "seg", "stem")["layer"]) == {"stem"}


def test_a_channel_says_what_each_task_has_of_it(make_explained: Make) -> None:
    frame = reliance.channel_reliance(make_explained(), "taylor", Cell("stem", 1)).set_index("task")
    assert frame.loc["seg", "part"] > 10 * frame.loc["depth", "part"]
    assert frame.loc["seg", "share"] > 0.9
    assert (frame["low"] <= frame["part"]).all()


def test_shares_belong_to_the_first_method(make_explained: Make) -> None:
    work = make_explained(methods=["taylor", "conductance"])
    assert reliance.channel_reliance(work, "conductance", Cell("stem", 1))["share"].isna().all()


def test_switching_off_moves_every_task(make_explained: Make) -> None:
    work = make_explained()
    frame = reliance.moves(work.run, work, Cell("stem", 0)).set_index("task")
    assert list(frame.index) == ["seg", "depth", "normals"]
    assert frame.loc["seg", "value_change"] < 0 < frame.loc["depth", "value_change"]
    assert reliance.moves(work.run, work, Cell("stem", 2)).empty


def test_an_ablation_of_another_explanation_counts_if_it_is_of_the_same_checkpoint(make_explained: Make) -> None:
    work = make_explained()
    other = write_explanation(work.run, layers=["stem"])
    path = other.path / "tables" / "ablation.parquet"
    rows = other.table("ablation")
    rows.assign(channel=2).to_parquet(path)
    assert len(reliance.moves(work.run, work, Cell("stem", 2))) > 0
    rows.assign(channel=2, step=60, images=5).to_parquet(path)
    assert reliance.moves(work.run, work, Cell("stem", 2)).empty


def test_a_cell_that_is_not_there_is_none(make_explained: Make) -> None:
    assert reliance.use(make_explained(), Cell("stem", 9)) is None


def test_channels_of_the_images_are_not_ranked_among_features(make_explained: Make) -> None:
    work = make_explained()
    groups = write_tables(work.run).table("groups")
    blocked = groups["blocked"].where(groups["layer"] != "stem", f"images: {OF_AN_IMAGE} images")
    assert OF_AN_IMAGE in Path(engine.__path__[0], "graph", "tables.py").read_text()  # where the engine says so
    groups.assign(blocked=blocked).to_parquet(work.run.path / "tables" / "groups.parquet")
    assert set(reliance.ranked(work, "taylor", "seg")["layer"]) == {"<b>deep</b>", "trunk"}
    assert set(reliance.ranked(work, "taylor", "seg", "stem")["layer"]) == {"stem"}
