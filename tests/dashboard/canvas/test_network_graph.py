"""What the browser is sent of the network: every node, what it says, how it is filled."""

import json
from collections.abc import Callable

import pytest

from winnow.dashboard.canvas.network_graph import DARK, NetworkDrawing, luminance, network_payload, share_colour
from winnow.dashboard.figures.style import COLOURS, Style
from winnow.dashboard.frames import network
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]
LOOKS = {"depth": Style(COLOURS[1], "solid", "circle")}


def _drawing(run: Run, **more: object) -> NetworkDrawing:
    return NetworkDrawing(
        run.id, network.network_nodes(run), network.network_edges(run), network.network_layout(run), **more
    )  # type: ignore[arg-type]


def test_a_layer_says_what_it_uses_and_only_grouped_layers_can_be_selected(make_whole_run: MakeRun) -> None:
    sent = network_payload(_drawing(make_whole_run(), selected="stem"))
    nodes = {node["name"]: node for node in sent["nodes"]}
    assert nodes["<b>deep</b>"]["words"] == "uses 2 of 4 channels"
    assert nodes["<b>deep</b>"]["fill"] == share_colour(0.5)
    assert "1 of 4 groups alive" in nodes["<b>deep</b>"]["tip"]
    assert (nodes["stem"]["layer"], nodes["heads.depth"]["layer"], sent["selected"]) == ("stem", None, "stem")
    assert nodes["add"]["fill"] is None
    assert [edge["silent"] for edge in sent["edges"]] == [False, False, False, True, False, False]


@pytest.mark.parametrize(
    ("by", "words"),
    [("kept", "2 of 4 channels stay"), ("macs", "60 % of the MACs, 50 % left"), ("lead", "depth leads 2 of 3")],
)
def test_the_stem_by(make_whole_run: MakeRun, by: network.By, words: str) -> None:
    led = {"stem": {"depth": 2, "others": 1, "unused": 0}}
    nodes = network_payload(_drawing(make_whole_run(), by=by, led=led, looks=LOOKS))["nodes"]
    assert nodes[1]["words"] == words
    if by == "lead":
        assert nodes[1]["bars"] == ((2 / 3, COLOURS[1]),)
        assert nodes[2]["words"] == "not explained"


def test_the_digest_tells_drawings_apart_and_a_selection_is_none(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    one, other = network_payload(_drawing(run)), network_payload(_drawing(run, selected="stem"))
    assert one["digest"] == other["digest"] != network_payload(_drawing(run, by="kept"))["digest"]


@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.7, 1])
def test_words_on_a_box_can_be_read(share: float) -> None:
    fill = luminance(share_colour(share))
    best = max(1.05 / (fill + 0.05), (fill + 0.05) / (luminance(DARK) + 0.05))
    assert best >= 3.6  # the worst grey; the ends have 10 and more


def test_a_network_of_200_nodes_is_small() -> None:
    import pandas as pd

    from winnow.dashboard.frames.layered import laid_out

    row = (1, "layer", "trunk.stages.2.11.conv1.0", "Conv2d", "trunk", "space", "seg, depth", 256, 200, 256, 99)
    nodes = pd.DataFrame([(*row, 10**6, 1e9, 1e8, 2e8)] * 200, columns=list(network.COLUMNS["network"]))
    nodes = nodes.assign(node=range(200), group_layer="a", alive=1, groups=2, across=0.0, down=range(200))
    edges = pd.DataFrame([(at, at + 1, 8, 8) for at in range(199)], columns=list(network.COLUMNS["streams"]))
    layout = laid_out(200, list(zip(edges["source"], edges["target"], strict=True)))
    assert len(json.dumps(network_payload(NetworkDrawing("r", nodes, edges, layout)))) < 130_000
