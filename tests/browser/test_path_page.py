"""The scrubber of a path: slider, charts and map move in the browser, and the server hears nothing of it.

On the way there, the order of the pages; on the way back, two runs of the path beside one another.
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg

from tests.browser.driving import SIZE, Faults, keyed, settled, visit
from tests.browser.serving import serving
from tests.dashboard.making_studies import write_path
from winnow.engine.runs.norm_log import Layer

pytestmark = pytest.mark.browser
LAYERS = tuple(Layer(f"layer {place}", 64, 9) for place in range(16))
PAGES = ["Runs", "Train", "Path", "Groups", "Tasks", "Explain", "Prune", "Compare", "Data", "Report", "New run"]
PAIR = "canvas[aria-roledescription='map of a pair']"
MAP = "canvas[aria-roledescription='map of a path']"
PIXELS = """
canvas => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
  return new Uint32Array(data.buffer).reduce((sum, pixel, at) => (sum + pixel * (at % 97)) % 1e9, 0)
}
"""
SCRUB = """
async slider => {
  const times = []
  for (let value = 0; value <= 1000; value += 10) {
    slider.value = value
    slider.dispatchEvent(new Event("input"))
    const began = await new Promise(requestAnimationFrame)
    times.push(performance.now() - began)
  }
  return times
}
"""


def test_scrubbing_a_path_asks_the_server_for_nothing(browser: Browser, tmp_path: Path) -> None:
    runs, faults = tmp_path / "runs", Faults()
    study = write_path(runs, LAYERS)
    with serving(runs) as address:
        context = browser.new_context(viewport=SIZE)
        faults.watch(context)
        page = context.new_page()
        heard: list[str] = []
        page.on("request", lambda request: heard.append(request.url))
        page.on("websocket", lambda socket: socket.on("framesent", lambda sent: _note(heard, socket.url, sent)))
        page.goto(f"{address}/path?study={study.id}")
        slider = page.locator(".scrubber input[type=range]")
        expect(slider).to_be_visible()
        settled(page)
        links = keyed(page, "navigation").get_by_role("link").all()
        assert [link.inner_text().split("\n")[-1] for link in links] == PAGES
        _scrub(page, heard)
        _ask(page)
        _compare(page, heard)
        context.close()
    assert faults == []


def _note(heard: list[str], url: str, sent: bytes | str) -> None:
    """Note what is sent to the server, but for the looks of an idle page that come by themselves."""
    message = BackMsg.FromString(sent) if isinstance(sent, bytes) else None
    if message is None or not message.rerun_script.is_auto_rerun:
        heard.append(url)


def _scrub(page: Page, heard: list[str]) -> None:
    """The whole way from dense to the sparsest point and back by keys; what is shown was trained."""
    slider, canvas, level = (page.locator(name) for name in (".scrubber input", MAP, ".scrubber .level"))
    dense = canvas.evaluate(PIXELS)
    before = len(heard)
    expect(level).to_have_text("dense")
    slider.evaluate(SCRUB)
    expect(level).to_have_text("80 %")
    sparse = canvas.evaluate(PIXELS)
    assert sparse != dense
    slider.fill("500")  # 40 % of 80 %: halfway, where 40 % was trained
    expect(page.locator(".scrubber .asked")).to_be_empty()
    slider.fill("560")
    expect(level).to_have_text("40 %")
    expect(page.locator(".scrubber .asked")).to_have_text("nearest computed to 44.8 %")
    slider.press("ArrowRight")
    expect(level).to_have_text("60 %")
    expect(page.locator(".scrubber .panel").first).to_contain_text("groups 60.0")
    slider.press("Home")
    expect(level).to_have_text("dense")
    assert canvas.evaluate(PIXELS) == dense
    assert len(heard) == before
    canvas.click(position={"x": 90, "y": 8})
    expect(page.locator(".scrubber .along")).to_contain_text(
        re.compile("layer 0, input channel .*(dead from|to the end)")
    )
    expect(page).to_have_url(re.compile(r"layer=layer\+0&channel=\d+"))  # what is selected is, on every page


def _ask(page: Page) -> None:
    """Only what needs the server is asked of it: a run at a place that was not trained, and the run of a point."""
    slider = page.locator(".scrubber input")
    slider.fill("560")
    page.get_by_role("button", name="Train here").click()
    expect(page.get_by_text("Train at 44.8 %")).to_be_visible()
    expect(slider).to_have_value("560")
    page.get_by_role("button", name="Open this run").click()
    expect(page).to_have_url(re.compile(r"/train\?.*run=\d+-\d+-made-up-sparse-target-40"))
    settled(page)


def _compare(page: Page, heard: list[str]) -> None:
    """The cell of the path is framed in all three maps; so is one that is pointed at, or clicked instead."""
    visit(page, "Compare")
    expect(page).to_have_url(re.compile(r"run=\d+-\d+-made-up-sparse-target-40.*&other="))
    expect(page.locator(PAIR)).to_have_count(3)
    settled(page)
    expect(page.locator(".pair .frame.selected:visible")).to_have_count(3)
    before = len(heard)
    page.locator(PAIR).nth(1).hover(position={"x": 120, "y": 30})
    expect(page.locator(".pair .frame.hovered:visible")).to_have_count(3)
    assert len(heard) == before
    page.locator(PAIR).nth(1).click(position={"x": 120, "y": 30})
    expect(page.locator(".pair .frame.selected:visible")).to_have_count(3)
    expect(page.locator(".pair .both")).to_contain_text(re.compile("layer 1, input channel .*: A .*; B "))
    expect(page).to_have_url(re.compile(r"layer=layer\+1"))
