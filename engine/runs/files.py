"""Files that are complete or absent: each is written under another name, flushed to the disk, and renamed."""

import json
import os
import secrets
from pathlib import Path
from typing import Any


def replace(path: Path, content: bytes) -> None:
    """Put `content` at `path` atomically: readers see the old file or the new one, and a crash leaves one of them.

    Raises:
        OSError: the disk is full or the folder is gone; the old file is unchanged and no temporary file is left.

    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def replace_json(path: Path, value: Any) -> None:
    """Put a JSON value at `path` atomically; NaN and infinity are refused, since JSON has neither."""
    replace(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def append(path: Path, content: bytes) -> None:
    """Add `content` to the end of `path` with one write, so that records of two writers are never mixed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def cut(path: Path, length: int) -> None:
    """Remove all after `length` bytes: the unfinished record of a writer that was killed."""
    if path.exists() and path.stat().st_size > length:
        os.truncate(path, length)


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder can't be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
