"""The graph of a network: its layout, and what the nodes are joined with."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.dashboard.frames import network
from winnow.dashboard.frames.groups import norms
from winnow.dashboard.frames.layered import PASSING, laid_out, spaced
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]


def test_a_node_stands_below_all_that_it_takes_from_and_outputs_in_the_last_row() -> None:
    found = laid_out(6, [(0, 1), (1, 2), (1, 3), (2, 3), (3, 4), (1, 5)], last=[4, 5])
    assert [down for _, down in found.nodes] == [0, 1, 2, 3, 4, 4]
    assert found.edges[1, 3][1:-1] != ()  # it passes the row of node 2 beside it
    assert found.edges[1, 3][1][0] != found.nodes[2][0]


def test_an_edge_that_leads_back_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must lead from a lower number to a higher one, got \(2, 1\)"):
        laid_out(3, [(0, 1), (2, 1)])


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_no_two_nodes_of_a_row_overlap_and_edges_lead_down(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = data.draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    found = laid_out(count, edges)
    for row in {down for _, down in found.nodes}:
        places = sorted(across for across, down in found.nodes if down == row)
        assert (np.diff(places) >= 1 - 1e-9).all()
    for source, target in edges:
        over = found.edges[source, target]
        assert (over[0], over[-1]) == (found.nodes[source], found.nodes[target])
        assert [down for _, down in over] == list(range(over[0][1], over[-1][1] + 1))


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=8))
def test_spaced_is_the_closest_that_keeps_its_distance(values: list[float]) -> None:
    wanted, room = np.array(values), np.ones(len(values))
    room[::2] = PASSING
    found = spaced(wanted, room)
    apart = (room[1:] + room[:-1]) / 2
    assert (np.diff(found) >= apart - 1e-9).all()
    if (np.diff(wanted) >= apart).all():
        np.testing.assert_allclose(found, wanted, atol=1e-9)
    assert found.mean() == pytest.approx(wanted.mean(), abs=1e-9)  # pooling keeps the mean


def test_nodes_know_their_groups_and_the_order_in_which_they_run(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    nodes = network.network_nodes(run).set_index("name")
    assert nodes.loc["stem", ["group_layer", "groups"]].tolist() == ["stem", 3]
    assert nodes.loc["<b>deep</b>", ["alive", "groups"]].tolist() == [1, 4]
    assert nodes.loc["heads.depth", "group_layer"] == ""
    assert network.running_order(run) == {"stem": 1, "<b>deep</b>": 2}


@pytest.mark.parametrize("kind", ["output", "coupled"])
def test_where_groups_are_no_input_channels_the_graph_tells_what_reads_the_images(
    make_whole_run: MakeRun, make_run: MakeRun, kind: str
) -> None:
    assert network.image_layers(make_whole_run(penalty={"groups": kind})) == {"stem"}
    assert network.image_layers(make_run(penalty={"groups": kind})) == set()


def test_a_run_without_the_table_has_no_nodes(make_run: MakeRun) -> None:
    run = make_run()
    assert network.network_nodes(run).empty
    assert network.running_order(run) == {}


def test_layers_come_in_the_order_in_which_the_network_runs(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    known, flags = norms(run), np.arange(7) == 0
    same, kept = network.in_running_order(run, known, flags)
    assert same is known
    assert kept is flags
    table = pd.read_parquet(run.path / "tables" / "network.parquet")
    table.loc[table["name"] == "stem", "node"], table.loc[table["name"] == "<b>deep</b>", "node"] = 2, 1
    table.sort_values("node").to_parquet(run.path / "tables" / "network.parquet")
    other, moved = network.in_running_order(run, known, flags)
    assert [layer.name for layer in other.layers] == ["<b>deep</b>", "stem"]
    np.testing.assert_array_equal(other.values, known.values[:, [3, 4, 5, 6, 0, 1, 2]])
    assert moved.tolist() == [False] * 4 + [True, False, False]
