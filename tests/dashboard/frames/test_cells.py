import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.dashboard.frames.cells import KINDS, Cell, Kind, known
from winnow.engine.runs.norm_log import Layer

LAYERS = [Layer("stem", 3, 9), Layer("<b>deep</b>", 4, 18)]


@given(st.sampled_from(LAYERS), st.integers(-2, 6), st.sampled_from(KINDS))
def test_a_cell_is_known_where_its_layer_is_wide_enough(layer: Layer, channel: int, kind: Kind) -> None:
    found = known(layer.name, str(channel), kind, LAYERS)
    assert found == (Cell(layer.name, channel, kind) if 0 <= channel < layer.groups else None)


@pytest.mark.parametrize("channel", ["", " 1", "+1", "1.0", "1e0", "٣", "9" * 5000, "<script>", "1\n"])
def test_a_channel_that_is_no_plain_number_is_not_known(channel: str) -> None:
    assert known("stem", channel, "input", LAYERS) is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_answered(layer: str, channel: str) -> None:
    assert known(layer, channel, "input", LAYERS) is None or layer in ("stem", "<b>deep</b>")


def test_a_cell_says_what_it_is() -> None:
    said = [str(Cell("stem", 3, kind)) for kind in KINDS]
    assert said == ["stem, input channel 3", "stem, filter 3", "stem, channel 3"]
