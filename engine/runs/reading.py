"""Reading files of a folder that somebody else may have written, or a fault damaged: right, or refused by name.

No file makes a reader hang, run out of memory or raise anything but `DamagedFileError`, whose message is one line.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

LARGEST_JSON = 8 << 20  # bytes; ours are below 1 MiB
LARGEST_OBJECT = 2 << 20  # the same of specs, statuses and manifests
LARGEST_TABLE = 1 << 29  # bytes, when decompressed; ours are below 100 MiB
MOST_CELLS = 50_000_000


class DamagedFileError(ValueError):
    """A file that cannot be what it should be; the message names it, and says what is wrong in one line."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"`{path.name}` is damaged: {' '.join(problem.split())[:160]}. Restore it from a copy.")


@contextmanager
def taken_apart(path: Path) -> Iterator[None]:
    """Say `DamagedFileError` of this file where what it holds is not built as its reader expects."""
    try:
        yield
    except DamagedFileError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise DamagedFileError(path, f"{type(error).__name__}: {error}") from error


def read_json(path: Path, largest: int = LARGEST_JSON) -> Any:
    """Return the JSON value in a file.

    Raises:
        DamagedFileError: it holds no JSON, is nested too deeply or is too large.
        OSError: there is no such file, or it cannot be read.

    """
    if (size := path.stat().st_size) > largest:
        raise DamagedFileError(path, f"it has {size} bytes, at most {largest} are read")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(path, f"it is not JSON ({str(error) or type(error).__name__})") from error


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; raise as `read_json`, also where it is another value."""
    found = read_json(path, LARGEST_OBJECT)
    if not isinstance(found, dict):
        raise DamagedFileError(path, f"it must hold a JSON object, got {type(found).__name__}")
    return found


def checked_table(path: Path) -> pd.DataFrame:
    """Return the table in a Parquet file.

    Raises:
        DamagedFileError: it is no such file, or is larger than any of ours when it is decompressed.
        OSError: there is no such file, or it cannot be read.

    """
    path.stat()  # what Arrow says of a missing file is not an OSError everywhere
    try:
        frame: pd.DataFrame = _bounded(path, pq.read_metadata(path)).to_pandas()
    except DamagedFileError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, MemoryError) as error:
        raise DamagedFileError(path, str(error) or type(error).__name__) from error
    return frame


def _bounded(path: Path, about: pq.FileMetaData) -> pa.Table:
    """Return a table; refuse what its file claims to hold, or what its texts would need, before the memory is taken.

    A text that is stored once may be in every row: a file of kilobytes can hold gigabytes. So texts are read as
    numbers of a dictionary, and their size is known before they are written out.
    """
    size = sum(about.row_group(place).total_byte_size for place in range(about.num_row_groups))
    cells = about.num_rows * max(about.num_columns, 1)
    if not (0 <= size <= LARGEST_TABLE and 0 <= cells <= MOST_CELLS):
        raise DamagedFileError(path, f"it claims to hold {about.num_rows} rows in {size} bytes")
    columns = [about.schema.column(place) for place in range(about.num_columns)]
    if lists := [column.path for column in columns if column.max_repetition_level]:
        raise DamagedFileError(path, f"{lists[0]!r:.40} holds lists, of any length")  # no table of ours has any
    texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    table = pq.ParquetFile(path, metadata=about, read_dictionary=texts).read()
    written = sum(_text_bytes(chunk) for column in table.columns for chunk in column.chunks)
    if written > LARGEST_TABLE:
        raise DamagedFileError(path, f"its texts have {written} bytes, at most {LARGEST_TABLE} are read")
    return table.cast(about.schema.to_arrow_schema())


def _text_bytes(chunk: pa.Array) -> int:
    """Return how many bytes the texts of a column have when each row has its own."""
    if not (pa.types.is_dictionary(chunk.type) and _is_text(chunk.type.value_type)):
        return 0
    lengths = pc.binary_length(chunk.dictionary)
    return int(pc.sum(pc.cast(lengths.take(chunk.indices), pa.int64())).as_py() or 0)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind))
