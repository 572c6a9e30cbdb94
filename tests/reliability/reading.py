"""What a fuzzed reader is: the file that it reads, whole ones to draw cases from, and how it is called."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Read = Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """A reader of a file in a folder: what a whole file holds, and how it is read."""

    file: str
    seeds: tuple[bytes, ...]
    read: Read
    prepare: Callable[[Path, bytes], None] = lambda folder, content: None


def put(file: Path, content: bytes) -> None:
    """Put a file beside the one that is read, unless it is there."""
    if not file.exists() or file.stat().st_size != len(content) or file.suffix in (".json",):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def sha(content: bytes) -> str:
    """Return the digest that a manifest names."""
    return hashlib.sha256(content).hexdigest()
