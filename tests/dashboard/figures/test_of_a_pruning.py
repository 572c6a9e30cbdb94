from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tests.dashboard.pruning_making import write_pruning
from winnow.dashboard.figures.latencies import latencies_figure
from winnow.dashboard.figures.layer_counts import MOST_LAYERS
from winnow.dashboard.figures.removed_layers import removed_layers
from winnow.dashboard.figures.style import styles
from winnow.dashboard.figures.task_changes import task_changes
from winnow.dashboard.figures.what_if import Place, what_if
from winnow.dashboard.figures.what_is_left import what_is_left
from winnow.dashboard.frames import before_after, before_after_text, prunings
from winnow.dashboard.frames import what_if as sweeps
from winnow.dashboard.frames.summaries import tasks
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run

LOOKS = styles(["seg", "depth"])


@pytest.fixture
def pruning(make_run: Callable[..., Run]) -> DerivedJob:
    """A pruning by norm, refitted."""
    return write_pruning(make_run(), criterion="norm", budget=50, refit_epochs=3)


def _costs(pruning: DerivedJob) -> tuple[pd.DataFrame, list[str]]:
    frame = before_after.costs(pruning)
    return frame, [before_after_text.title(row) for _, row in frame.iterrows()]


def test_bars_of_a_busy_machine_are_hatched_and_said(pruning: DerivedJob) -> None:
    figure = what_is_left(*_costs(pruning))
    measured, busy, words = figure.data
    assert list(measured.x) == pytest.approx([25, 50, 25, 50, 40])
    assert (list(busy.y), busy.marker.pattern.shape) == ([5], "/")
    assert [text.strip() for text in words.text] == [
        "4× less",
        "2× less",
        "4× less",
        "2× faster",
        "2.5× faster",
        "busy",
    ]
    assert list(figure.layout.yaxis.ticktext)[-1] == "latency, ONNX Runtime, batch 1"


def test_counts_have_no_whisker_and_times_have(pruning: DerivedJob) -> None:
    bars = what_is_left(*_costs(pruning)).data[0]
    assert np.isnan(bars.error_x.array[0])
    assert bars.error_x.array[3] == pytest.approx(10)


def test_a_network_that_stayed_as_it_is_or_grew_slower_is_not_called_faster(pruning: DerivedJob) -> None:
    frame, titles = _costs(pruning)
    frame[["pruned", "left"]] = np.array([frame["dense"] * [1, 1.02, 2, 2, 1, 1], [100, 102, 200, 200, 100, 100]]).T
    words = what_is_left(frame, titles).data[-1].text
    assert [text.strip() for text in words][:4] == ["the same", "the same", "2× more", "2× slower"]


def test_each_task_changes_in_its_colour_before_and_after_the_refit(pruning: DerivedJob, make_run: object) -> None:
    frame = before_after.task_change_frame(pruning, tasks(pruning.run.spec))
    hatched, full = task_changes(frame, LOOKS).data
    assert (hatched.x[0], full.x[0]) == (pytest.approx(-20), pytest.approx(-10))
    assert hatched.marker.pattern.shape == "/"
    assert list(full.marker.color) == [LOOKS["depth"].colour]
    assert list(full.text) == ["0.5 m → 0.55 m"]


def test_without_a_refit_there_is_one_full_bar_and_room_for_no_change(pruning: DerivedJob) -> None:
    frame = before_after.task_change_frame(pruning, tasks(pruning.run.spec))
    frame = frame.assign(pruned_change=0.0, refitted=np.nan, refitted_change=np.nan)
    figure = task_changes(frame, LOOKS)
    (bars,) = figure.data
    assert bars.marker.pattern.shape is None
    low, high = figure.layout.xaxis.range
    assert low < 0 < high


def test_times_stand_in_milliseconds_with_their_spread_and_the_unsteady_are_pale(pruning: DerivedJob) -> None:
    figure = latencies_figure(*_costs(pruning))
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert {trace.name for trace in points} == {"dense", "zeros in place", "pruned"}
    assert [trace.showlegend for trace in points] == [True, False] * 3
    assert list(points[4].x) == pytest.approx([5, 40])
    assert list(points[4].error_x.array) == pytest.approx([1, 8])
    assert points[5].opacity < 1
    assert "busy" in figure.data[-1].text[-1]
    low, high = figure.layout.xaxis.range
    assert low < np.log10(3.6)
    assert high > np.log10(120)


def test_layers_show_what_is_left_and_what_went_norms_left_out(pruning: DerivedJob) -> None:
    figure = removed_layers(prunings.removed_by_pruning(pruning))
    left, gone, shapes = figure.data
    assert list(left.x) == [540, 2160, 0]
    assert list(gone.x) == [108, 8208, 48]
    assert [text.strip() for text in shapes.text] == [
        "24×3×3×3 → 20×3×3×3",
        "48×24×3×3 → 12×20×3×3",
        "1×48×1×1 → gone",
    ]
    assert figure.layout.yaxis.ticktext[1] == "&lt;b&gt;deep&lt;/b&gt;"


def test_of_a_deep_network_those_layers_are_drawn_that_lost_the_largest_part() -> None:
    after = np.arange(80) + 1
    frame = pd.DataFrame({"layer": [f"l{i}" for i in range(80)], "shape_before": "9×9", "shape_after": "1×9"})
    figure = removed_layers(frame.assign(parameters_before=81, parameters_after=after))
    assert list(figure.data[0].x) == list(range(1, MOST_LAYERS + 1))
    assert "<br>60 of 80 layers, those that lost most; all are in the CSV" in figure.layout.xaxis.title.text


def test_what_if_has_one_chart_per_task_and_marks_where_this_pruning_stands(pruning: DerivedJob) -> None:
    frame = sweeps.what_if_points(pruning, tasks(pruning.run.spec))
    both = pd.concat([frame, frame.assign(task="<b>", label="mean IoU", unit="%", better="higher")])
    figure = what_if(both, LOOKS, Place("macs", 50.0))
    assert [list(trace.x) for trace in figure.data] == [pytest.approx([42, 52, 87])] * 2
    assert figure.data[0].line.color == LOOKS["depth"].colour
    titles = [note.text for note in figure.layout.annotations]
    assert titles == ["depth: absolute error ↓", "&lt;b&gt;: mean IoU ↑"]
    assert [shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1] == [50, 50]


def test_what_if_draws_four_tasks_at_most(pruning: DerivedJob) -> None:
    frame = sweeps.what_if_points(pruning, tasks(pruning.run.spec))
    many = pd.concat([frame.assign(task=f"task {place}") for place in range(6)])
    figure = what_if(many, LOOKS, Place("groups"))
    assert len(figure.data) == 4
    assert figure.layout.xaxis.title.text.endswith("<br>4 of 6 tasks; all are in the CSV")


def test_without_rows_every_figure_says_what_it_waits_for() -> None:
    columns = ["left", "left_high", "steady", "quantity", "dense"]
    none = pd.DataFrame(columns=columns)
    figures = [
        what_is_left(none, []),
        latencies_figure(none, []),
        task_changes(pd.DataFrame(columns=["pruned_change"]), LOOKS),
        removed_layers(pd.DataFrame(columns=["shape_before"])),
        what_if(pd.DataFrame(columns=["task"]), LOOKS, Place()),
    ]
    for figure in figures:
        assert not figure.data
        assert figure.layout.annotations[0].text
