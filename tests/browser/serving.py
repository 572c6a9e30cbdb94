"""The real server of the dashboard, in a process of its own, for as long as a test looks at it."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"
UP_WITHIN = 60.0  # s: a cold start of the server on a busy machine


@contextmanager
def serving(runs: Path, app: Path = APP) -> Iterator[str]:
    """Serve the dashboard of the folder `runs` on a free port of this machine; yield its address once it is up."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}  # what the worker inherits
    with (runs.parent / "server.txt").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "streamlit", "run", str(app), "--server.port", str(port)],
            cwd=app.parent,
            env={**os.environ, **threads, "WINNOW_RUNS": str(runs)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(f"{address}/_stcore/health", server)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    """Return as soon as the server says that it is well."""
    until = time.monotonic() + UP_WITHIN
    while time.monotonic() < until:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with {server.returncode}")
        try:
            with urllib.request.urlopen(address, timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.02)
    raise TimeoutError(f"the server was not up within {UP_WITHIN:.0f} s")
