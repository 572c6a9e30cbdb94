"""The figures of what a task relies on, and of whether that is true."""

import numpy as np
import pandas as pd
import pytest

from winnow.dashboard.figures.deletion_curves import MOST_LAYERS, deletion_curves
from winnow.dashboard.figures.relevance_against_ablation import MOST_POINTS, relevance_against_ablation
from winnow.dashboard.figures.shuffled_weights import shuffled_weights
from winnow.dashboard.figures.style import styles
from winnow.dashboard.figures.switched_off import switched_off
from winnow.dashboard.figures.top_channels import top_channels
from winnow.dashboard.frames.cells import Cell

LOOKS = styles(["seg", "depth"])
NAMES = ["stem", "<b>deep</b>"]


def _ranked(count: int) -> pd.DataFrame:
    value = np.arange(count, 0, -1.0)
    frame = pd.DataFrame({"layer": np.resize(NAMES, count), "channel": np.arange(count), "relevance": value})
    return frame.assign(low=value - 0.5, high=value + 1, part=value, label="shared", effect=value / 10, loss_change=0.0)


def test_the_first_channel_stands_at_the_top_with_its_interval() -> None:
    figure = top_channels(_ranked(3), LOOKS["seg"], NAMES, "loss", Cell("<b>deep</b>", 1))
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert list(figure.data[0].error_x.array) == pytest.approx([1, 1, 1])
    assert list(figure.data[0].error_x.arrayminus) == pytest.approx([0.5] * 3)
    assert list(figure.layout.yaxis.ticktext)[1] == "<b>&lt;b&gt;deep&lt;/b&gt; · 1</b>"
    assert list(figure.data[0].marker.line.width) == [0, 3, 0]
    assert "[loss]" in figure.layout.xaxis.title.text


def test_relevance_and_effect_stand_on_log_axes_zeros_at_the_edge() -> None:
    frame = _ranked(10)
    frame.loc[9, "effect"] = 0.0
    figure = relevance_against_ablation(frame, NAMES, "<b>seg</b>", Cell("stem", 0))
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert min(figure.data[0].y) > 0
    assert figure.data[1].name == "selected"
    assert "&lt;b&gt;" in figure.layout.xaxis.title.text
    assert len(relevance_against_ablation(_ranked(5000), NAMES, "seg").data[0].x) == MOST_POINTS


def _curves(layers: int) -> pd.DataFrame:
    rows = [
        (f"layer {layer}", order, fraction, rise * fraction, 0.9 * rise * fraction, 1.1 * rise * fraction)
        for layer in range(layers)
        for order, rise in (("relevance", 1.0), ("random", 0.4))
        for fraction in (0.0, 0.25, 0.5)
    ]
    return pd.DataFrame(rows, columns=["layer", "order", "fraction", "loss_change", "low", "high"])


def test_a_panel_has_the_curve_by_relevance_and_the_band_of_the_random_ones() -> None:
    figure = deletion_curves(_curves(2), ["layer 0", "layer 1"], LOOKS["depth"])
    band, mean, relevant = figure.data[:3]
    assert band.fill == "toself"
    assert list(mean.y) == pytest.approx([0, 0.1, 0.2])
    assert list(relevant.y) == pytest.approx([0, 0.25, 0.5])
    assert relevant.line.color == LOOKS["depth"].colour


def test_of_many_layers_twelve_are_drawn_from_the_first_to_the_last() -> None:
    names = [f"layer {i}" for i in range(40)]
    figure = deletion_curves(_curves(40), names, LOOKS["seg"])
    titles = [note.text for note in figure.layout.annotations]
    assert len(titles) == MOST_LAYERS
    assert (titles[0], titles[-1]) == ("layer 0", "layer 39")
    assert figure.layout.xaxis10.title.text == "removed<br>12 of 40 layers, evenly spread; all are in the CSV"


def test_shares_start_at_one_before_anything_is_shuffled() -> None:
    frame = pd.DataFrame(
        {"task": ["seg", "seg"], "stage": ["heads", "+ all shared"], "place": [0, 4], "value": [0.1, 0.0]}
    )
    figure = shuffled_weights(frame, LOOKS)
    assert list(figure.data[0].y) == pytest.approx([1, 0.1, 0])
    assert list(figure.layout.xaxis.tickvals) == list(figure.data[0].x)
    assert any(shape.y1 == 0.2 for shape in figure.layout.shapes)


def test_a_bar_says_by_how_much_a_loss_rises_relative_to_itself() -> None:
    frame = pd.DataFrame({"task": ["seg", "depth"], "loss": [2.2, 0.95], "loss_change": [0.2, -0.05]})
    figure = switched_off(frame, LOOKS)
    assert list(figure.data[0].x) == pytest.approx([10, -5])
    assert list(figure.data[0].text) == ["+10 %", "-5 %"]
    assert figure.layout.xaxis.range[0] < -10


def test_without_data_they_say_so() -> None:
    none = _ranked(0)
    figures = [
        top_channels(none, LOOKS["seg"], NAMES, "loss"),
        relevance_against_ablation(none, NAMES, "seg"),
        deletion_curves(_curves(0), NAMES, LOOKS["seg"]),
        shuffled_weights(none, LOOKS),
        switched_off(none, LOOKS),
    ]
    assert [len(figure.data) for figure in figures] == [0] * 5
    assert all(figure.layout.annotations for figure in figures)
