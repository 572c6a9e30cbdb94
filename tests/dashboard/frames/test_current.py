from collections.abc import Callable

import pandas as pd
import pytest

from winnow.dashboard.frames import current
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse

MakeRun = Callable[..., Run]


def test_the_shares_are_of_each_component_and_of_all(make_whole_run: MakeRun) -> None:
    frame = current.shares(make_whole_run()).set_index("component")
    assert frame.loc["trunk", ["removable parameters", "removable MACs", "with gathers"]].tolist() == [50, 25, 37.5]
    assert frame.loc["total", ["removable parameters", "removable MACs", "with gathers"]].tolist() == [40, 20, 30]


def test_a_kernel_is_one_channels(make_whole_run: MakeRun) -> None:
    frame = current.kernel(make_whole_run(), "stem", 2)
    assert list(frame) == ["row", "column", "magnitude"]
    assert frame["magnitude"].tolist() == pytest.approx([0.1 * (i + 2) for i in range(9)])


def test_the_nearest_to_the_edge_come_first_and_the_safe_are_left_out(make_whole_run: MakeRun) -> None:
    frame = current.edge(make_whole_run(epochs=3))
    assert frame["state"].tolist() == ["dead", "near", "dead", "dead"]
    assert frame["distance"].tolist() == pytest.approx([0.4, 0.5, 0.5, 0.6])
    assert frame["distance"].is_monotonic_increasing


def test_a_group_is_found_by_layer_and_channel(make_whole_run: MakeRun) -> None:
    run = make_whole_run(epochs=3)
    found = current.group(run, "<b>deep</b>", 1)
    assert found is not None
    assert (found["state"], found["removable"], found["firmness"]) == ("dead", True, pytest.approx(0.4))
    assert current.group(run, "<b>deep</b>", 9) is None


def test_a_table_that_is_replaced_is_read_again(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    before = len(current.groups(run))
    current.groups(run).iloc[:2].to_parquet(run.path / "tables" / "groups.parquet")
    assert (before, len(current.groups(run))) == (7, 2)


def test_a_run_without_tables_has_empty_frames(runs_root: object) -> None:
    run = create(parse({}))
    frames: list[pd.DataFrame] = [
        current.groups(run),
        current.kernel(run, "stem", 0),
        current.components(run),
        current.shares(run),
        current.edge(run),
    ]
    assert [len(frame) for frame in frames] == [0] * 5
    assert current.group(run, "stem", 0) is None
