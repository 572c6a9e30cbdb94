"""Arrays from .npy files: the header is checked against the file before anything is read, and no pickle ever is."""

import math
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np

from winnow.data.sample import Array, DataError

MAGIC = b"\x93NUMPY"
UNREADABLE = (
    ValueError, EOFError, SyntaxError, TypeError, TokenError, RecursionError, MemoryError,
    SystemError,  # Python 3.11 raises it over brackets nested too deeply
)  # fmt: skip
"""What reading a header raises that is damaged or made to harm."""
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(path: Path) -> Array:
    """Return the array of numbers in a .npy file, in the byte order of this machine.

    Raises:
        DataError: there is no such file, it is empty, cut off, or no array; or it holds objects, which only pickle
            reads: loading one could run any code.

    """
    require_file(path)
    with path.open("rb") as file:
        shape, fortran, dtype = _header(path, file)
        expected, found = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
        if found != expected:
            promise = f"{expected} bytes of numbers, as its header says ({dtype} of shape {shape})"
            raise DataError(str(path), "length", promise, found, "Copy the file again: it is cut off or damaged.")
        values = np.frombuffer(file.read(), dtype)
    ordered = values.reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(ordered, dtype.newbyteorder("="))


def require_file(path: Path) -> None:
    """Raise `DataError` unless there is a file, and something in it."""
    if not path.is_file():
        raise DataError(str(path), "file", "there", "no such file")
    if not path.stat().st_size:
        raise DataError(str(path), "file", "a file with content", "an empty one (0 bytes)", "Copy it again.")


def _header(path: Path, file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise DataError(str(path), "version", "1.0 or 2.0 of the .npy format", version)
        shape, fortran, dtype = HEADERS[version](file)
    except DataError:
        raise
    except UNREADABLE as error:
        raise DataError(str(path), "content", "a .npy file", _start_of(path), "Save it with numpy.save.") from error
    if dtype.hasobject or dtype.names is not None or dtype.kind not in "biuf":
        mend = "Save numbers: numpy.save(path, array.astype('float32'), allow_pickle=False)."
        raise DataError(str(path), "dtype", "numbers", f"{dtype} (pickled objects are never read)", mend)
    return shape, fortran, dtype


def _start_of(path: Path) -> str:
    with path.open("rb") as file:
        return f"a file that begins with {file.read(8)!r}"
