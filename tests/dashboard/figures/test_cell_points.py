import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.dashboard.figures.cell_points import carried, label_look, picked
from winnow.dashboard.figures.style import NEUTRAL, styles
from winnow.dashboard.frames.cells import Cell
from winnow.engine.runs.norm_log import Layer

LAYERS = [Layer("stem", 3, 0), Layer("<b>deep</b>", 4, 0)]


def test_a_click_comes_back_as_the_cell_that_was_drawn() -> None:
    frame = pd.DataFrame({"layer": ["stem", "<b>deep</b>"], "channel": [2, 3], "more": [0.5, 1.5]})
    data = carried(frame, [layer.name for layer in LAYERS], ["more"])
    assert data.tolist() == [["stem", 0, 2, 0.5], ["&lt;b&gt;deep&lt;/b&gt;", 1, 3, 1.5]]
    assert picked([{"customdata": data[1].tolist()}], LAYERS) == Cell("<b>deep</b>", 3)
    assert picked([{"customdata": {"0": "stem", "1": 0, "2": 1.0}}], LAYERS) == Cell("stem", 1)


@pytest.mark.parametrize(
    "data", [None, "text", ["stem"], ["stem", 9, 0], ["stem", 0, 3], ["x", -1, 0], ["x", True, 0], ["x", 0.5, 0], {}]
)
def test_what_names_no_cell_selects_nothing(data: object) -> None:
    assert picked([{"customdata": data}], LAYERS) is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda s: st.lists(s, max_size=5)))
def test_whatever_a_browser_sends_is_answered(data: object) -> None:
    found = picked([{"customdata": data}], LAYERS)
    assert found is None or found.channel < 4


def test_a_task_has_its_colour_and_what_is_shared_is_grey() -> None:
    looks = styles(["seg", "depth"])
    assert label_look("depth", looks) == looks["depth"]
    assert label_look("shared", looks).colour == NEUTRAL
