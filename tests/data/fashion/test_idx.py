"""IDX files as they are in the wild, and what is wrong with others."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from winnow.data.fashion.items import read_idx
from winnow.data.sample import DataError


def packed(array: np.ndarray) -> bytes:
    lengths = np.asarray(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()


@given(array=arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=6)), zipped=st.booleans())
def test_what_is_written_is_read(array: np.ndarray, zipped: bool, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("idx") / "images with spaces é"
    if zipped:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(packed(array)))
    else:
        path.write_bytes(packed(array))
    assert np.array_equal(read_idx(path, array.ndim), array)


GOOD = packed(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "header"),
        (GOOD[:10], "header"),
        (b"\x00\x00\x0d\x03" + GOOD[4:], "header"),  # floats
        (packed(np.zeros(4, np.uint8)), "header"),  # one dimension for three
        (GOOD[:-1], "length"),
        (GOOD + b"\x00", "length"),
        (GOOD[:4] + b"\xff" * 12 + GOOD[16:], "length"),  # more than there is memory: never allocated
    ],
)
def test_another_file_is_refused_by_name(content: bytes, part: str, tmp_path: Path):
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(DataError, match=f"images: `{part}` "):
        read_idx(tmp_path / "images", 3)


def test_a_truncated_gzip_file_is_refused_by_name(tmp_path: Path):
    (tmp_path / "images.gz").write_bytes(gzip.compress(GOOD)[:-9])
    with pytest.raises(DataError, match=r"images\.gz: `content` .* a complete gzip file"):
        read_idx(tmp_path / "images", 3)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="a folder with images or images.gz"):
        read_idx(tmp_path / "images", 3)
