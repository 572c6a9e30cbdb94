"""What a folder of work may be made of: plain files and folders of its own, and nothing else.

A run folder may come from somebody else. A link in it would let a reader show, and a worker overwrite, a file anywhere;
a pipe or a device would keep a reader waiting forever. So a folder that holds one, at any depth, is never opened: it is
left out of all lists, and named beside them with the reason.

The scan comes before the work. It does not guard against a program of somebody else that changes the folder meanwhile;
what is appended to or cut is opened without following a link all the same (`engine.runs.files`).
"""

import os
from functools import lru_cache
from pathlib import Path

DEPTH = 8  # folders inside one another; ours are 5
MOST = 200_000  # files and folders of one run


class RefusedFolderError(FileNotFoundError):
    """A folder that is never opened; the message is one line: what is in it, and what to do."""


def require_plain(folder: Path) -> None:
    """Raise `RefusedFolderError` where a folder holds anything but plain files and folders."""
    if found := why_refused(folder):
        raise RefusedFolderError(f"`run` must hold plain files and folders only, got {folder.name}: {found}.")


def known_plain(folder: Path) -> bool:
    """Return whether `why_refused` finds nothing; it looks again once an entry of the folder was added or replaced."""
    return not reason_known(folder)


def reason_known(folder: Path) -> str:
    """Return what `why_refused` returns, kept for as long as the folder itself has not changed."""
    try:
        status = os.lstat(folder)
    except OSError:
        return ""
    return _reason(folder, status.st_ino, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _reason(folder: Path, _inode: int, _changed: int) -> str:
    return why_refused(folder)


def why_refused(folder: Path) -> str:
    """Return why a folder is not opened, "" if nothing speaks against it."""
    if folder.is_symlink():
        return "the folder is a link"
    waiting, seen = [(str(folder), "")], 0
    while waiting:
        place, name = waiting.pop()
        if name.count("/") > DEPTH:
            return f"{name[:80]!r} lies more than {DEPTH} folders deep"
        for entry in _entries(place):
            seen += 1
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{name}{entry.name}/"))
            elif not entry.is_file(follow_symlinks=False) and os.path.lexists(entry.path):
                kind = "a link" if entry.is_symlink() else "no plain file"
                return f"{f'{name}{entry.name}'!r:.120} is {kind}"
        if seen > MOST:
            return f"it holds more than {MOST} files"
    return ""


def _entries(place: str) -> list[os.DirEntry[str]]:
    """Return what lies in a folder; nothing where it cannot be read, as then nobody reads it either."""
    try:
        with os.scandir(place) as found:
            return list(found)
    except OSError:
        return []
