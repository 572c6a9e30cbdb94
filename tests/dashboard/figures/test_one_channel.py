import numpy as np
import pandas as pd

from winnow.dashboard.figures.one_channel import one_channel


def test_the_norm_is_drawn_down_to_zero() -> None:
    figure = one_channel(pd.DataFrame({"at": [0, 1, 2], "norm": np.array([1, 0.5, 0], np.float32)}))
    assert [trace.name for trace in figure.data] == ["norm"]
    assert figure.layout.yaxis.title.text == "norm [1]"
    assert figure.layout.yaxis.range[0] < 0 < 1 < figure.layout.yaxis.range[1]


def test_a_channel_that_was_never_alive_is_drawn() -> None:
    assert one_channel(pd.DataFrame({"at": [0, 1], "norm": [0.0, 0.0]})).layout.yaxis.range[1] > 0


def test_without_a_channel_it_says_what_to_do() -> None:
    assert "Select" in one_channel(pd.DataFrame({"at": [], "norm": []})).layout.annotations[0].text
