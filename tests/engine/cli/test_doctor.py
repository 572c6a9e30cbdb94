"""`winnow doctor`: what is fine is said to be, and each thing that can be wrong is found and named."""

import errno
import json
import os
import socket
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from tests.engine.commanding import winnow_here
from winnow.engine.cli import doctor
from winnow.engine.cli.doctor import Diagnosis

CHECKS = ["python", "packages", "torch", "machine", "folder", "disk", "flush", "locks", "clock", "browser", "port",
          "scheduler"]  # fmt: skip
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def processes_are_few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no process where it is not what is tested."""
    if "torch" not in request.node.name:
        monkeypatch.setattr(doctor, "torch_computes", lambda: Diagnosis("torch", "fine", "2 computes"))
    if "fine" not in request.node.name:
        monkeypatch.setattr(doctor, "_taken", lambda _: False)


def test_a_machine_that_trains_these_tests_is_fine(runs_root: Path, monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_MEMORY", 0)
    done = winnow_here("doctor")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert [line.split()[1] for line in lines] == CHECKS
    assert all(line.split()[0] in ("fine", "note") for line in lines)
    assert not runs_root.exists()  # nothing is made
    runs_root.mkdir()
    monkeypatch.setattr(doctor, "_taken", lambda _: False)
    told = json.loads(winnow_here("doctor", "--json").stdout)
    assert [check["check"] for check in told["checks"]] == CHECKS
    assert list(runs_root.iterdir()) == []  # nothing is left


def test_torch_computes_in_a_process_of_its_own(monkeypatch):
    answers = {
        "2.13.0+cpu 0 27.0\n": ("fine", "2.13.0+cpu computes, no GPUs"),
        "2.13.0 1 27.0\n": ("fine", "2.13.0 computes, 1 GPU"),
        "2.13.0 0 26.0\n": ("WRONG", "it does not work: exit code 0"),
    }
    for said, expected in answers.items():
        monkeypatch.setattr(subprocess, "run", lambda *_, said=said, **__: subprocess.CompletedProcess([], 0, said, ""))
        found = doctor.torch_computes()
        assert (found.verdict, found.found) == expected
    broken = subprocess.CompletedProcess([], 1, "", "Traceback\nImportError: libtorch.so: no such file\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: broken)
    assert "libtorch.so" in doctor.torch_computes().found


def test_packages_that_are_missing_or_too_old_are_named(monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda _: ["numpy>=99", "no-such-package", "x; extra == 'y'"])
    found = doctor.packages()
    assert found.verdict == "WRONG"
    assert "numpy is" in found.found
    assert "no-such-package is missing" in found.found


@pytest.mark.parametrize(("free", "verdict"), [(5 << 20, "WRONG"), (1 << 30, "note"), (9 << 30, "fine")])
def test_a_disk_without_space_is_wrong(tmp_path: Path, monkeypatch, free: int, verdict: str):
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(1 << 40, 0, free))
    assert doctor.disk(tmp_path).verdict == verdict


def test_a_full_disk_is_wrong_and_a_read_only_one_is_said_once(runs_root: Path, monkeypatch):
    for number, verdict in ((errno.ENOSPC, "WRONG"), (errno.EROFS, "note")):

        def refuse(*_: object, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(doctor, "replace", refuse)
        told = json.loads(winnow_here("doctor", "--json").stdout)
        assert {check["check"]: check["verdict"] for check in told["checks"]}["flush"] == verdict
    monkeypatch.setattr(os, "access", lambda *_: False)
    done = winnow_here("doctor")
    assert done.returncode == 1
    assert "read-only" in done.stdout


def test_locks_that_keep_nobody_out_are_wrong(tmp_path: Path, monkeypatch):
    with monkeypatch.context() as lying:
        lying.setattr(doctor, "_taken", lambda _: True)
        assert "took a lock that was held" in doctor.locks(tmp_path).found
    with monkeypatch.context() as lying:
        lying.setattr(doctor, "_taken", lambda _: False)
        assert "cannot be taken" in doctor.locks(tmp_path).found
    answers = iter([False, True])
    monkeypatch.setattr(doctor, "_taken", lambda _: next(answers))
    monkeypatch.setattr(doctor, "held_elsewhere", lambda _: False)
    assert "looks free" in doctor.locks(tmp_path).found


def test_a_clock_that_is_apart_is_noted(tmp_path: Path, monkeypatch):
    now = doctor.time.time()
    monkeypatch.setattr(doctor.time, "time", lambda: now - 3600)
    found = doctor.clock(tmp_path)
    assert (found.verdict, "ahead" in found.found) == ("note", True)


def test_a_missing_browser_is_noted(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setenv("BROWSER_PATH", sys.executable)
    assert doctor.browser().verdict == "fine"
    monkeypatch.delenv("BROWSER_PATH")
    assert doctor.browser().verdict == "note"


def test_a_port_and_a_scheduler_are_asked():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert doctor.port_is_free(port).verdict == "note"
        assert doctor.scheduler_answers(f"tcp://127.0.0.1:{port}").verdict == "fine"
        assert doctor.scheduler_answers(f"127.0.0.1:{port}").verdict == "fine"
        done = winnow_here("dashboard", "--no-browser", "--port", str(port))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"got {port}" in done.stderr
    assert doctor.port_is_free(port).verdict == "fine"
    assert doctor.scheduler_answers(f"tcp://127.0.0.1:{port}").verdict == "WRONG"
    for address in ("", "nonsense", "tcp://", "tcp://h:99999999", "tcp://[::1"):
        assert doctor.scheduler_answers(address).verdict == "WRONG"


def test_a_check_that_fails_itself_hides_no_other(runs_root: Path, monkeypatch):
    monkeypatch.setattr(doctor, "browser", lambda: 1 / 0)
    done = winnow_here("doctor", "--json")
    told = {check["check"]: check["verdict"] for check in json.loads(done.stdout)["checks"]}
    assert list(told) == CHECKS
    assert (done.returncode, told["browser"]) == (1, "WRONG")
