import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.dashboard.shared.selection import Selection, known
from winnow.engine.runs.norm_log import Layer

LAYERS = [Layer("stem", 3, 9), Layer("<b>deep</b>", 4, 18)]


@given(st.sampled_from(LAYERS), st.integers(-2, 6))
def test_a_channel_is_known_where_its_layer_is_wide_enough(layer: Layer, channel: int) -> None:
    found = known(layer.name, str(channel), LAYERS)
    assert found == (Selection(layer.name, channel) if 0 <= channel < layer.groups else None)


@pytest.mark.parametrize("channel", ["", " 1", "+1", "1.0", "1e0", "٣", "9" * 5000, "<script>", "1\n"])
def test_a_channel_that_is_no_plain_number_is_not_known(channel: str) -> None:
    assert known("stem", channel, LAYERS) is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_answered(layer: str, channel: str) -> None:
    assert known(layer, channel, LAYERS) is None or layer in ("stem", "<b>deep</b>")
