"""The command line as a user meets it: real processes, exit codes, one line for a wrong request."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = ["--dataset", "digits", "--widths", "8,8", "--blocks", "1,1", "--head-width", "8", "--threads", "1"]


def winnow(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from engine.cli import main; main()", *arguments]
    environment = {**os.environ, "WINNOW_RUNS": str(root)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_train_prints_one_json_object_at_the_end(runs_root: Path):
    done = winnow(runs_root, "train", *SMALL, "--epochs", "1", "--name", "tiny", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["state"] == "done"
    assert set(result["metrics"]) == {"digit", "parity", "ink"}
    listed = json.loads(winnow(runs_root, "runs", "list", "--json").stdout)
    assert [entry["run"] for entry in listed["runs"]] == [result["run"]]


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
    done = winnow(runs_root, "train", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not runs_root.exists()


def test_help_names_units_and_defaults(runs_root: Path):
    text = " ".join(winnow(runs_root, "train", "--help").stdout.split())
    assert "image side in pixels [default: 64]" in text
    assert "--strength" in text


def test_help_lists_the_options_by_section(runs_root: Path):
    lines = winnow(runs_root, "train", "--help").stdout.splitlines()
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options:", "Data:", "Network:", "Penalty:", "Balancing:", "Optimiser:"]


def test_runs_verify_says_which_file_is_damaged(runs_root: Path):
    winnow(runs_root, "train", *SMALL, "--epochs", "1", "--name", "tiny", "--json")
    assert winnow(runs_root, "runs", "verify", "tiny").returncode == 0
    (checkpoint,) = runs_root.glob("*/weights/*.safetensors")
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1  # one flipped bit
    checkpoint.write_bytes(content)
    done = winnow(runs_root, "runs", "verify", "tiny")
    assert done.returncode == 1
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("DAMAGED")] == [
        f"weights/{checkpoint.name}"
    ]


def test_a_checkout_that_is_not_installed_trains_from_any_folder(runs_root: Path, tmp_path: Path):
    checkout = Path(__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(checkout)!r}); from engine.cli import main; main()"
    command = [sys.executable, "-c", code, "train", *SMALL, "--epochs", "1", "--json"]
    environment = {**os.environ, "WINNOW_RUNS": str(runs_root), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "done", done.stderr


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_dashboards_server_ends_with_its_command(runs_root: Path, ending: signal.Signals):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from engine.cli import main; main()", "dashboard", "--no-browser"]
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
