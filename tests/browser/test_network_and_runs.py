"""The network graph selects a layer and a renamed run has its new name, without a fault."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driving import SIZE, Faults, keyed, serious, settled
from tests.browser.serving import serving
from tests.dashboard.making import write_run, write_tables
from winnow.engine.runs.labels import write_labels

pytestmark = pytest.mark.browser


def test_a_click_on_a_box_selects_its_layer_and_a_run_has_its_new_name(browser: Browser, tmp_path: Path) -> None:
    run = write_tables(write_run(tmp_path / "runs"))
    write_labels(run.path, name="größer & ./x?", star=True, tags=("paper",))
    faults = Faults()
    with serving(tmp_path / "runs") as address:
        context = browser.new_context(viewport=SIZE, color_scheme="dark")
        faults.watch(context)
        page = context.new_page()
        page.goto(f"{address}/groups?run={run.id}&part=Network")
        box = page.locator(".node.linked", has_text="stem")
        expect(box).to_be_visible()
        expect(page.locator(".node")).to_have_count(6)
        box.click()
        expect(page.locator(".node.selected", has_text="stem")).to_be_visible()
        expect(page.get_by_text("stem, input channel 2")).to_be_visible()
        assert "layer=stem" in page.url
        page.locator(".network svg").press("ArrowDown")
        expect(page.locator(".network .said")).to_contain_text("images")
        settled(page)
        assert serious(page) == []
        page.goto(f"{address}/runs")
        expect(keyed(page, "runs_table").locator("canvas").first).to_be_visible()
        expect(page.get_by_text("The sparsest finished one is größer & ./x?")).to_be_visible()
        context.close()
    assert faults == []
