"""The command line, in a process of its own as a user starts it, or within this one, which saves a second each time."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.engine.cli.main import main
from winnow.engine.runs.run import Run

SMALL = ["--dataset", "digits", "--widths", "8,8", "--blocks", "1,1", "--head-width", "8", "--threads", "1"]
START = "from winnow.engine.cli.main import main; main()"
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Trained:
    """A folder of runs with one in it, what the command printed about it, and where the command was started."""

    root: Path
    said: list[str]
    started_in: Path

    @property
    def result(self) -> dict[str, Any]:
        return json.loads(self.said[-1])

    @property
    def run(self) -> Run:
        return Run.open(self.root / self.result["run"])


def winnow(root: Path, *arguments: str, code: str = START, cwd: Path | None = None, **more: str) -> Done:
    """Run the command on the runs below `root` in a new process, with `more` in its environment."""
    environment: Mapping[str, str] = {**os.environ, "WINNOW_RUNS": str(root), **more}
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, timeout=600)


def winnow_here(*arguments: str) -> Done:
    """Run the command in this process, on the runs that WINNOW_RUNS names; forget the user's modules after it."""
    out, err, code, path = io.StringIO(), io.StringIO(), 0, list(sys.path)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            forget_modules(set(sys.path) - set(path))
            sys.path[:] = path
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def forget_modules(folders: set[str]) -> None:
    """Drop what was imported from folders, as the end of a process does: another test may have a module so called."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and any(Path(file).is_relative_to(folder) for folder in folders):
            del sys.modules[name]
