"""Tasks and Explain, clicked: a point, a bar, a way from one to the other; nothing raises, in light or in dark."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import SIZE, Faults, click_point, settled, visit
from tests.browser.serving import serving
from tests.dashboard.making import write_checkpoint, write_run
from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.making_maps import write_maps

pytestmark = pytest.mark.browser
USES = {"Layers": 2, "Affinity": 1, "Heads": 1}  # and how many figures each holds
TRUSTS = {"Against ablation": 2, "Shuffled weights": 1}
OF_THE_CHANNEL = 2


def test_a_click_selects_a_channel_for_both_pages(browser: Browser, tmp_path: Path) -> None:
    runs, faults = tmp_path / "runs", Faults()
    run = write_run(runs, tasks=["seg", "depth", "normals"])
    write_checkpoint(run)
    write_maps(write_explanation(run, methods=["taylor", "conductance"]))
    with serving(runs) as address:
        for scheme, walk in (("light", _both), ("dark", _once)):
            context = browser.new_context(viewport=SIZE, color_scheme=scheme)
            faults.watch(context)
            page = context.new_page()
            page.goto(f"{address}/tasks?drawn_as=triangle")
            walk(page)
            context.close()
    assert faults == []


def _both(page: Page) -> None:
    _tasks(page)
    visit(page, "Explain")
    _explain(page)


def _once(page: Page) -> None:
    """In dark, both pages are only looked at."""
    expect(page.locator(".ternarylayer .trace").first).to_be_visible()
    visit(page, "Explain")
    expect(page.locator(".barlayer .point path").first).to_be_visible()
    settled(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def _tasks(page: Page) -> None:
    """A click on a point of the triangle selects its channel, which stays selected in every view."""
    click_point(page, page.locator(".ternarylayer .trace").nth(1).locator("path.point").first)
    expect(page.get_by_text("specific to seg")).to_be_visible()
    expect(page).to_have_url(re.compile(r"layer=.+&channel=1"))
    for use, figures in USES.items():
        page.get_by_role("tab", name=use).click()
        _drawn(page, figures)


def _explain(page: Page) -> None:
    """The channel is selected here too; a click on a bar selects another one; every task's metric moves with it."""
    expect(page.get_by_text("specific to seg")).to_be_visible()
    _drawn(page, 1)
    page.get_by_role("radio", name="depth").click()
    expect(page).to_have_url(re.compile("task=depth"))
    settled(page)
    click_point(page, page.locator(".barlayer").first.locator(".point path").first)
    expect(page.get_by_text(re.compile("channel 0: shared by several tasks"))).to_be_visible()
    expect(page.get_by_test_id("stMetric")).to_have_count(3)
    for trust, figures in TRUSTS.items():
        page.get_by_role("tab", name=trust).click()
        _drawn(page, figures)
    page.get_by_role("tab", name="Images", exact=True).click()
    expect(page.get_by_text("depth: prediction, 2 to 3 m")).to_be_visible()
    expect(page.locator("[data-testid=stImage] img:visible")).to_have_count(5)


def _drawn(page: Page, figures: int) -> None:
    expect(page.locator(".js-plotly-plot:visible")).to_have_count(figures + OF_THE_CHANNEL)
    settled(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)
