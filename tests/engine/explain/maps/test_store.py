"""The file of maps: whole or refused, and small numbers survive it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from winnow.engine.explain.maps.store import NAME, SpatialStore, packed, resized_maps, write_spatial

INDEX = {"tasks": {"a": {}}, "images": [0, 1], "layers": {"l": [3, 7]}}


def write(folder: Path, **index: object) -> SpatialStore:
    maps = {"activation.l": np.arange(16, dtype=np.float16).reshape(2, 2, 2, 2), "activation_peak.l": np.ones(2)}
    write_spatial(folder, maps, {**INDEX, **index})
    return SpatialStore(folder)


def test_a_channel_is_found_by_its_number(tmp_path: Path):
    store = write(tmp_path)
    assert np.array_equal(store.activation("l", 7).ravel(), np.arange(8, 16))
    assert store.cells().to_numpy().tolist() == [["l", 3], ["l", 7]]
    assert store.has("l", 3)
    assert not store.has("l", 4)
    assert not store.has("m", 3)


def test_what_is_not_there_is_named(tmp_path: Path):
    store = write(tmp_path)
    with pytest.raises(ValueError, match="`channel` must have maps .* got channel 4 of 'l'"):
        store.activation("l", 4)
    with pytest.raises(ValueError, match="`task` must be one of a, got 'b'"):
        store.attribution("occlusion", "b")
    assert store.prediction("a") is None


def test_a_file_that_is_missing_damaged_or_of_another_format_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="got none in"):
        SpatialStore(tmp_path)
    write(tmp_path)
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="got a damaged one"):
        SpatialStore(tmp_path)
    with pytest.raises(ValueError, match="`format_version` of spatial.safetensors must be 1, got 2"):
        write(tmp_path, format_version=2)


@given(arrays(np.float64, (3, 4, 2), elements=st.floats(-1e30, 1e30, allow_subnormal=False)))
def test_packing_keeps_values_to_a_thousandth_of_their_peak(values: np.ndarray):
    units, peak = packed(values, (1, 2))
    assert units.dtype == np.float16
    back = units.astype(float) * peak[:, None, None].astype(float)
    assert np.all(np.abs(back - values) <= 1e-3 * np.abs(values).max((1, 2), keepdims=True) + 1e-37)


def test_resizing_repeats_the_nearest_place():
    found = resized_maps(np.array([[1, 2], [3, 4]]), 4, 6)
    assert found.tolist() == [[1, 1, 1, 2, 2, 2]] * 2 + [[3, 3, 3, 4, 4, 4]] * 2
    assert resized_maps(np.arange(16).reshape(4, 4), 2, 2).tolist() == [[0, 2], [8, 10]]
