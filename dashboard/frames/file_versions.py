"""The version of a file: the key of every cache of what was read from it.

A cache is keyed on the path and this version, never on the arrays: two different arrays may look the same to a sampled
hash, while an appended file never keeps its size, nor a replaced one its time of change.
"""

from pathlib import Path

Version = tuple[int, int]


def version(path: Path) -> Version:
    """Return (size [bytes], time of the last change [ns]) of a file, zeros where there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
