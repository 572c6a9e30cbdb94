"""Whether the worker was asked to stop: by a signal, or in control.json."""

from winnow.engine.runs.control import ControlReader
from winnow.engine.runs.work_folder import WorkFolder


class StopRequest:
    """True, as a condition, once the work is to stop; to ask costs one `stat`."""

    def __init__(self, work: WorkFolder) -> None:
        self._control = ControlReader(work.path / "control.json")
        self._signalled = False

    def signal(self, signum: int, frame: object) -> None:
        """Remember a signal: the handler of SIGTERM."""
        self._signalled = True

    def __bool__(self) -> bool:
        return self._signalled or self._control.read().stop
