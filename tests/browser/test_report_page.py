"""The report from the page: pinned, built as a job, downloaded, shown as slides; pictures of figures; the keyboard."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.driving import SIZE, Faults, keyed, serious, settled
from tests.browser.serving import serving
from tests.dashboard.making import write_checkpoint, write_run, write_tables
from winnow.dashboard.frames.chosen import report_choice
from winnow.engine.runs.run import Run

pytestmark = pytest.mark.browser
MAP = "canvas[aria-roledescription='survival map']"
PRINT = "window.print = () => { top.printedAs = document.title }"  # no dialog in a test
FOCUSED = """() => { let one = document.activeElement; while (one?.shadowRoot?.activeElement) one =
  one.shadowRoot.activeElement; return [one?.getAttribute("aria-roledescription"), one?.textContent] }"""


def test_a_figure_is_pinned_built_into_the_report_and_presented(browser: Browser, tmp_path: Path) -> None:
    runs, faults = tmp_path / "runs", Faults()
    run = write_checkpoint(write_tables(write_run(runs), nearly=(1,)))
    with serving(runs) as address:
        for scheme in ("dark", "light"):
            context = browser.new_context(viewport=SIZE, color_scheme=scheme)
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            context.add_init_script(PRINT)
            faults.watch(context)
            page = context.new_page()
            page.goto(f"{address}/groups?run={run.id}")
            expect(page.locator(MAP).first).to_be_visible()
            settled(page)
            if scheme == "light":
                _reached_by_keys(page)
            _pictures(page, run, tmp_path)
            if scheme == "light":
                _built(page, address, run)
                _presented(page, address, run)
            context.close()
    assert faults == []


def _reached_by_keys(page: Page) -> None:
    """Links among the first five steps of Tab lead to the map: to the page, and to its figure."""
    for _ in range(4):
        page.keyboard.press("Tab")
        if str(page.evaluate(FOCUSED)[1]).startswith("Skip to"):
            page.keyboard.press("Enter")
        if page.evaluate(FOCUSED)[0] == "survival map":
            return
    raise AssertionError(page.evaluate(FOCUSED))


def _menu(page: Page, figure: str, item: str) -> Locator:
    menu = keyed(page, f"{figure}_menu")
    menu.get_by_role("button", name="Export or pin").click()
    return menu.get_by_role("menuitem", name=item)


def _pictures(page: Page, run: Run, folder: Path) -> None:
    """Each picture is white, holds its title and source, and is named after run and figure."""
    for item, end in (("SVG", "svg"), ("PNG", "png")):
        with page.expect_download() as got:
            _menu(page, "survival_map", item).click()
        assert got.value.suggested_filename == f"{run.id}-survival_map.{end}"
        got.value.save_as(folder / f"map.{end}")
    svg = (folder / "map.svg").read_text()
    assert "of the groups are zero" in svg
    assert run.id in svg
    assert "Click" not in svg
    assert not re.search(r"(href|src)=.http", svg)
    width = int(float(re.search(r'width="([\d.]+)"', svg)[1]))
    assert int.from_bytes((folder / "map.png").read_bytes()[16:20], "big") == 2 * width
    _menu(page, "survival_map", "PDF").click()
    page.wait_for_function(f"window.printedAs === '{run.id}-survival_map'")
    _menu(page, "survival_map", "Copy").click()
    expect(keyed(page, "survival_map_menu").locator(".told")).to_have_text("Copied.")
    if "pinned" not in (keyed(page, "survival_map_menu").locator(".open").get_attribute("class") or ""):
        _menu(page, "survival_map", "Add to the report").click()
    expect(keyed(page, "survival_map_menu").locator(".open.pinned")).to_be_visible()
    (pin,) = report_choice(run).pins
    assert pin.startswith("pin-")
    page.get_by_role("tab", name="Layers").click()
    expect(page.locator(".js-plotly-plot .barlayer .trace").first).to_be_visible()
    with page.expect_download() as got:
        _menu(page, "layer_counts", "SVG").click()
    got.value.save_as(folder / "plot.svg")
    plot = (folder / "plot.svg").read_text()
    assert 'fill="#ffffff"' in plot
    assert "rgb(250, 250, 250)" not in plot  # no word in the colour of the dark page
    assert re.search(r'textLength="[\d.]+"[^>]*>[^<]*stem', plot)  # as wide as where its font is
    assert not re.search(r"url\([^#)]*http", plot)


def _built(page: Page, address: str, run: Run) -> None:
    page.goto(f"{address}/report?run={run.id}")
    settled(page)
    assert serious(page) == []
    keyed(page, "build").get_by_role("button").click()
    expect(keyed(page, "download_html")).to_be_visible()
    settled(page)
    expect(page.get_by_text("11 sections, 1 pinned figure")).to_be_visible()
    with page.expect_download() as got:
        keyed(page, "download_html").get_by_role("button").click()
    assert got.value.suggested_filename == f"{run.id}-report.html"
    assert b"Pinned" in Path(got.value.path()).read_bytes()
    assert serious(page) == []


def _presented(page: Page, address: str, run: Run) -> None:
    """The slides of the page's section fill the window; the arrows lead on, Escape leads back to the page."""
    page.goto(f"{address}/groups?run={run.id}&present=1")
    slides = page.frame_locator("iframe")
    now = slides.locator(".slide.now")
    expect(now.locator(".question")).to_have_text("How sparse, and where?")
    expect(page.get_by_role("link", name="Train")).to_have_count(0)
    number = slides.locator("#number").inner_text()
    page.keyboard.press("ArrowRight")
    expect(slides.locator("#number")).not_to_have_text(number)
    page.keyboard.press("Escape")
    expect(page.locator(MAP).first).to_be_visible()
    assert "present" not in page.url
