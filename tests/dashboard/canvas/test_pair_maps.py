import base64

import numpy as np
import pytest

from winnow.dashboard.canvas.pair_maps import MIDDLE, ONLY_A, ONLY_B, REACH, MapPair, difference, pair_payload
from winnow.engine.runs.norm_log import Layer


@pytest.mark.parametrize(
    ("a", "b", "level"),
    [(0, 0, 0), (1, 0, ONLY_A), (0, 1, ONLY_B), (1, 1, MIDDLE), (1, 100, MIDDLE + REACH), (100, 1, MIDDLE - REACH)],
)
def test_a_difference_has_the_level_of_its_kind(a: float, b: float, level: int) -> None:
    assert difference(np.array([a], np.float32), np.array([b], np.float32)).tolist() == [level]


def test_only_dead_in_both_is_zero() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 3, (2, 500)).astype(np.float32) * rng.integers(0, 2, (2, 500))
    found = difference(a, b)
    assert ((found == 0) == ((a == 0) & (b == 0))).all()
    both = (a > 0) & (b > 0)
    assert ((found[both] > MIDDLE) <= (b > a)[both]).all()


def test_both_maps_share_one_scale() -> None:
    norms = np.array([[1, 0, 2], [4, 1, 0]], np.float32)
    sent = pair_payload(MapPair(("<b>", "y"), (Layer("stem", 3, 9),), norms, np.zeros((2, 3), bool)))
    assert sent["high"] == 4.0
    a, b = (np.frombuffer(base64.b64decode(sent[name]), np.uint8) for name in ("a", "b"))
    assert a[0] == b[1]
    assert a[0] < a[2] < b[0]
    assert sent["titles"] == ["<b>", "y"]
