"""Winnow as a user gets it: the wheel, in an environment that has our dependencies and cannot see the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "data", "engine", "dashboard")
OURS = ("PYTHONPATH", "PYTHONSAFEPATH", "WINNOW_RUNS")  # in the environment: what a user may not have


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def command(self) -> Path:
        return self.folder / "bin" / "winnow"

    @property
    def packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.folder)}))


def build(folder: Path) -> Path:
    """Build the wheel from a copy of the sources, so that nothing lies in the checkout afterwards; return its path."""
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run([sys.executable, "-P", *command], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Installed:
    """Install the wheel alone; its dependencies are those of this Python, but not the editable install beside them."""
    venv.EnvBuilder(symlinks=True).create(folder)
    found = Installed(folder)
    command = ["-m", "pip", "--python", str(found.python), "install", "--no-deps", "--no-index", "--no-compile", "-q"]
    done = subprocess.run([sys.executable, "-P", *command, str(wheel)], capture_output=True, text=True, env=theirs())
    assert done.returncode == 0, done.stderr
    # Python reads the .pth files of its own folder only: the one that leads to the checkout is not followed.
    (found.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return found


def theirs() -> dict[str, str]:
    """Return an environment without what only our tests set."""
    return {**{name: value for name, value in os.environ.items() if name not in OURS}, "OMP_WAIT_POLICY": "PASSIVE"}
