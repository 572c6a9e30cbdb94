"""The command line as a user meets it: exit codes, one line for a wrong request; real processes where they matter."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engine.commanding import START, Trained, winnow, winnow_here
from winnow.engine.runs.digests import newest_source
from winnow.engine.runs.run import Run


def test_train_prints_one_json_object_at_the_end(trained: Trained):
    assert trained.result["state"] == "done"
    assert set(trained.result["metrics"]) == {"digit", "parity", "ink"}
    listed = json.loads(winnow(trained.root, "runs", "list", "--json").stdout)
    assert [entry["run"] for entry in listed["runs"]] == [trained.result["run"]]


def test_a_checkout_that_is_not_installed_trains_from_any_folder(trained: Trained):
    assert trained.run.status.state == "done"
    assert not list(trained.started_in.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--strength", "-1"], "`strength`"),
        (["--strength", "many"], "`strength`"),
        (["--tasks", "seg,colour"], "colour"),
        (["--dataset", "mnist"], "mnist"),
        (["--epochs", "0"], "`epochs`"),
        (["--dataset", "digits", "--size", "32"], "`size`"),
        (["--widths", "8,8", "--blocks", "1"], "`blocks`"),
        (["--train-length", "4"], "`batch_size`"),
        (["--colour", "red"], "--colour"),
        (["--resume", "../../etc"], "../../etc"),
        (["--before-removal"], "--resume RUN"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(runs_root: Path, arguments: list[str], says: str):
    done = winnow_here("train", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not runs_root.exists()


@pytest.mark.usefixtures("works_here")
def test_a_run_imitates_another(trained: Trained, runs_root: Path):
    shutil.copytree(trained.root, runs_root)
    asked = ["train", "--dataset", "digits", "--widths", "8", "--blocks", "1", "--epochs", "1", "--name", "student"]
    done = winnow_here(*asked, "--teacher", "tiny", "--tasks", "digit,ink", "--json")
    assert done.returncode == 0, done.stderr
    start = Run.open(runs_root / json.loads(done.stdout)["run"]).spec.start
    assert (start.teacher, start.distillation) == (newest_source(trained.run.path), 0.5)
    rooms = winnow_here("train", "--train-length", "16", "--epochs", "1", "--teacher", "tiny", "--json")
    assert rooms.returncode == 1
    assert "`teacher` must" in json.loads(rooms.stdout)["message"]
    alone = winnow_here(*asked, "--distillation", "0.5")
    assert (alone.returncode, alone.stderr.count("--teacher RUN")) == (2, 1)


def test_a_process_ends_with_the_code_of_a_wrong_request(runs_root: Path):
    done = winnow(runs_root, "train", "--strength", "-1")
    assert (done.returncode, done.stdout, len(done.stderr.strip().splitlines())) == (2, "", 1)
    assert not runs_root.exists()


def test_help_names_units_and_defaults():
    text = " ".join(winnow_here("train", "--help").stdout.split())
    assert "image side in pixels (scenes, motorcycle, planted only) [default: 64]" in text
    assert "--strength" in text


def test_help_lists_the_options_by_section():
    lines = winnow_here("train", "--help").stdout.splitlines()
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options:", "Data:", "Network:", "Penalty:", "Balancing:", "Optimiser:"]


def test_runs_verify_says_which_file_is_damaged(trained: Trained, runs_root: Path):
    shutil.copytree(trained.root, runs_root)
    assert winnow_here("runs", "verify", "tiny").returncode == 0
    checkpoint = sorted(runs_root.glob("*/weights/*.safetensors"))[-1]
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1  # one flipped bit
    checkpoint.write_bytes(content)
    done = winnow_here("runs", "verify", "tiny")
    assert done.returncode == 1
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("DAMAGED")] == [
        f"weights/{checkpoint.name}"
    ]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_dashboards_server_ends_with_its_command(runs_root: Path, ending: signal.Signals):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # what a terminal gives it
    command = [sys.executable, "-c", f"{heard}; {START}", "dashboard", "--no-browser"]
    environment = {**os.environ, "WINNOW_RUNS": str(runs_root)}
    served = subprocess.Popen([*command, "--port", str(port)], env=environment, stdout=subprocess.DEVNULL)
    try:
        assert answers(port, True)
    finally:
        served.send_signal(ending)
    assert served.wait(timeout=30) == 0
    assert answers(port, False)


def answers(port: int, expected: bool) -> bool:
    """Return whether the port comes to answer, or to be silent, within half a minute."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with socket.socket() as client:
            if (client.connect_ex(("127.0.0.1", port)) == 0) is expected:
                return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--resume", ""], "a value must follow `--resume`, got an empty one"),
        (["study", "--resume", ""], "a value must follow `--resume`, got an empty one"),
        (["train", "--tasks", " "], "a value must follow `--tasks`, got an empty one"),
        (["path", "--show="], "`--show` must have a value, got an empty one"),
        (["prune", ""], "a value must follow `prune`, got an empty one"),
    ],
)
def test_an_empty_value_does_not_count_as_none(runs_root: Path, arguments: list[str], said: str) -> None:
    """A shell's variable that is not set: without this, `study --resume ""` began another study."""
    done = winnow_here(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"winnow: {said}. Give one, or leave the option out.\n"
    assert not runs_root.exists() or not list(runs_root.iterdir())


@pytest.mark.parametrize("empty", [["--name", ""], ["--note="]])
def test_an_empty_name_of_a_channel_is_one(runs_root: Path, empty: list[str]) -> None:
    """It removes the name: what is refused here is the run, which is not there."""
    done = winnow_here("runs", "name-channel", "gone", "stem", "0", *empty)
    assert done.returncode == 2
    assert "`run` must be the id or name of a run" in done.stderr
