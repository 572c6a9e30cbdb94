import numpy as np
import pandas as pd

from winnow.dashboard.figures.strength_and_alive import strength_and_alive

FRAME = pd.DataFrame({"at": [0.5, 1.0, 1.5], "alive": [100.0, 80.0, 60.0], "strength": [1e-3, 1e-3, 5e-3]})
NONE = pd.DataFrame({"at": [], "strength": []})


def test_share_and_strength_have_an_axis_each() -> None:
    figure = strength_and_alive(FRAME, NONE)
    assert [trace.name for trace in figure.data] == ["groups alive", "strength"]
    assert figure.layout.yaxis.title.text == "groups alive [%]"
    assert figure.layout.yaxis2.title.text == "strength λ [1]"
    assert figure.layout.yaxis2.type == "log"


def test_the_log_axis_holds_the_strengths_and_a_decade() -> None:
    low, high = strength_and_alive(FRAME, NONE).layout.yaxis2.range
    assert low < -3 < np.log10(5e-3) < high
    assert high - low >= 1


def test_each_change_is_marked_and_named() -> None:
    figure = strength_and_alive(FRAME, pd.DataFrame({"at": [1.2], "strength": [5e-3]}))
    assert [shape.x0 for shape in figure.layout.shapes] == [1.2]
    assert figure.layout.annotations[0].text == "λ = 5e-3"


def test_the_start_of_a_refit_is_marked() -> None:
    figure = strength_and_alive(FRAME, NONE, refit=1.25)
    assert [shape.x0 for shape in figure.layout.shapes] == [1.25]
    assert [note.text for note in figure.layout.annotations] == ["refit"]


def test_a_change_before_the_window_is_left_out() -> None:
    assert not strength_and_alive(FRAME, pd.DataFrame({"at": [0.1], "strength": [1.0]})).layout.shapes


def test_a_dense_run_has_a_plain_axis() -> None:
    assert strength_and_alive(FRAME.assign(strength=0.0), NONE).layout.yaxis2.type != "log"


def test_without_data_it_says_so() -> None:
    assert not strength_and_alive(FRAME.iloc[:0], NONE).data


def test_layers_that_learn_a_strength_of_their_own_are_drawn_as_bounds() -> None:
    bounds = {"strength_least": [1e-5, 1e-5, 1e-4], "strength_most": [1e-2, 2e-2, 2e-2]}
    figure = strength_and_alive(FRAME.assign(**bounds), NONE)
    assert [trace.name for trace in figure.data][2:] == ["least of a layer", "most of a layer"]
    low, high = figure.layout.yaxis2.range
    assert low < -5
    assert high > np.log10(2e-2)


def test_labels_of_many_decades_are_few() -> None:
    wide = FRAME.assign(strength=[1e-7, 1e-3, 5e-3])
    axis = strength_and_alive(wide, NONE).layout.yaxis2
    assert (axis.range[1] - axis.range[0]) / axis.dtick <= 4
    assert strength_and_alive(FRAME, NONE).layout.yaxis2.dtick == "D2"
