"""Every page and every view, in light and in dark: all that is asked for is drawn, and nothing raises."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import SIZE, Faults, settled
from tests.browser.serving import serving
from tests.dashboard.making import write_run

pytestmark = pytest.mark.browser
VIEWS = {
    "Curves": ".js-plotly-plot .scatterlayer .trace",
    "Survival map": "canvas[aria-roledescription='survival map']",
    "Norms by layer": ".js-plotly-plot .scatterlayer .trace",
    "Log": "[data-testid=stCode]",
}


def test_no_page_raises_in_light_or_dark(browser: Browser, tmp_path: Path) -> None:
    runs, faults, pictures = tmp_path / "runs", Faults(), tmp_path / "pictures"
    for epochs, strength in ((3, 1e-3), (5, 1e-2)):
        write_run(runs, epochs, penalty={"strength": strength})
    with serving(runs) as address:
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport=SIZE, color_scheme=scheme)
            faults.watch(context)
            _walk(context.new_page(), address, pictures / scheme)
            context.close()
    assert faults == []
    assert len(list(pictures.glob("*/*.png"))) == 2 * 6


def _walk(page: Page, address: str, pictures: Path) -> None:
    page.goto(address)
    _seen(page, "[data-testid=stDataFrame] canvas", pictures / "runs.png")
    _visit(page, "Train")
    for view, drawn in VIEWS.items():
        page.get_by_role("tab", name=view).click()
        _seen(page, drawn, pictures / f"{view.lower().replace(' ', '-')}.png")
    _visit(page, "New run")
    _seen(page, ".st-key-new_submit button", pictures / "new.png")


def _visit(page: Page, title: str) -> None:
    page.get_by_test_id("stTopNavLink").filter(has_text=title).click()


def _seen(page: Page, drawn: str, picture: Path) -> None:
    """Wait for what the view is for, check that nothing raised, and keep a picture."""
    expect(page.locator(drawn).first).to_be_visible()
    settled(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    page.screenshot(path=picture, full_page=True)
