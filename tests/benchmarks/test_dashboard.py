"""What a visitor waits for: the first useful view of a fresh server, and a rerun of a finished run's page."""

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.browser.driving import chromium
from tests.browser.measure import first_view_seconds
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.train import parse

pytestmark = pytest.mark.bench


@pytest.fixture
def finished(runs_root: Path) -> Run:
    run = create(parse({"name": "digits", "data": {"dataset": "digits"}, "epochs": 5, "penalty": {"target": 50.0}}))
    launch.start(run)
    while run.status.state in LIVE:
        time.sleep(0.2)
    return run


def test_the_first_view_of_a_fresh_server(finished: Run, figure):
    with chromium() as browser:
        seconds = sorted(first_view_seconds(browser, finished.path.parent) for _ in range(3))
    figure("first useful view of a fresh server", f"{seconds[1]:.2f} s (of {seconds})", "≤ 2.5 s")
    assert seconds[1] <= 2.5


@pytest.mark.parametrize("page", ["train", "groups"])
def test_a_rerun_on_a_finished_run(finished: Run, page: str, figure):
    source = f"from winnow.dashboard.pages.{page}.page import page\npage()"
    app = AppTest.from_string(source, default_timeout=60)
    app.query_params["run"] = finished.id
    app.run()
    times = []
    for _ in range(7):
        began = time.perf_counter()
        app.run()
        times.append(time.perf_counter() - began)
    assert not app.exception
    figure(f"rerun of {page} on a finished run", f"{1e3 * sorted(times)[3]:.0f} ms", "≤ 300 ms")
    assert sorted(times)[3] <= 0.3
