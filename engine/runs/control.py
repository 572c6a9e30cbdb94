"""What a user asks of a live run: stop, pause, another strength. The worker reads it at every step boundary."""

import os
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from winnow.engine.runs.files import replace
from winnow.engine.specs.frozen import Factor, Frozen


class Control(Frozen):
    """What is asked of a live run now; `strength` is None until a user changes it."""

    stop: bool = False
    pause: bool = False
    strength: Factor | None = None


def ask(path: Path, **requests: object) -> Control:
    """Change some of the requests at `path` and keep the others; the last writer wins.

    Raises:
        ValueError: a request that cannot be met, such as a negative strength; nothing is written.

    """
    with FileLock(path.with_suffix(".lock"), timeout=5):
        current = read_control(path)
        try:
            control = Control.model_validate({**current.model_dump(), **requests})
        except ValidationError as error:
            problem = error.errors()[0]
            expected = problem["msg"].removeprefix("Input should be ")
            raise ValueError(f"`{problem['loc'][0]}` must be {expected}, got {problem['input']!r}.") from error
        replace(path, control.model_dump_json().encode())
    return control


def read_control(path: Path) -> Control:
    """Return the current requests; a file that is absent or not ours asks for nothing."""
    try:
        return Control.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return Control()


class ControlReader:
    """Reads the requests only when the file has changed: one `stat` per step, about a microsecond."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._control = Control()

    def read(self) -> Control:
        """Return the current requests."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return self._control
        version = (status.st_mtime_ns, status.st_ino)
        if version != self._seen:
            self._seen, self._control = version, read_control(self._path)
        return self._control
