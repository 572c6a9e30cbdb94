import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from winnow.dashboard.figures.overlap_axes import LONGEST, by_chance, set_overlap_axes


def test_every_depth_is_named_once_from_the_input_on() -> None:
    figure = go.Figure()
    set_overlap_axes(figure, pd.DataFrame({"layer": ["deep", "stem", "deep"], "depth": [1, 0, 1]}))
    assert list(figure.layout.xaxis.ticktext) == ["stem", "deep"]
    assert list(figure.layout.xaxis.tickvals) == [0, 1]
    assert figure.layout.yaxis.range == (-0.03, 1.03)


def test_a_long_name_is_cut_before_it_is_escaped() -> None:
    figure = go.Figure()
    set_overlap_axes(figure, pd.DataFrame({"layer": ["a" * 40 + "<" + "b" * (LONGEST - 2)], "depth": [0]}))
    assert figure.layout.xaxis.ticktext[0] == "…&lt;" + "b" * (LONGEST - 2)


def test_chance_stands_at_its_depths_and_once_in_the_legend() -> None:
    chance = pd.Series([0.5, 0.25], index=[0, 3])
    curves = [by_chance(chance), by_chance(chance, named=False)]
    assert [list(np.asarray(curve.x)) for curve in curves] == [[0, 3]] * 2
    assert list(curves[0].y) == pytest.approx([0.5, 0.25])
    assert [curve.showlegend for curve in curves] == [True, False]
