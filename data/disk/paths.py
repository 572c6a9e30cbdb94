"""Files below the folder of a data set, by name."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from unicodedata import normalize

from winnow.data.disk.pictures import ENDINGS
from winnow.data.sample import DataError


def data_folder(root: str) -> Path:
    """Return the folder of a data set.

    Raises:
        DataError: none was given, or there is no such folder.

    """
    folder = Path(root).expanduser()
    if not root or not folder.is_dir():
        found = f"{root!r}, which is not a folder" if root else "none"
        raise DataError("data", "root", "the folder with the files", found, "Give it with --root DIR.")
    return folder


def plain_name(name: str) -> str:
    """Return a name as names are compared: composed Unicode, as lists of names and file systems differ in it."""
    return normalize("NFC", name)


def named_files(folder: Path, endings: Iterable[str] = ENDINGS) -> dict[str, Path]:
    """Return the files below a folder with one of the endings, by their name in it without the ending, sorted.

    Hidden files and folders are left out. Links to folders are followed.

    Raises:
        DataError: there is no such folder, or two files have the same name.

    """
    if not folder.is_dir():
        raise DataError(str(folder), "folder", "there", "no such folder")
    known = {ending.lower() for ending in endings}
    found: dict[str, Path] = {}
    for path in _files(folder):
        inside = path.relative_to(folder)
        if path.suffix.lower() not in known or any(part.startswith(".") for part in inside.parts):
            continue
        key = plain_name(inside.with_suffix("").as_posix())
        if key in found:
            both = f"{found[key].name} and {path.name}"
            raise DataError(str(path.parent), key, "the name of one file", both, "Remove or rename one of them.")
        found[key] = path
    return dict(sorted(found.items(), key=lambda item: natural(item[0])))


def _files(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()  # a link may lead back to where it is
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in sorted(names))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return what names are sorted by: numbers in them as numbers, 2 before 10."""
    parts: list[tuple[int, int, str]] = []
    digits = ""
    for letter in f"{name}\0":
        if letter.isascii() and letter.isdigit():
            digits += letter
            continue
        if digits:
            parts.append((0, int(digits), digits))
            digits = ""
        parts.append((1, 0, letter))
    return tuple(parts)


def by_place(root: Path, files: Iterable[Path]) -> Mapping[str, Path]:
    """Return files by their place below the folder: what the digest of a data set is made of."""
    return {file.relative_to(root).as_posix(): file for file in files}
