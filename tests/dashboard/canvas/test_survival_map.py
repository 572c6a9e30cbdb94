import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from winnow.dashboard.canvas.survival_map import Board, survival_payload
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.groups import Norms, norms
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]


def _read(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_the_newest_norms_travel_as_four_byte_floats(make_run: MakeRun) -> None:
    known = norms(make_run(epochs=2))
    sent = survival_payload(Board("r", known))
    np.testing.assert_array_equal(_read(sent["norms"], "<f4"), known.values[-1])
    assert (sent["layers"], sent["counts"]) == (["stem", "<b>deep</b>"], [3, 4])
    assert sent["low"] <= sent["high"]
    assert (sent["order"], sent["selected"]) == ("", None)


def test_near_travels_as_one_bit_and_an_order_as_two_bytes_a_channel(make_run: MakeRun) -> None:
    run = make_run(epochs=1)
    run.norms.append(2, 20, 0.0, np.array([1, 2, 0.05, 0, 3, 0.1, 2], np.float32))
    sent = survival_payload(Board("r", norms(run), "output", "norm", Cell("stem", 2, "output")))
    assert np.unpackbits(_read(sent["near"], "u1"), bitorder="little")[:7].tolist() == [0, 0, 1, 0, 0, 1, 0]
    assert _read(sent["order"], "<u2").tolist() == [1, 0, 2, 1, 3, 2, 0]
    assert (sent["selected"], sent["noun"]) == ({"layer": "stem", "channel": 2}, "filter")


@pytest.mark.parametrize(("by", "most"), [("network", 185_000), ("death", 275_000)])
def test_a_map_of_64_layers_and_512_channels_stays_small(by: Any, most: int) -> None:
    layers = tuple(Layer(f"layer {i}", 512, 9) for i in range(64))
    rows = np.ones((1, 64 * 512), np.float32)
    sent = survival_payload(
        Board("r", Norms(layers, np.zeros(1, np.int32), np.zeros(1, np.float32), rows), "input", by)
    )
    assert sum(len(part) for part in sent.values() if isinstance(part, str)) < most
