"""What a user asks of a live run: stop, pause, another strength or target. The worker reads it at every step."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import Field, ValidationError

from winnow.engine.runs.files import replace
from winnow.engine.specs.frozen import Factor, Frozen

LARGEST = 1 << 16  # bytes of the file
KEPT = 200  # strengths, and targets: more than are asked for between two steps
Percent = Annotated[float, Field(gt=0, lt=100, allow_inf_nan=False)]


class Control(Frozen):
    """What is asked of a live run now; `strength` is None until a user changes it.

    Each strength that was asked for is recorded, also where another one follows before the worker looks: `strengths`
    are the newest ones, in the order in which they were asked for, and `asked` is how many there have been. `target`
    [%], `targets` and `targets_asked` are the same of the target, for a run that has one.
    """

    stop: bool = False
    pause: bool = False
    strength: Factor | None = None
    asked: int = Field(0, ge=0, le=2**53)
    strengths: tuple[Factor, ...] = Field((), max_length=KEPT)
    target: Percent | None = None
    targets_asked: int = Field(0, ge=0, le=2**53)
    targets: tuple[Percent, ...] = Field((), max_length=KEPT)

    def since(self, seen: int) -> tuple[float, ...]:
        """Return the strengths that were asked for after the first `seen`."""
        new = self.asked - seen
        return self.strengths[-new:] if new > 0 else ()

    def targets_since(self, seen: int) -> tuple[float, ...]:
        """Return the targets [%] that were asked for after the first `seen`."""
        new = self.targets_asked - seen
        return self.targets[-new:] if new > 0 else ()


def ask(path: Path, **requests: object) -> Control:
    """Change some of the requests at `path` and keep the others; the last writer wins, but no strength is lost.

    Raises:
        ValueError: a request that cannot be met, such as a negative strength; nothing is written.

    """
    with FileLock(path.with_suffix(".lock"), timeout=5):
        current = read_control(path)
        try:
            control = _listed(Control.model_validate({**current.model_dump(), **requests}), requests)
        except ValidationError as error:
            problem = error.errors()[0]
            expected = problem["msg"].removeprefix("Input should be ")
            raise ValueError(f"`{problem['loc'][0]}` must be {expected}, got {problem['input']!r}.") from error
        replace(path, control.model_dump_json().encode())
    return control


def read_control(path: Path) -> Control:
    """Return the current requests; a file that is absent or not ours asks for nothing."""
    try:
        if path.stat().st_size > LARGEST:
            return Control()
        return Control.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Control()


def _listed(control: Control, requests: Mapping[str, object]) -> Control:
    """Return the requests with a strength and a target among those that were asked for, where they are asked for."""
    new: dict[str, object] = {}
    if control.strength is not None and "strength" in requests:
        new |= {"asked": control.asked + 1, "strengths": (*control.strengths, control.strength)[-KEPT:]}
    if control.target is not None and "target" in requests:
        new |= {"targets_asked": control.targets_asked + 1, "targets": (*control.targets, control.target)[-KEPT:]}
    return control.model_copy(update=new)


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
