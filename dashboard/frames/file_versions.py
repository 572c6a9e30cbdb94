"""The version of a file: the key of every cache of what was read from it.

A cache is keyed on the path and this version, never on the arrays: two different arrays may look the same to a sampled
hash, while an appended file never keeps its size, nor a replaced one its time of change.

A page that watches a live run draws it once a second: a cache that kept what it made of every version would hold the
log a hundred times. `latest` keeps what was made of the newest one, and of those who ask for it at once one makes it
while the others wait. A log grows between any two drawings: eight who watch a run had its figures made eight times a
second; `paced` takes what grew within a while for one version.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import wraps
from itertools import count
from pathlib import Path
from threading import Lock, RLock
from typing import NamedTuple, ParamSpec, TypeVar
from weakref import WeakValueDictionary

Asked = ParamSpec("Asked")
Made = TypeVar("Made")


class Version(NamedTuple):
    """Size [bytes] and time of the last change [ns] of a file, zeros where there is none."""

    size: int
    changed: int


def version(path: Path) -> Version:
    """Return the version of a file now."""
    try:
        found = path.stat()
    except OSError:
        return Version(0, 0)
    return Version(found.st_size, found.st_mtime_ns)


def paced(seconds: float) -> Callable[[Path], Version]:
    """Return a `version` that moves once in `seconds` at most, for what goes on growing and is drawn again."""
    seen: dict[Path, tuple[Version, float]] = {}
    lock = Lock()

    def now_and_then(path: Path) -> Version:
        now = time.monotonic()
        with lock:
            known = seen.get(path)
            if known is None or now - known[1] >= seconds:
                known = seen[path] = version(path), now
            return known[0]

    return now_and_then


def latest(most: int) -> Callable[[Callable[Asked, Made]], Callable[Asked, Made]]:
    """Return a decorator that keeps the newest value for each of the last `most` things that were asked for.

    Arguments that are a `Version`, or a tuple of them, say which value is the newest; all others say what is asked for.
    """

    def decorator(make: Callable[Asked, Made]) -> Callable[Asked, Made]:
        kept: OrderedDict[Hashable, tuple[Hashable, int, Made]] = OrderedDict()
        makers: WeakValueDictionary[Hashable, RLock] = WeakValueDictionary()
        lock, turns = Lock(), count()

        def known(asked: Hashable, versions: Hashable, since: int) -> tuple[Made] | None:
            """Return what was made of these versions, or was begun after this turn: then from files at least as new."""
            with lock:
                found = kept.get(asked)
                if found is None or (found[0] != versions and found[1] < since):
                    return None
                kept.move_to_end(asked)
                return (found[2],)

        @wraps(make)
        def kept_or_made(*given: Asked.args, **named: Asked.kwargs) -> Made:
            asked, versions = _parted([*enumerate(given), *named.items()])
            since = next(turns)
            if (found := known(asked, versions, since)) is not None:
                return found[0]
            with lock:
                maker = makers.setdefault(asked, RLock())
            with maker:
                if (found := known(asked, versions, since)) is not None:
                    return found[0]
                began = next(turns)
                value = make(*given, **named)
                with lock:
                    kept[asked] = (versions, began, value)
                    kept.move_to_end(asked)
                    while len(kept) > most:
                        kept.popitem(last=False)
                return value

        return kept_or_made

    return decorator


def _parted(arguments: Sequence[tuple[int | str, object]]) -> tuple[Hashable, Hashable]:
    """Return what is asked for, and the versions that say which value of it is the newest."""
    asked = tuple(argument for argument in arguments if not _tells_versions(argument[1]))
    return asked, tuple(argument for argument in arguments if _tells_versions(argument[1]))


def _tells_versions(value: object) -> bool:
    return isinstance(value, Version) or (
        isinstance(value, tuple) and bool(value) and all(_tells_versions(part) for part in value)
    )
