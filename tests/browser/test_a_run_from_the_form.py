"""What a newcomer does: start a run in the browser, drive it, leave, come back, look closer, stop it."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Position, expect

from tests.browser.driving import SIZE, Faults, fill, keyed, settled, visit
from tests.browser.serving import serving
from winnow.engine.runs.run import Run, list_runs

pytestmark = pytest.mark.browser
WITHIN = 180.0  # s, for what the worker does: it imports torch while the browser draws


def test_a_run_is_started_driven_left_and_stopped_in_the_browser(browser: Browser, tmp_path: Path) -> None:
    runs, faults = tmp_path / "runs", Faults()
    with serving(runs) as address:
        context = browser.new_context(viewport=SIZE)
        faults.watch(context)
        try:
            page = context.new_page()
            _start(page, address)
            (run,) = list_runs(runs)
            _progresses(page)
            _change_the_strength(page, run)
            link = page.url
            page.close()
            _goes_on(run)
            page = _come_back(context, link, run)
            with _rest(run):
                _walk_the_map(page)
            _stop(page, run)
        finally:
            context.close()
            _end_workers(runs)
    assert faults == []


def _start(page: Page, address: str) -> None:
    """From the empty folder to a run on the smallest data, long enough to outlive the test."""
    page.goto(address)
    expect(page.get_by_role("button", name="Start the demo run")).to_be_visible()
    visit(page, "New run")
    keyed(page, "new_dataset").locator("input").click()
    page.get_by_role("option", name="digits").click()
    expect(page.get_by_text("handwritten digits")).to_be_visible()
    page.get_by_text("Advanced").click()
    described = {"name": "from the form", "epochs": "5000", "widths": "8, 16", "blocks": "1, 1", "threads": "1"}
    settled(page)
    for name, value in described.items():
        fill(page, f"new_{name}", value)
    page.get_by_role("button", name="Start run").click()
    expect(keyed(page, "stop")).to_be_visible()


def _progresses(page: Page) -> None:
    """The epoch on the page rises, and the figures hold curves."""
    said = page.get_by_text(re.compile(r"training: epoch \d+ of 5000"))
    expect(said).to_be_visible(timeout=1000 * WITHIN)
    first = _number(said.inner_text())
    _until(lambda: _number(said.inner_text()) > first, "the epoch on the page rises")
    expect(page.locator(".js-plotly-plot .scatterlayer .trace").first).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(3)


def _change_the_strength(page: Page, run: Run) -> None:
    """A new strength is recorded as an event, and marked where it holds from."""
    fill(page, "strength_input", "2.5e-3")
    keyed(page, "apply").get_by_role("button").click()
    _until(lambda: 2.5e-3 in _changes(run), "the worker records the new strength")
    expect(page.get_by_text("changed to 2.5e-3 at epoch")).to_be_visible()
    marks = page.locator(".js-plotly-plot").get_by_text("λ = 2.5e-3")
    expect(marks.filter(visible=True).first).to_be_visible()  # while new data is drawn, the old figure is there, too


def _changes(run: Run) -> list[float]:
    events = run.events()
    return events.loc[(events["split"] == "control") & (events["quantity"] == "strength"), "value"].tolist()


def _goes_on(run: Run) -> None:
    """With no page open, the run trains."""
    step = run.status.step
    _until(lambda: run.status.step > step + 5, "the run goes on without a page")
    assert run.status.state == "running"


def _come_back(context: BrowserContext, link: str, run: Run) -> Page:
    """The copied link shows the same run, live."""
    page = context.new_page()
    page.goto(link)
    expect(page.get_by_text(re.compile(r"training: epoch \d+ of 5000"))).to_be_visible()
    expect(page.get_by_text("from the form", exact=True).first).to_be_visible()
    assert f"run={run.id}" in page.url
    return page


@contextmanager
def _rest(run: Run) -> Iterator[None]:
    """Let the worker rest, which would take a whole core from the browser."""
    worker = psutil.Process(run.recorded_status().pid)
    worker.suspend()
    try:
        yield
    finally:
        worker.resume()


def _walk_the_map(page: Page) -> None:
    """A click on a cell shows that channel's record; the arrow keys lead to its neighbours."""
    settled(page)  # a page that is still drawn may lose a click
    page.get_by_role("tab", name="Survival map").click()
    canvas = page.locator("canvas[aria-roledescription='survival map']")
    layer, channel, at = _a_cell(page, canvas)
    canvas.click(position=at)
    expect(page.get_by_text(f"{layer}, input channel {channel}: ")).to_be_visible()
    canvas.press("ArrowRight")
    expect(page.get_by_text(f"{layer}, input channel {channel + 1}: ")).to_be_visible()
    expect(page.locator(".js-plotly-plot .scatterlayer .trace").first).to_be_visible()
    page.get_by_role("radio", name="epoch of death").click()
    expect(page).to_have_url(re.compile("order=death"))
    page.reload()  # all of it stands in the address
    expect(page.get_by_text(f"{layer}, input channel {channel + 1}: ")).to_be_visible()
    expect(page.get_by_role("radio", name="epoch of death")).to_be_checked()
    expect(page.locator(".map .count")).to_contain_text("alive")  # the reloaded map has its data, and hears keys
    canvas.press("Escape")
    expect(page.get_by_text("Select a channel")).to_be_visible()
    assert "channel=" not in page.url


def _a_cell(page: Page, canvas: Locator) -> tuple[str, int, Position]:
    """Return layer, channel and place of the first cell that the pointer meets in the second row."""
    tip = page.locator(".tip")
    for x in range(80, 400, 6):
        canvas.hover(position={"x": x, "y": 35})
        if found := re.fullmatch(r"(.+)\ninput channel (\d+): .*", tip.inner_text()):
            return found[1], int(found[2]), {"x": x, "y": 35}
    raise AssertionError("there is no cell in the second row of the map")


def _stop(page: Page, run: Run) -> None:
    """Stop ends the run after its step, and the page says so and offers to go on."""
    keyed(page, "stop").get_by_role("button").click()
    expect(page.get_by_role("button", name="Resume training")).to_be_visible()
    assert run.status.state == "stopped"
    assert not run.alive()


def _number(text: str) -> int:
    found = re.search(r"epoch (\d+)", text)
    assert found, text
    return int(found[1])


def _until(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + WITHIN
    while time.monotonic() < until:
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError(f"within {WITHIN:.0f} s: {what}")


def _end_workers(runs: Path) -> None:
    """End what a failed test left at work."""
    for run in list_runs(runs):
        pid = run.recorded_status().pid
        if pid is not None and run.alive() and psutil.pid_exists(pid):
            psutil.Process(pid).kill()
