"""The figures of who uses what: what they draw of frames whose contents are known."""

import numpy as np
import pandas as pd
import pytest

from winnow.dashboard.figures.channel_use import channel_use
from winnow.dashboard.figures.head_use import head_use
from winnow.dashboard.figures.label_bars import label_bars
from winnow.dashboard.figures.layer_heatmaps import layer_affinity
from winnow.dashboard.figures.layer_shares import layer_shares_figure
from winnow.dashboard.figures.lead_bars import lead_bars
from winnow.dashboard.figures.mask_overlap import mask_overlap
from winnow.dashboard.figures.share_map import share_map
from winnow.dashboard.figures.style import styles
from winnow.dashboard.figures.task_sets import task_sets
from winnow.dashboard.figures.ternary import MOST_POINTS, said_left_out, ternary
from winnow.dashboard.frames.cells import Cell

TASKS = ["seg", "depth", "normals"]
LOOKS = styles(TASKS)
NAMES = ["stem", "<b>deep</b>"]


def _cells(count: int) -> pd.DataFrame:
    frame = pd.DataFrame({"layer": ["stem"] * (count - 1) + ["<b>deep</b>"], "channel": np.arange(count)})
    labels = np.resize(["shared", "seg", "depth"], count)
    shares = {f"share_{task}": share for task, share in zip(TASKS, (0.5, 0.3, 0.2), strict=True)}
    total = np.arange(count, 0, -1) / count
    return frame.assign(
        **shares, total=total, label=labels, dominant="seg", share=0.5, certainty=0.5, lead_state="lead"
    )


def test_a_point_stands_at_its_shares_in_the_colour_of_its_label() -> None:
    figure = ternary(_cells(6), TASKS, LOOKS, NAMES)
    assert [trace.name for trace in figure.data] == ["shared", "seg", "depth"]
    assert figure.data[1].marker.color == LOOKS["seg"].colour
    assert figure.data[1].marker.symbol == LOOKS["seg"].marker
    assert (figure.data[0].a[0], figure.data[0].b[0], figure.data[0].c[0]) == pytest.approx((0.5, 0.3, 0.2))
    assert figure.layout.ternary.baxis.title.font.color == LOOKS["depth"].colour
    assert figure.data[0].marker.size[0] >= figure.data[0].marker.size[1]


def test_the_names_of_layers_and_tasks_are_text() -> None:
    figure = ternary(_cells(6), TASKS, LOOKS, NAMES)
    assert "&lt;b&gt;deep&lt;/b&gt;" in str(figure.data[2].customdata)
    bold = styles(["<i>seg</i>", "depth", "normals"])
    frame = _cells(6).rename(columns={"share_seg": "share_<i>seg</i>"})
    assert "<i>" not in ternary(frame, list(bold), bold, NAMES).layout.ternary.aaxis.title.text


def test_of_many_channels_the_most_relevant_are_drawn_and_the_selected_one() -> None:
    frame = _cells(MOST_POINTS + 100)
    last = Cell("<b>deep</b>", MOST_POINTS + 99)
    drawn = sum(len(trace.a) for trace in ternary(frame, TASKS, LOOKS, NAMES).data)
    figure = ternary(frame, TASKS, LOOKS, NAMES, last)
    assert drawn == MOST_POINTS
    assert figure.data[-1].name == "selected"
    assert "100 more" in said_left_out(frame)
    assert len(figure.to_json()) < 250_000


def test_the_map_has_a_row_per_layer_and_marks_the_dead_apart() -> None:
    frame = _cells(6)
    frame.loc[5, ["label", "dominant", "share", "lead_state"]] = ["dead", None, np.nan, "dead"]
    frame.loc[4, "lead_state"] = "lean"
    frame.loc[3, "lead_state"] = "even"
    figure = share_map(frame, TASKS, LOOKS, NAMES, Cell("stem", 2))
    assert [trace.name for trace in figure.data] == ["seg leads", "leans to seg", "even", "dead", "selected"]
    assert list(figure.layout.yaxis.ticktext) == ["stem", "&lt;b&gt;deep&lt;/b&gt;"]
    assert (figure.data[4].x[0], figure.data[4].y[0]) == (2, 0)
    assert figure.data[3].marker.symbol == "line-ne-open"


def test_a_large_map_stays_small() -> None:
    frame = _cells(20_000).assign(layer="stem")
    figure = share_map(frame, TASKS, LOOKS, ["stem"])
    assert figure.data[0].type == "scattergl"


def test_every_bar_of_labels_ends_at_a_hundred_per_cent() -> None:
    counts = {f"channels_{name}": [1, 2] for name in ("shared", *TASKS, "idle", "dead")}
    frame = pd.DataFrame({"layer": NAMES, "total": [6, 12], **counts})
    figure = label_bars(frame, TASKS, LOOKS)
    assert [trace.name for trace in figure.data] == ["shared", *TASKS, "idle", "dead"]
    assert sum(np.asarray(trace.x) for trace in figure.data).tolist() == pytest.approx([100, 100])
    assert figure.data[2].marker.color == LOOKS["depth"].colour
    assert figure.data[5].marker.pattern.shape == "/"


def test_every_bar_of_leads_ends_at_a_hundred_per_cent_and_says_how_many_are_led() -> None:
    counts = {f"{lead_state}_{task}": [1, 2] for lead_state in ("lead", "lean") for task in TASKS}
    frame = pd.DataFrame({"layer": NAMES, "total": [9, 18], **counts, "even": [1, 2], "idle": [1, 2], "dead": [1, 2]})
    figure = lead_bars(frame, TASKS, LOOKS)
    *bars, numbers = figure.data
    assert sum(np.asarray(trace.x) for trace in bars).tolist() == pytest.approx([100, 100])
    assert list(numbers.text) == ["\u20023/7", "\u20026/14"]
    assert numbers.cliponaxis is False
    assert figure.layout.margin.r >= 7 * len("\u20026/14")  # px, also on a narrow page
    assert [bar.name for bar in bars][2:5] == ["normals leads", "leans to seg", "leans to depth"]


def test_a_set_has_the_dots_of_its_tasks_and_empty_sets_have_no_column() -> None:
    frame = pd.DataFrame({"tasks": ["seg+depth", "normals", "seg"], "size": [2, 1, 1], "channels": [5, 3, 0]})
    figure = task_sets(frame, TASKS, LOOKS)
    assert list(figure.data[0].y) == [5, 3]
    filled = {
        trace.name: [color != "rgba(128,132,149,0.25)" for color in trace.marker.color] for trace in figure.data[1:]
    }
    assert filled == {"seg": [True, False], "depth": [True, False], "normals": [False, True]}
    assert figure.layout.xaxis2.title.text == "sets of tasks"


def test_sets_and_pairs_beyond_the_bound_are_counted() -> None:
    sets = pd.DataFrame({"tasks": [f"seg+{place}" for place in range(25)], "size": 2, "channels": 1})
    assert "20 of 25 sets, the largest" in task_sets(sets, TASKS, LOOKS).layout.xaxis2.title.text
    pairs = pd.DataFrame(
        {
            "layer": "stem", "depth": 0, "one": "a", "other": [f"b{place}" for place in range(15)], "jaccard": 0.5,
            "chance": 0.3, "one_in_other": 0.5, "other_in_one": 0.5,
        }
    )  # fmt: skip
    assert "12 of 15 pairs" in mask_overlap(pairs).layout.xaxis.title.text


def test_overlap_is_drawn_over_the_depth_beside_chance() -> None:
    frame = pd.DataFrame(
        {
            "layer": NAMES, "depth": [0, 1], "one": "<b>a</b>", "other": "b", "jaccard": [0.9, 0.2],
            "chance": [0.3, 0.2], "one_in_other": 0.5, "other_in_one": 0.5,
        }
    )  # fmt: skip
    figure = mask_overlap(frame)
    assert [trace.name for trace in figure.data] == ["by chance", "&lt;b&gt;a&lt;/b&gt; – b"]
    assert list(figure.data[1].y) == pytest.approx([0.9, 0.2])
    assert not mask_overlap(frame.iloc[:0]).data


def test_affinity_has_a_map_of_gradients_and_one_of_ablations() -> None:
    frame = pd.DataFrame({"layer": NAMES, "depth": [0, 1], "task": "seg", "other": "depth", "cosine": [0.5, -0.5]})
    figure = layer_affinity(frame.assign(transfer=[np.nan, 0.9], ablated=[0, 6]))
    assert [trace.type for trace in figure.data] == ["heatmap", "heatmap"]
    assert (figure.data[0].zmin, figure.data[0].zmax) == (-1, 1)
    assert np.isnan(figure.data[1].z).tolist() == [[True], [False]]
    assert (figure.data[1].customdata[1][0][1], "customdata[1]" in figure.data[1].texttemplate) == (6, True)
    assert list(figure.layout.yaxis.ticktext)[1] == "&lt;b&gt;deep&lt;/b&gt;"
    assert list(figure.layout.xaxis.ticktext) == ["seg – depth"]


def test_affinity_of_many_pairs_names_a_pair_where_one_points() -> None:
    pairs = [("first", f"task number {place}") for place in range(12)]
    rows = [("stem", 0, *pair, 0.5, 0.9, 6) for pair in pairs]
    figure = layer_affinity(
        pd.DataFrame(rows, columns=["layer", "depth", "task", "other", "cosine", "transfer", "ablated"])
    )
    assert not figure.layout.xaxis.ticktext
    assert figure.layout.xaxis.title.text.startswith("12 pairs of tasks")
    assert figure.data[0].customdata[0][11][2] == "first – task number 11"


def test_heads_show_what_they_read_and_what_is_zero() -> None:
    frame = pd.DataFrame({"task": ["seg"], "layer": ["heads.seg"], "channels": [6], "ignored": [2]})
    figure = head_use(frame, LOOKS)
    assert [list(trace.x) for trace in figure.data] == [[4], [2]]
    assert not head_use(frame.iloc[:0], LOOKS).data


def test_a_channel_has_a_bar_and_an_interval_per_task() -> None:
    frame = pd.DataFrame({"task": TASKS, "part": [3.0, 2, 1], "low": [2.0, 1, 1], "high": [4.0, 4, 1], "share": np.nan})
    figure = channel_use(frame, LOOKS)
    assert list(figure.data[0].error_x.array) == pytest.approx([1, 2, 0])
    assert list(figure.data[0].marker.color) == [LOOKS[task].colour for task in TASKS]
    assert not channel_use(frame.assign(part=0.0), LOOKS).data


@pytest.mark.parametrize("draw", [ternary, share_map])
def test_without_channels_it_says_so(draw: object) -> None:
    assert not draw(_cells(6).iloc[:0], TASKS, LOOKS, NAMES).data  # type: ignore[operator]


def test_the_relevance_of_a_layer_is_divided_among_the_tasks() -> None:
    frame = pd.DataFrame(
        {"layer": NAMES, "share_seg": [0.5, 0.2], "share_depth": [0.3, 0.2], "share_normals": [0.2, 0.6]}
    )
    figure = layer_shares_figure(frame, TASKS, LOOKS)
    assert sum(np.asarray(trace.x) for trace in figure.data).tolist() == pytest.approx([100, 100])
    assert [trace.marker.color for trace in figure.data] == [LOOKS[task].colour for task in TASKS]
    assert [shape.x0 for shape in figure.layout.shapes] == pytest.approx([100 / 3, 200 / 3])
