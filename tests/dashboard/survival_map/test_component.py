import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dashboard.frames.groups import Norms, norms
from dashboard.survival_map.component import SCRIPT, Selection, payload, selection
from engine.norms import Layer
from engine.runs import Run

MakeRun = Callable[..., Run]


def test_the_newest_norms_travel_as_four_byte_floats(make_run: MakeRun) -> None:
    known = norms(make_run(epochs=2))
    sent = payload(known, "r")
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(sent["norms"]), "<f4"), known.values[-1])
    assert (sent["layers"], sent["counts"]) == (["stem", "<b>deep</b>"], [3, 4])
    assert sent["low"] <= sent["high"]


def test_a_map_of_64_layers_and_512_channels_stays_below_200_kilobytes() -> None:
    layers = tuple(Layer(f"layer {i}", 512, 9) for i in range(64))
    rows = np.ones((1, 64 * 512), np.float32)
    known = Norms(layers, np.zeros(1, np.int32), np.zeros(1, np.float32), rows)
    assert len(payload(known, "r")["norms"]) < 200_000


@pytest.mark.parametrize(
    "value",
    [
        None,
        "stem",
        {"run": "other", "layer": "stem", "channel": 0},
        {"run": "r", "layer": "nowhere", "channel": 0},
        {"run": "r", "layer": "stem", "channel": 3},
        {"run": "r", "layer": "stem", "channel": -1},
        {"run": "r", "layer": "stem", "channel": "0"},
        {"run": "r", "layer": ["stem"], "channel": 0},
    ],
)
def test_a_selection_that_this_run_does_not_have_is_none(make_run: MakeRun, value: Any) -> None:
    assert selection(value, norms(make_run()), "r") is None


def test_a_selection_that_exists_is_taken(make_run: MakeRun) -> None:
    chosen = selection({"run": "r", "layer": "stem", "channel": 2}, norms(make_run()), "r")
    assert chosen == Selection("stem", 2)


def test_the_script_never_writes_html() -> None:
    assert not any(
        word in SCRIPT for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")
    )
