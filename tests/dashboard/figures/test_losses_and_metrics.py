from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.losses_and_metrics import MOST_TASKS, losses_and_metrics
from winnow.dashboard.figures.style import styles
from winnow.engine.runs.quantities import Metric

ERROR = Metric("abs_error", "absolute error", "m", "lower")


def _figure(task: str = "depth", tasks: int = 1, named: Sequence[str] = ()) -> go.Figure:
    names = [*(named or [task]), *(f"other {i}" for i in range(1, tasks))][:tasks]
    rows = [(0.5, "train", "loss", 2.0), (1.0, "val", "loss", 1.0), (1.0, "val", "abs_error", 0.5)]
    rows += [(0.0, "constant", "abs_error", 1.5)]
    frame = pd.DataFrame(
        [(at, name, split, quantity, value) for name in names for at, split, quantity, value in rows],
        columns=["at", "task", "split", "quantity", "value"],
    )
    return losses_and_metrics(frame, [(name, ERROR) for name in names], styles(names))


def test_each_task_has_two_losses_its_metric_and_the_constant() -> None:
    names = [trace.name for trace in _figure().data]
    assert names == ["depth, train", "depth, val", "constant prediction", "depth, absolute error"]


def test_axes_carry_unit_and_direction() -> None:
    figure = _figure()
    assert figure.layout.yaxis.title.text == "loss"
    assert figure.layout.annotations[-1].text == "absolute error [m] ↓"
    assert figure.layout.xaxis2.title.text == "epoch"


def test_the_constant_prediction_is_a_dashed_line_with_its_name() -> None:
    (line,) = [trace for trace in _figure().data if trace.name == "constant prediction"]
    assert line.line.dash == "dash"
    assert line.text[-1] == "constant"
    assert set(line.y) == {1.5}


def test_no_more_than_twelve_plots() -> None:
    figure = _figure(tasks=9)
    assert sum(name.startswith("xaxis") for name in figure.to_dict()["layout"]) == 2 * MOST_TASKS == 12
    assert figure.layout.title.text == "6 of 9 tasks; all are in the CSV"
    assert _figure(tasks=6).layout.title.text is None


def test_long_names_of_tasks_never_cover_one_another() -> None:
    figure = _figure(task="depth_of_the_whole_room_as_seen_by_camera", tasks=6)
    assert figure.layout.annotations[0].text == "depth_…amera"
    assert _figure(task="depth_of_the_whole_room_as_seen_by_camera").layout.annotations[0].text.startswith("depth_of")


def test_names_that_are_cut_alike_differ_and_the_hover_has_the_whole() -> None:
    figure = _figure(tasks=6, named=["head_left_upper_pose", "head_left_lower_pose"])
    assert [note.text for note in figure.layout.annotations[:2]] == ["1: head…pose", "2: head…pose"]
    assert all(trace.hovertemplate.startswith("head_left_upper_pose<br>") for trace in figure.data[:4])


def test_a_hostile_name_is_shown_as_text() -> None:
    figure = _figure(task="<a href='x'>y</a>")
    assert figure.layout.annotations[0].text == "&lt;a href='x'&gt;y&lt;/a&gt;"
    assert not any("<a " in trace.name for trace in figure.data)


def test_without_data_it_says_when_there_will_be_some() -> None:
    figure = losses_and_metrics(pd.DataFrame({"task": []}), [("depth", ERROR)], styles(["depth"]))
    assert "first loss" in figure.layout.annotations[0].text
    assert not figure.data


def test_losses_alone_have_no_empty_row_below() -> None:
    frame = pd.DataFrame({"at": [0.5], "task": ["depth"], "split": ["train"], "quantity": ["loss"], "value": [2.0]})
    figure = losses_and_metrics(frame, [("depth", ERROR)], styles(["depth"]))
    assert [note.text for note in figure.layout.annotations] == ["depth"]
    assert figure.layout.xaxis.title.text == "epoch"
    assert "xaxis2" not in figure.layout
