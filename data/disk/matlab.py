"""Small MATLAB files, up to version 7: numbers by the name of their variable."""

import struct
import zlib
from pathlib import Path

import numpy as np

from winnow.data.disk.arrays import require_file
from winnow.data.sample import Array, DataError


def read_mat(path: Path, name: str) -> Array:
    """Return a variable of numbers of a MATLAB file.

    Raises:
        DataError: there is no such file or variable, it is damaged, of version 7.3, or holds something else.

    """
    from scipy.io import loadmat, whosmat  # type: ignore[import-untyped]  # half a second to import
    from scipy.io.matlab import MatReadError  # type: ignore[import-untyped]  # ships no types

    require_file(path)
    try:
        names = [found for found, _, _ in whosmat(path)]
        if name not in names:
            raise DataError(str(path), "variable", name, f"only {', '.join(names) or 'none'}")
        values = loadmat(path, variable_names=[name])[name]
    except (MatReadError, NotImplementedError, ValueError, TypeError, KeyError, OSError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise _damaged(path, error) from error
    except (zlib.error, struct.error, IndexError, MemoryError, OverflowError) as error:
        raise _damaged(path, error) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise DataError(str(path), name, "numbers", f"{getattr(values, 'dtype', type(values).__name__)}")
    return values


def _damaged(path: Path, error: Exception) -> DataError:
    said = " ".join(str(error).split()) or type(error).__name__
    return DataError(str(path), "content", "a whole MATLAB file of version 4 to 7", said, "Copy it again.")
