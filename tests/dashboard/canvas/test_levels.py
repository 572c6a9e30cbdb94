import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from winnow.dashboard.canvas.levels import NEAR_BIT, STEPS, Scale, levels, scale_of, text


def _norm(level: int, scale: Scale) -> float:
    """What the browser makes of a level."""
    return float(scale.low * (scale.high / scale.low) ** (((level & 127) - 1) / STEPS))


NORMS = st.floats(0, 100, width=32).filter(lambda norm: norm == 0 or norm > 1e-3)


@given(arrays(np.float32, st.integers(1, 60), elements=NORMS))
def test_only_what_is_zero_is_level_zero_and_order_is_kept(norms: np.ndarray) -> None:
    scale = scale_of(norms)
    found = levels(norms, np.zeros(norms.shape, bool), scale)
    assert ((found == 0) == (norms == 0)).all()
    order = np.argsort(norms, kind="stable")
    assert (np.diff(found[order].astype(int)) >= 0).all()


@pytest.mark.parametrize("norm", [0.1, 0.37, 1.0, 4.2, 10.0])
def test_a_level_is_near_its_norm(norm: float) -> None:
    scale = Scale(0.1, 10.0)
    (level,) = levels(np.array([norm], np.float32), np.array([False]), scale)
    assert _norm(int(level), scale) == pytest.approx(norm, rel=0.02)


def test_near_is_a_bit_and_the_dead_have_none() -> None:
    found = levels(np.array([1, 1, 0], np.float32), np.array([True, False, True]), Scale(0.5, 2.0))
    assert (found >= NEAR_BIT).tolist() == [True, False, False]
    assert found[0] - NEAR_BIT == found[1]


def test_what_lies_beyond_the_scale_gets_its_ends() -> None:
    found = levels(np.array([1e-6, 1e6], np.float32), np.zeros(2, bool), Scale(0.5, 2.0))
    assert found.tolist() == [1, STEPS + 1]


def test_a_path_of_41_networks_of_64_layers_and_512_channels_is_below_two_megabytes() -> None:
    assert len(text(np.ones((41, 64 * 512), np.uint8))) == pytest.approx(1.79e6, rel=0.01)
    assert base64.b64decode(text(np.arange(5, dtype=np.uint8))) == bytes(range(5))
