"""Pages follow the folder, and what a user does to a figure outlives its data."""

from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import PATIENCE, SIZE, Faults, keyed, settled
from tests.browser.serving import serving
from tests.dashboard.making import write_run
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run

pytestmark = pytest.mark.browser
GRAPH = ".st-key-losses_and_metrics_figure .js-plotly-plot"
RANGE = f"() => document.querySelector('{GRAPH}')?._fullLayout?.xaxis?.range"
POINTS = f"() => document.querySelector('{GRAPH}')?.calcdata?.[0]?.length ?? 0"


def test_a_run_appears_on_an_idle_page_and_its_zoom_outlives_new_data(browser: Browser, tmp_path: Path) -> None:
    runs, faults = tmp_path / "runs", Faults()
    context = browser.new_context(viewport=SIZE)
    faults.watch(context)
    page = context.new_page()
    with serving(runs) as address:
        page.goto(address)
        expect(page.get_by_role("button", name="Start the demo run")).to_be_visible()
        run = write_run(runs)
        expect(page.locator("[data-testid=stDataFrame] canvas").first).to_be_visible(timeout=PATIENCE)
        with _works(run):
            page.goto(f"{address}/train?run={run.id}")
            zoomed = _zoom(page)
            before = page.evaluate(POINTS)
            write_events(run.path / "events.jsonl", [Event(0.0, 3, 31, "depth", "train", "loss", 0.1)])
            page.wait_for_function(f"before => ({POINTS})() > before", arg=before)
            page.wait_for_function(f"range => JSON.stringify(({RANGE})()) === JSON.stringify(range)", arg=zoomed)
            page.evaluate(f"document.querySelector('{GRAPH} .modebar-btn[data-val=reset]').click()")
            page.wait_for_function(f"range => ({RANGE})()[1] > range[1] + 0.5", arg=zoomed)
        context.close()  # before its server ends
    assert faults == []


def _works(run: Run) -> FileLock:
    """Hold the lock of a run as its worker does, and say that it trains."""
    own = psutil.Process()
    known = {"state": "running", "phase": "training", "finished": None, "pid": own.pid}
    status = run.recorded_status().model_copy(update={**known, "pid_created": own.create_time()})
    replace(run.path / "status.json", status.model_dump_json().encode())
    return run.lock()


def _zoom(page: Page) -> list[float]:
    """Draw a box over the middle of the first plot; return the range that is then shown."""
    plot = page.locator(f"{GRAPH} .nsewdrag").first
    expect(plot).to_be_visible()
    settled(page)
    expect(keyed(page, "stop")).to_be_visible()
    whole = page.evaluate(RANGE)
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_function(f"range => ({RANGE})()[1] < range[1] - 0.5", arg=whole)
    found: list[float] = page.evaluate(RANGE)
    return found
