from collections.abc import Callable

from winnow.dashboard.frames import tables
from winnow.dashboard.frames.csv_export import csv
from winnow.dashboard.frames.summaries import summaries
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]


def test_a_row_says_state_strength_and_the_metric_with_unit_and_direction(make_run: MakeRun) -> None:
    make_run(penalty={"strength": 2e-4})
    (row,) = tables.runs(summaries()).to_dict("records")
    assert row["state"] == "✓ done"
    assert row["strength"] == "2e-4"
    assert row["depth: absolute error [m] ↓"] == 0.25
    assert row["duration"] == "1 min 05 s"


def test_the_metrics_of_all_runs_stand_together_before_what_is_not_measured(make_run: MakeRun) -> None:
    make_run(tasks=["depth"])
    make_run(tasks=["seg"])
    named = list(tables.runs(summaries()))
    place = named.index("images")
    assert set(named[place - 2 : place]) == {"seg: mean IoU [%] ↑", "depth: absolute error [m] ↓"}


def test_a_target_stands_in_place_of_the_strength(make_run: MakeRun) -> None:
    make_run(penalty={"target": 60, "target_of": "mac"})
    assert tables.runs(summaries())["strength"].tolist() == ["60 % MACs"]


def test_compare_shows_what_differs_and_the_results(make_run: MakeRun) -> None:
    make_run(name="a", seed=1)
    make_run(name="b", seed=2, epochs=2)
    frame = tables.compared_runs(summaries()).set_index("what")
    assert set(frame.columns) == {"a", "b"}
    assert frame.loc["seed"].to_dict() == {"a": "1", "b": "2"}
    assert not {"batch_size", "name", "tasks"} & set(frame.index)
    assert frame.loc["depth: absolute error [m] ↓", "a"] == "0.25 m"


def test_runs_of_one_name_are_told_apart_by_their_ids(make_run: MakeRun) -> None:
    first, second = make_run(), make_run()
    titles = list(tables.compared_runs(summaries()).columns[1:])
    assert sorted(titles) == sorted([f"small ({first.id})", f"small ({second.id})"])


def test_a_name_that_is_read_from_the_right_is_isolated_on_the_page_and_not_in_a_file(make_run: MakeRun) -> None:
    ids = [make_run(name="עברית").id for _ in range(2)]
    shown = tables.run_titles(summaries())
    assert shown == {f"עברית ({run})": f"\u2068עברית\u2069 ({run})" for run in ids}
    written = csv(tables.compared_runs(summaries())).decode()
    assert "עברית (" in written
    assert not {"\u2068", "\u2069"} & set(written)
