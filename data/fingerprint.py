"""A digest of files: what tells one state of a data set, or of our own source, from another.

It covers the names, the sizes and the contents of the files; times, owners and the place of the folder do not matter.
Up to 16 MiB in all, every byte counts. Above that, reading everything would take minutes: then 256 files, evenly spaced
in the order of names, are read at their beginning, middle and end (4 KiB each), files up to 64 KiB as a whole. What
escapes the digest is an edit of a large data set that keeps the size of every file and lies between those places.
"""

import fnmatch
import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

DIGITS = 16  # hexadecimal
WHOLE = 16 * 2**20  # bytes in all up to which every file is read as a whole
SMALL, BLOCK = 2**16, 2**12  # bytes: of a file that is read as a whole in any case; of a block of a larger one
FILES = 256  # that are read of a large data set
Fact = tuple[str, str, int, int, int]  # name, path, size, times of the last change of content and of the file


def files_below(root: Path, pattern: str = "*") -> dict[str, Path]:
    """Return the files below a folder by their names in it, those whose own name matches; links are followed to files.

    Raises:
        ValueError: there is no such folder.

    """
    if not root.is_dir():
        raise ValueError(f"`root` must be a folder, got {str(root)!r}, which is not a folder.")
    found: dict[str, Path] = {}
    for folder, _, names in os.walk(root):
        inside = Path(folder).relative_to(root)
        found |= {(inside / name).as_posix(): Path(folder, name) for name in fnmatch.filter(names, pattern)}
    return found


def fingerprint(files: Mapping[str, Path]) -> str:
    """Return the digest of files, 16 hexadecimal digits; `files` maps the name that counts to where the file is.

    It is kept for the process, and computed again when the size or the time of a file has changed.
    """
    facts: list[Fact] = []
    for name, path in sorted(files.items()):
        stat = path.stat()
        facts.append((name, str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return _digest(tuple(facts))


@lru_cache(maxsize=16)
def _digest(facts: tuple[Fact, ...]) -> str:
    whole = sum(size for _, _, size, *_ in facts) <= WHOLE
    step = 1 if whole else max(1, len(facts) // FILES)
    digest = hashlib.blake2b(digest_size=DIGITS // 2)
    for place, (name, path, size, *_) in enumerate(facts):
        digest.update(f"{name}\0{size}\0".encode())
        if whole or place % step == 0:
            digest.update(_content(Path(path), size, whole or size <= SMALL))
    return digest.hexdigest()


def _content(path: Path, size: int, whole: bool) -> bytes:
    if whole:
        return path.read_bytes()
    with path.open("rb") as file:
        blocks = []
        for start in (0, (size - BLOCK) // 2, size - BLOCK):
            file.seek(start)
            blocks.append(file.read(BLOCK))
        return b"".join(blocks)
