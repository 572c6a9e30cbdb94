"""Circuits ready to be drawn: lanes, channels, tables; the figure made of them; what is there where there are none."""

from collections.abc import Callable

import pandas as pd
import pytest

from tests.dashboard.making_explanations import write_circuits
from winnow.dashboard.figures.circuit_lanes import circuit_lanes_figure
from winnow.dashboard.figures.style import styles
from winnow.dashboard.frames import circuits
from winnow.dashboard.frames.cells import Cell
from winnow.engine.runs.derived import DerivedJob

Make = Callable[..., DerivedJob]
TASKS = ("seg", "depth", "normals")


def test_lanes_count_the_edges_that_exactly_these_tasks_keep(make_explained: Make) -> None:
    work = make_explained()
    write_circuits(work)
    lanes = circuits.circuit_lanes(work)
    trunk = lanes[lanes["layer"] == "stem"].set_index("tasks")
    assert trunk["edges"].to_dict() == {"seg+depth+normals": 2, "seg": 2}
    assert trunk["share"].tolist() == [0.5, 0.5]
    heads = lanes[lanes["layer"].str.startswith("heads.")]
    assert set(heads["depth"]) == {2}
    assert heads["tasks"].tolist() == sorted(TASKS)


def test_nodes_are_channels_that_can_be_selected_where_they_are_explained(make_explained: Make) -> None:
    work = make_explained()
    write_circuits(work)
    nodes = circuits.circuit_nodes(work)
    own = nodes[nodes["layer"] == "<b>deep</b>"].set_index("channel")
    assert own["tasks"].to_dict() == {0: "seg+depth+normals", 1: "seg"}
    assert own["at"].tolist() == ["<b>deep</b>"] * 2
    heads = nodes[nodes["layer"] == "heads.depth"]
    assert heads["at"].tolist() == ["trunk", "trunk"]  # what a head reads is the output of the trunk


def test_tables_are_in_per_cent(make_explained: Make) -> None:
    work = make_explained()
    write_circuits(work)
    summary = circuits.circuit_summary(work)
    assert summary["level"].tolist() == [90.0] * 3 + [95.0] * 3
    assert summary["faithfulness"].iloc[-1] == pytest.approx(95)
    overlap = circuits.circuit_overlap(work)
    assert overlap[["jaccard", "low", "high"]].iloc[0].tolist() == [50, 40, 60]
    assert len(overlap) == 3


def test_the_figure_has_a_band_per_set_and_a_ring_on_the_selected_channel(make_explained: Make) -> None:
    work = make_explained()
    write_circuits(work)
    lanes, nodes = circuits.circuit_lanes(work), circuits.circuit_nodes(work)
    figure = circuit_lanes_figure(lanes, nodes, TASKS, styles(TASKS), ("stem", "<b>deep</b>", "trunk"), Cell("stem", 1))
    bands = {trace.name for trace in figure.data if trace.fill == "toself"}
    assert bands == {"seg + depth + normals", *TASKS}
    marks = next(trace for trace in figure.data if trace.mode == "markers" and trace.name == "seg")
    assert marks.customdata[0].tolist()[:3] == ["stem", 0, 1]
    assert figure.data[-1].name == "selected"


def test_of_a_deep_network_the_heads_are_drawn_and_what_is_left_out_is_said() -> None:
    names = [*(f"layer {place}" for place in range(79)), "heads.seg", "heads.depth"]
    lanes = pd.DataFrame({"layer": names, "depth": [*range(80), 79], "tasks": "seg", "size": 1, "edges": 4})
    nodes = lanes.assign(channel=0, at=lanes["layer"])
    figure = circuit_lanes_figure(lanes.assign(share=1.0), nodes, ["seg", "depth"], styles(TASKS), names)
    assert figure.layout.xaxis.ticktext[0] == "layer 0"
    assert figure.layout.xaxis.ticktext[-1] == "heads"
    assert list(figure.layout.xaxis.tickvals) == list(range(60))
    assert figure.layout.xaxis.title.text == "60 of 80 layers, evenly spread; all are in the CSV"
    assert max(figure.data[1].x) == 59


def test_without_circuits_there_is_nothing_to_draw(make_explained: Make) -> None:
    work = make_explained()
    assert circuits.circuit_lanes(work).empty
    assert circuits.circuit_nodes(work).empty
    assert circuits.circuit_summary(work).empty
    figure = circuit_lanes_figure(circuits.circuit_lanes(work), circuits.circuit_nodes(work), TASKS, {}, ())
    assert "once they are found" in figure.layout.annotations[0].text


def test_circuits_of_two_runs_are_compared_edge_by_edge_only_where_one_continues_the_other(
    make_explained: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make_explained(), make_explained()
    assert circuits.explained_with_circuits(one.run) is None
    for work in (one, other):
        write_circuits(work)
    found = circuits.explained_with_circuits(one.run)
    assert found is not None
    assert found.id == one.id
    apart, reason = circuits.circuits_agreed(one, other)
    assert (list(apart.columns), reason) == (["task", "layer", "a_share", "b_share"], "")
    assert apart["a_share"].tolist() == apart["b_share"].tolist()
    monkeypatch.setattr(circuits, "_continues", lambda run, before: run.id == other.run.id)
    together, _ = circuits.circuits_agreed(one, other)
    assert together.loc[together["layer"] == "all layers", "jaccard"].tolist() == [100.0] * len(TASKS)
    monkeypatch.setattr(circuits, "circuit_agreement", _refused)
    assert circuits.circuits_agreed(one, other)[1] == "`other` must have the layers of `one`."


def _refused(*tables: object, **more: object) -> None:
    raise ValueError("`other` must have the layers of `one`.")
