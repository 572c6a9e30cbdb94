"""Files that are complete or absent: each is written under another name, flushed to the disk, and renamed."""

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
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
    """Add `content` to the end of `path` with one write, so that records of two writers are never mixed.

    Raises:
        OSError: the disk is full, or `path` is a link; what was written of `content` is cut off again.

    """
    with own_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
        before = os.fstat(descriptor).st_size
        written = os.write(descriptor, content)
        if written < len(content):  # a full disk, a limit: half a record would put all later ones out of step
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def cut(path: Path, length: int) -> None:
    """Remove all after `length` bytes: what a writer that was killed had begun."""
    if path.exists() and path.stat().st_size > length:
        with own_file(path, os.O_WRONLY) as descriptor:
            os.ftruncate(descriptor, length)


def overwrite(path: Path, content: bytes) -> None:
    """Write JSON over a file where it lies, which needs no space on a full disk; a reader may see a half of it.

    Raises:
        OSError: not even that is possible.

    """
    with own_file(path, os.O_RDWR) as descriptor:
        short = os.fstat(descriptor).st_size - len(content)
        os.pwrite(descriptor, content + b" " * max(short, 0), 0)
        os.ftruncate(descriptor, len(content))


def flush(path: Path) -> int:
    """Put a file's bytes on the disk, whatever happens then; return how many there are, 0 without a file."""
    if not path.exists():
        return 0
    with own_file(path, os.O_RDWR) as descriptor:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size


@contextmanager
def own_file(path: Path, flags: int) -> Iterator[int]:
    """Open a file that is no link, which could lead anywhere; give its descriptor, and close it.

    Raises:
        OSError: it is a link, or has another name as well (`cp -l`): what is written would change that file too.

    """
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        if os.fstat(descriptor).st_nlink > 1:
            raise OSError(errno.EMLINK, "it is a hard link: copy the folder with cp -r and use the copy", str(path))
        yield descriptor
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder can't be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
