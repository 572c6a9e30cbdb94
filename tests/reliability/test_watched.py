"""The real server: killed while a run goes on that its page has started, and watched by eight browsers at once."""

import asyncio
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser.driving import settled
from tests.reliability.killing import BASE
from tests.reliability.test_server import command
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.train import parse

pytestmark = pytest.mark.study
VIEWERS = 8
PAIRS, ALONE, WATCHED = 5, 6.0, 15.0  # s: how often, and for how long, a run is left alone and watched
PATIENCE = 300.0  # s


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def servers(process: psutil.Process, run: Run) -> list[psutil.Process]:
    """Return the processes of the dashboard, without the worker that it started."""
    family = [process, *process.children(recursive=True)]
    return [own for own in family if str(run.path) not in own.cmdline()]


@pytest.mark.browser
def test_a_run_outlives_its_closed_tab_and_its_killed_server(runs_root: Path, browser: Any):
    run = create(parse({**BASE, "name": "outlives", "epochs": 5000}))
    context = browser.new_context()
    context.set_default_timeout(1000 * PATIENCE)
    with command(runs_root) as (address, server):
        page = context.new_page()
        page.goto(f"{address}/train?run={run.id}")
        page.get_by_role("button", name="Start training").click()
        until(lambda: run.recorded_status().epoch >= 1)
        page.reload()
        ours = page.get_by_test_id("stMainBlockContainer")  # Streamlit has a Stop of its own while it draws
        ours.get_by_role("button", name="Stop", exact=True).wait_for()
        page.close()
        for own in servers(psutil.Process(server.pid), run):
            os.kill(own.pid, signal.SIGKILL)
        server.wait()
    before = run.recorded_status()
    assert before.state == "running"
    until(lambda: run.recorded_status().epoch > before.epoch or run.status.state not in LIVE)
    with command(runs_root) as (address, _):
        page = context.new_page()
        page.goto(f"{address}/train?run={run.id}")
        settled(page)
        ours = page.get_by_test_id("stMainBlockContainer")
        ours.get_by_role("button", name="Stop", exact=True).click()
        until(lambda: run.status.state not in LIVE)
        page.get_by_role("button", name="Resume training").wait_for()
    context.close()
    assert run.status.state == "stopped"
    assert run.status.epoch > before.epoch
    sys.stdout.write("\ntab closed, server killed: the run went on, and the page of a new server stopped it\n")


class Crowd:
    """Browsers that each draw the page of a run once a second while they watch, or as soon as the last drawing is done.

    How often it was drawn is counted.
    """

    def __init__(self, address: str, run: Run, page: str) -> None:
        self._uri = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
        self._origin, self._query, self._page = address, f"run={run.id}", page
        self.watching, self.drawn = threading.Event(), 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))
        self._thread.start()

    def close(self) -> None:
        """Send all browsers home."""
        self._over.set()
        self._thread.join()

    async def _all(self) -> None:
        await asyncio.gather(*(self._one() for _ in range(VIEWERS)))

    async def _one(self) -> None:
        options: dict[str, Any] = {"subprotocols": ["streamlit"], "max_size": None, "origin": self._origin}
        async with websockets.connect(self._uri, open_timeout=PATIENCE, ping_timeout=None, **options) as socket:
            while not self._over.is_set():
                if self.watching.is_set():
                    ask = BackMsg()
                    ask.rerun_script.query_string, ask.rerun_script.page_name = self._query, self._page
                    await socket.send(ask.SerializeToString())
                    await asyncio.wait_for(self._finished(socket), PATIENCE)
                    self.drawn += 1
                await asyncio.sleep(1)

    async def _finished(self, socket: Any) -> None:
        async for content in socket:
            message = ForwardMsg()
            message.ParseFromString(content)
            if message.WhichOneof("type") == "script_finished":
                return


def used(processes: list[psutil.Process]) -> float:
    """Return the CPU time of some processes [s]."""
    return sum(sum(own.cpu_times()[:2]) for own in processes)


@contextmanager
def live(root: Path) -> Iterator[tuple[Run, psutil.Process]]:
    """Train a run that takes long; yield it and its worker."""
    network = {"widths": (16, 32), "blocks": (1, 1)}
    run = create(parse({**BASE, "name": "live", "network": network, "batch_size": 128, "epochs": 5000}), root)
    launch.start(run)
    try:
        until(lambda: run.recorded_status().epoch >= 2)
        pid = run.recorded_status().pid
        assert pid is not None
        yield run, psutil.Process(pid)
    finally:
        launch.kill(run)


def test_eight_viewers_slow_no_training_and_take_no_more_memory(runs_root: Path):
    """Pace is in steps per CPU second of the worker, alone and watched in turns: others may use the machine."""
    with live(runs_root) as (run, worker), command(runs_root) as (address, server):
        family = servers(psutil.Process(server.pid), run)

        def pace(seconds: float) -> float:
            step, cpu = run.recorded_status().step, used([worker])
            time.sleep(seconds)
            return (run.recorded_status().step - step) / (used([worker]) - cpu)

        def held() -> float:
            return sum(own.memory_info().rss for own in family) / 2**20

        with closing(Crowd(address, run, "train")) as crowd:
            crowd.watching.set()
            until(lambda: crowd.drawn >= 5 * VIEWERS)
            first, log, drawn, ratios, busy = held(), size(run), crowd.drawn, [], 0.0
            for _ in range(PAIRS):
                crowd.watching.clear()
                time.sleep(2)
                alone, cpu = pace(ALONE), used(family)
                crowd.watching.set()
                ratios.append(pace(WATCHED) / alone)
                busy += used(family) - cpu
            last, drawn, grown = held(), crowd.drawn - drawn, size(run) - log
    slower = 100 * (1 - statistics.median(ratios))
    each = 1000 * busy / max(drawn, 1)
    sys.stdout.write(
        f"\n{VIEWERS} viewers at 1 Hz: {drawn} times drawn, {each:.0f} ms of the server's CPU each; steps per CPU "
        f"second {slower:+.1f} % lower; server {first:.0f} -> {last:.0f} MiB while the log grew by {grown:.1f} MiB\n"
    )
    assert slower <= 5
    assert last <= 1.05 * first + 4 * grown


def size(run: Run) -> float:
    """Return how large the log of a run is [MiB]."""
    return (run.path / "events.jsonl").stat().st_size / 2**20
