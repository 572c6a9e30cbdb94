"""Arrays of a split that are ready to train on, in files that are mapped into memory: read once, then at once.

Below the folder that the user names there is a folder per state of the data: its name is a digest of the spec, of the
names, sizes and times of all files, and of our source that reads them. In it each split has a file for the images and
one per task. A file is written under another name and renamed when it is whole.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from winnow.data.disk.spec import DiskData
from winnow.data.fingerprint import files_below, fingerprint
from winnow.data.sample import Array, Split
from winnow.data.stacking import IMAGE, Progress, Stacked, stack

SOURCE = Path(__file__).parents[1]


def cached(spec: DiskData, split: Split, names: Sequence[str], progress: Progress | None = None) -> Stacked:
    """Return a split as `data.stacking.stack` does, its arrays mapped from files below `spec.cache`.

    What is not there yet is read and checked. The arrays may be written to; the files do not change.

    Raises:
        DataError: as `stack`.
        OSError: the files cannot be written.

    """
    folder = Path(spec.cache).expanduser() / f"{spec.dataset}-{state_of(spec)}"
    files = {name: folder / f"{split}-{name}.npy" for name in (IMAGE, *names)}
    if absent := [name for name, file in files.items() if not file.is_file()]:
        with _parts(folder, absent) as parts:
            stack(spec.load(split), [name for name in absent if name != IMAGE], progress, parts.allocate)
            parts.finish(files)
    arrays = {name: np.load(file, mmap_mode="c", allow_pickle=False) for name, file in files.items()}
    return Stacked(arrays.pop(IMAGE), arrays)


def state_of(spec: DiskData) -> str:
    """Return the digest of all that the arrays depend on, 16 hexadecimal digits."""
    facts: list[Any] = [spec.model_dump(mode="json", exclude={"root", "cache"}), fingerprint(_source())]
    for name, path in spec.files().items():
        stat = path.stat()
        facts.append((name, stat.st_size, stat.st_mtime_ns))
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()


class UnfinishedFiles:
    """Files that are being written, below a folder of their own; the parts that are not wanted go nowhere."""

    def __init__(self, folder: Path, wanted: Sequence[str]) -> None:
        self._folder, self._wanted = folder, wanted
        self._open: dict[str, np.memmap[Any, Any]] = {}

    def allocate(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array to fill, in a file if the part is wanted."""
        if name not in self._wanted:
            row = np.empty(shape[1:], dtype)
            return np.lib.stride_tricks.as_strided(row, shape, (0, *row.strides))  # every row in the same place
        self._open[name] = np.lib.format.open_memmap(self._folder / f"{name}.npy", "w+", dtype, shape)
        return self._open[name]

    def finish(self, files: dict[str, Path]) -> None:
        """Write all to the disk and put each file in its place."""
        for name, array in self._open.items():
            array.flush()
            os.replace(self._folder / f"{name}.npy", files[name])


@contextmanager
def _parts(folder: Path, wanted: Sequence[str]) -> Iterator[UnfinishedFiles]:
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".writing-", dir=folder) as place:
        yield UnfinishedFiles(Path(place), wanted)


def _source() -> dict[str, Path]:
    return files_below(SOURCE, "*.py")
