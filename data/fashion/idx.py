"""IDX files: an array of bytes behind a header of big-endian numbers, plain or gzipped; the format of the MNIST family.

    0x00 0x00 0x08 ndim | length of each dimension, uint32 | the bytes, last dimension fastest

Source: Y. LeCun, C. Cortes, "The MNIST database of handwritten digits".
"""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.data.sample import DataError

UNSIGNED_BYTES = b"\x00\x00\x08"


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array that a file `NAME` or `NAME.gz` holds.

    Raises:
        DataError: there is no such file, it cannot be unpacked, or it is not an IDX file of so many dimensions and as
            long as its header says.

    """
    content = _content(path)
    start = 4 + 4 * dimensions
    if len(content) < start or content[:3] != UNSIGNED_BYTES or content[3] != dimensions:
        raise DataError(str(path), "header", f"that of an IDX file of bytes with {dimensions} dimensions", content[:4])
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dimensions, offset=4))
    expected = int(np.prod(shape, dtype=object))
    if len(content) - start != expected:
        raise DataError(str(path), "length", f"{expected} bytes after the header, for {shape}", len(content) - start)
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    packed = path.with_name(f"{path.name}.gz")
    if path.is_file():
        return path.read_bytes()
    if not packed.is_file():
        raise DataError(str(path.parent), "root", f"a folder with {path.name} or {packed.name}", "neither")
    try:
        return gzip.decompress(packed.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(str(packed), "content", "a whole gzip file", error) from error
