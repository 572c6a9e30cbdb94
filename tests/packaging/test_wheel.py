"""The wheel holds what it should and nothing else, and works in a folder full of a user's own modules."""

import json
import socket
import subprocess
import time
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.packaging.installing import ROOT, Installed, build, install, theirs
from tests.packaging.page import errors, listening, messages

PACKAGES = ("data", "engine", "dashboard")
LEFT_OUT = ("dashboard/pictures/", "dashboard/canvas/package.json")  # for the README, and for Node's tests
TINY = ["--dataset", "digits", "--widths", "6,8", "--blocks", "1,1", "--head-width", "6", "--batch-size", "200"]
UP_WITHIN = 300.0  # s: a cold start of the server on a busy machine

# What a user's own module does when somebody imports it: it leaves a mark, and breaks what wanted another one.
PLANTED = """
from pathlib import Path
Path({marks!r}, {name!r}).touch()
raise ImportError("this is the user's own {name}")
"""
CONFIG = """
[server]
port = 1
address = "0.0.0.0"
baseUrlPath = "theirs"
enableCORS = false
enableXsrfProtection = false
allowedHosts = ["*"]
fileWatcherType = "auto"
runOnSave = true
[client]
showErrorDetails = "full"
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(wheel, tmp_path_factory.mktemp("environment"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of a user's project, whose modules leave marks in `marks` beside it."""
    project, marks = tmp_path / "project", tmp_path / "marks"
    for place in (project / "data", project / ".streamlit", marks):
        place.mkdir(parents=True)
    for name in ("data/__init__", "engine", "dashboard", "secrets", "torch"):
        (project / f"{name}.py").write_text(PLANTED.format(marks=str(marks), name=name.split("/")[0]))
    (project / ".streamlit" / "config.toml").write_text(CONFIG)
    return project


def marks(folder: Path) -> list[str]:
    return [path.name for path in (folder.parent / "marks").iterdir()]


def on_disk() -> set[str]:
    """Return the packages below the three folders, as they are imported."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return {".".join(("winnow", *file.parent.relative_to(ROOT).parts)) for file in files}


def test_the_list_of_packages_is_the_packages_on_disk():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert listed == sorted(on_disk()), "write this list to [tool.setuptools] packages of pyproject.toml"


def test_the_wheel_holds_all_files_of_the_packages_and_nothing_else(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    there = [file for file in files if (ROOT / file).exists() and not file.startswith(LEFT_OUT)]
    assert held == {f"winnow/{file}" for file in there}, "what is no Python belongs in package-data of pyproject.toml"
    assert {"winnow/dashboard/.streamlit/config.toml", "winnow/dashboard/icon.svg"} <= held
    assert {f"winnow/{package}/py.typed" for package in PACKAGES} <= held


def test_nothing_but_winnow_lands_in_site_packages(installed: Installed):
    found = {path.name.split("-")[0] for path in installed.packages.iterdir()}
    assert found - {"dependencies.pth"} == {"winnow", "winnow_mtl"}
    found = {path.name for path in (installed.packages / "winnow").iterdir()}
    assert found == set(PACKAGES)  # `winnow` itself is a namespace without files


def test_a_users_own_modules_keep_their_names(installed: Installed, tmp_path: Path):
    (tmp_path / "engine.py").write_text("MINE = 1")
    script = tmp_path / "script.py"
    script.write_text("import engine, winnow.engine.specs.train as ours; print(engine.MINE, ours.__file__)")
    command = [str(installed.python), str(script)]
    done = subprocess.run(command, cwd=tmp_path, env=theirs(), capture_output=True, text=True)
    assert done.stdout.split() == ["1", str(installed.packages / "winnow/engine/specs/train.py")], done.stderr


def test_a_run_is_trained_beside_a_users_own_modules(installed: Installed, folder: Path):
    asked = ["train", *TINY, "--epochs", "1", "--threads", "1", "--name", "tiny", "--json"]
    command = [str(installed.command), *asked]
    done = subprocess.run(command, cwd=folder, env=theirs(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    run = folder / "runs" / json.loads(done.stdout.splitlines()[-1])["run"]
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    assert (run / "log.txt").read_text() == ""
    assert marks(folder) == []


def test_the_dashboard_is_served_beside_a_users_own_modules(installed: Installed, folder: Path):
    with served(installed, folder) as port:
        said = messages(port)
        assert said[-1].script_finished == said[-1].FINISHED_SUCCESSFULLY
        assert errors(said) == []
        *_, known = (message.navigation for message in said if message.WhichOneof("type") == "navigation")
        assert "Runs" in [page.page_name for page in known.app_pages]
        assert listening(port) == {"127.0.0.1"}
        with pytest.raises(InvalidStatus):
            messages(port, "http://elsewhere.example")
    assert marks(folder) == []


@contextmanager
def served(installed: Installed, folder: Path) -> Iterator[int]:
    """Serve the dashboard from a folder as a user does; yield its port once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command = [str(installed.command), "dashboard", "--port", str(port), "--no-browser"]
    log = folder.parent / "server.txt"
    with log.open("wb") as out:
        server = subprocess.Popen(command, cwd=folder, env=theirs(), stdout=out, stderr=out)
    try:
        assert answers(f"http://127.0.0.1:{port}/_stcore/health", server), log.read_text()
        yield port
    finally:
        server.terminate()
        server.wait(30)


def answers(address: str, server: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + UP_WITHIN
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                return answer.status == 200
        except OSError:
            time.sleep(0.05)
    return False
