"""Every page and every view, in light and in dark: all that is asked for is drawn, and nothing raises."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Position, expect

from tests.browser.driving import SIZE, Faults, serious, settled, visit
from tests.browser.serving import serving
from tests.dashboard.making import write_checkpoint, write_run, write_tables
from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.making_looks import write_look
from tests.dashboard.making_studies import write_path
from tests.dashboard.pruning_making import write_export, write_pruning
from winnow.engine.runs.norm_log import Layer

pytestmark = pytest.mark.browser
VIEWS = {
    "Curves": ".js-plotly-plot .scatterlayer .trace",
    "Tasks": "[data-testid=stAlert]",  # the run has one task
    "Survival map": "canvas[aria-roledescription='survival map']",
    "Norms by layer": ".js-plotly-plot .scatterlayer .trace",
    "Log": "[data-testid=stCode]",
}
PARTS = {
    "Layers": ".js-plotly-plot .barlayer .trace",
    "Over epochs": ".js-plotly-plot .scatterlayer .trace",
    "Firmness": ".js-plotly-plot .barlayer .trace",
}
DETAILS = {
    "Layers": ".js-plotly-plot .barlayer .trace",
    "What if": ".js-plotly-plot .scatterlayer .trace",
    "Reasons": "[data-testid=stDataFrame] canvas",
    "Export": "[data-testid=stDownloadButton]",
}
OTHERS = {
    "Tasks": ".js-plotly-plot",
    "Explain": ".barlayer .point path",
    "Path": "canvas[aria-roledescription='map of a path']",
    "Compare": "canvas[aria-roledescription='map of a pair']",
    "Data": "[data-testid=stImage] img",
    "New run": ".st-key-new_submit button",
}
DATA = {"Targets": ".js-plotly-plot .barlayer .trace", "Findings": "[data-testid=stAlert]"}
MAP = VIEWS["Survival map"]


def test_no_page_raises_in_light_or_dark(browser: Browser, tmp_path: Path) -> None:
    runs, faults, notes = tmp_path / "runs", Faults(), tmp_path / "notes"
    write_path(runs, (Layer("stem", 16, 9), Layer("layer 1", 16, 9)))
    for epochs, strength in ((3, 1e-3), (5, 1e-2)):
        run = write_checkpoint(write_tables(write_run(runs, epochs, penalty={"strength": strength}), nearly=(1,)))
        write_export(run, write_pruning(run, criterion="norm", budget=50, refit_epochs=2))
    write_explanation(run)
    write_look(runs)
    with serving(runs) as address:
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport=SIZE, color_scheme=scheme)
            faults.watch(context)
            (notes / scheme).mkdir(parents=True)
            _walk(context.new_page(), address, notes / scheme)
            context.close()
    assert faults == []
    assert len(list(notes.glob("*/*"))) == 2 * 24


def _walk(page: Page, address: str, notes: Path) -> None:
    page.goto(address)
    _seen(page, "[data-testid=stDataFrame] canvas", notes / "runs")
    visit(page, "Train")
    for view, drawn in VIEWS.items():
        page.get_by_role("tab", name=view).click()
        _seen(page, drawn, notes / f"{view.lower().replace(' ', '-')}")
    _groups(page, notes)
    _prune(page, notes)
    for title, drawn in OTHERS.items():
        visit(page, title)
        _seen(page, drawn, notes / f"page-{title.lower().replace(' ', '-')}")
    visit(page, "Data")
    for view, drawn in DATA.items():
        page.get_by_role("tab", name=view).click()
        _seen(page, drawn, notes / f"data-{view.lower()}")


def _groups(page: Page, notes: Path) -> None:
    """A click on a cell shows its kernel; the channel stays selected in every view and on the way to Train and back."""
    run = page.url.partition("run=")[2].partition("&")[0]
    visit(page, "Groups")
    _seen(page, MAP, notes / "groups")
    assert f"run={run}" in page.url
    page.locator(MAP).first.click(position=_first_cell(page))
    expect(page.get_by_text("stem, input channel 0: alive")).to_be_visible()
    _seen(page, ".js-plotly-plot .heatmaplayer image", notes / "groups-channel")
    for part, drawn in PARTS.items():
        page.get_by_role("tab", name=part).click()
        _seen(page, drawn, notes / f"groups-{part.lower().replace(' ', '-')}")
        expect(page.get_by_text("stem, input channel 0: alive")).to_be_visible()
    visit(page, "Train")
    expect(page).to_have_url(re.compile(f"run={run}.*layer=stem&channel=0"))


def _prune(page: Page, notes: Path) -> None:
    """Before and after, then each view of the second row."""
    visit(page, "Prune")
    expect(page.get_by_text("The smaller network gives the outputs")).to_be_visible()
    _seen(page, ".js-plotly-plot .barlayer .trace", notes / "prune")
    for detail, drawn in DETAILS.items():
        page.get_by_role("tab", name=detail).click()
        _seen(page, drawn, notes / f"prune-{detail.lower().replace(' ', '-')}")


def _first_cell(page: Page) -> Position:
    """Return the place of the first cell of the first row of the map."""
    tip, canvas = page.locator(".tip"), page.locator(MAP).first
    for x in range(20, 400, 6):
        canvas.hover(position={"x": x, "y": 12})
        if "input channel 0" in tip.inner_text():
            return {"x": x, "y": 12}
    raise AssertionError("there is no cell in the first row of the map")


def _seen(page: Page, drawn: str, note: Path) -> None:
    """Wait for what the view is for, check that nothing raised, and note that it was seen."""
    expect(page.locator(drawn).first).to_be_visible()
    settled(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert serious(page, contrast_alone=note.parent.name == "dark") == [], note.name
    note.touch()  # a picture would take a third of a second
