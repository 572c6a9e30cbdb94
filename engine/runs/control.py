"""What a user asks of a live run: stop, pause, another strength. The worker reads it at every step boundary."""

import os
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from winnow.engine.runs.files import replace
from winnow.engine.specs.frozen import Frozen, Strength


class Control(Frozen):
    """The wishes that stand; `strength` is None until a user changes it."""

    stop: bool = False
    pause: bool = False
    strength: Strength | None = None


def ask(path: Path, **wishes: object) -> Control:
    """Change some of the wishes at `path` and keep the others; the last writer wins.

    Raises:
        ValueError: a wish that can't be granted, such as a negative strength; nothing is written.

    """
    with FileLock(path.with_suffix(".lock"), timeout=5):
        standing = read_control(path)
        try:
            control = Control.model_validate({**standing.model_dump(), **wishes})
        except ValidationError as error:
            problem = error.errors()[0]
            expected = problem["msg"].removeprefix("Input should be ")
            raise ValueError(f"`{problem['loc'][0]}` should be {expected}. Found {problem['input']!r}.") from error
        replace(path, control.model_dump_json().encode())
    return control


def read_control(path: Path) -> Control:
    """Return the standing wishes; a file that is absent or not ours asks nothing."""
    try:
        return Control.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return Control()


class ControlReader:
    """Reads the wishes only when the file has changed: one `stat` per step, about a microsecond."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._control = Control()

    def read(self) -> Control:
        """Return the standing wishes."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return self._control
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._seen:
            self._seen, self._control = stamp, read_control(self._path)
        return self._control
