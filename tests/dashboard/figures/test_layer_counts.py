import numpy as np
import pandas as pd

from winnow.dashboard.figures.layer_counts import MOST_LAYERS, layer_counts


def _frame(layers: int) -> pd.DataFrame:
    dead = np.arange(layers) % 8
    frame = pd.DataFrame({"layer": [f"layer {i}" for i in range(layers)], "near": 1, "dead": dead, "total": 10})
    return frame.assign(alive=9 - dead)


def test_each_bar_is_as_long_as_its_layer_is_wide_and_says_alive_of_total() -> None:
    figure = layer_counts(_frame(3))
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [trace.name for trace in bars] == ["alive", "near the threshold", "exactly zero"]
    assert sum(np.asarray(trace.x) for trace in bars).tolist() == [10, 10, 10]
    (words,) = [trace for trace in figure.data if trace.type == "scatter"]
    assert [text.strip() for text in words.text] == ["10/10", "9/10", "8/10"]
    assert figure.layout.barmode == "stack"


def test_the_input_stands_at_the_top() -> None:
    low, high = layer_counts(_frame(4)).layout.yaxis.range
    assert low > high


def test_of_a_deep_network_those_are_drawn_that_lost_most_in_its_order() -> None:
    figure = layer_counts(_frame(80))
    names = list(figure.layout.yaxis.ticktext)
    assert len(names) == MOST_LAYERS
    assert names == sorted(names, key=lambda name: int(name.split()[1]))
    assert "layer 0" not in names
    assert "<br>60 of 80 layers, those that lost most; all are in the CSV" in figure.layout.xaxis.title.text


def test_two_layers_of_one_name_have_a_bar_each() -> None:
    figure = layer_counts(_frame(2).assign(layer="a" * 50))
    assert list(figure.data[0].y) == [0, 1]
    assert len(figure.layout.yaxis.ticktext[0]) == 34


def test_the_name_of_a_layer_is_text() -> None:
    figure = layer_counts(_frame(1).assign(layer="<b>x</b>"))
    assert figure.layout.yaxis.ticktext[0] == "&lt;b&gt;x&lt;/b&gt;"
    assert "<b>" not in str(figure.data[0].customdata)


def test_without_layers_it_says_so() -> None:
    assert not layer_counts(_frame(0)).data
