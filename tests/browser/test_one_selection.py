"""One selection for all pages: it goes along everywhere, a click is one history entry, what is gone is said."""

import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Browser, Locator, Page, Position, expect

from tests.browser.driving import SIZE, Faults, keyed, settled, visit
from tests.browser.serving import serving
from tests.dashboard.making import write_checkpoint, write_run, write_tables
from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.making_studies import write_path
from tests.dashboard.pruning_making import write_pruning
from winnow.engine.runs.derived import DerivedJob, derived_jobs
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.study import Study

pytestmark = pytest.mark.browser
OF_A_RUN = ["Train", "Groups", "Tasks", "Explain", "Prune", "Compare"]
TASKS = ["seg", "depth", "normals"]


class World(NamedTuple):
    """A served folder: an older run with all that can be made of one, a newer one, a path, and the server's address."""

    address: str
    older: Run
    newer: Run
    study: Study
    first: DerivedJob  # explanation of the older run, not the newest


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    runs = tmp_path_factory.mktemp("selection") / "runs"
    study = write_path(runs, (Layer("stem", 3, 9), Layer("trunk", 6, 9)), targets=[40])
    older, newer = (_whole(runs, name) for name in ("older", "newer"))
    first = write_explanation(older, layers=["stem"])
    for run in (older, newer):
        write_explanation(run)
        write_pruning(run)
    with serving(runs) as address:
        yield World(address, older, newer, study, first)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a fresh browser, in which nothing may go wrong."""
    context, faults = browser.new_context(viewport=SIZE), Faults()
    faults.watch(context)
    yield context.new_page()
    context.close()
    assert faults == []


def _whole(runs: Path, name: str) -> Run:
    return write_checkpoint(write_tables(write_run(runs, name=name, tasks=TASKS, state="stopped")))


def _said(page: Page) -> dict[str, str]:
    """Return what the address says."""
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def _shows(page: Page, run: Run, title: str) -> None:
    """Expect a page of this run: in its address, in its selector, and not another's."""
    expect(page).to_have_url(re.compile(rf"/{title.lower()}\?(.*&)?run={run.id}"))
    expect(keyed(page, "run").locator("input")).to_have_value(re.compile(run.id))
    settled(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def _tab_to(page: Page, words: str, most: int) -> None:
    """Press Tab until the link of these words has the focus, at most so many times."""
    link = page.get_by_role("link", name=words)
    for _ in range(most):
        page.keyboard.press("Tab")
        if link.evaluate("one => one.getRootNode().activeElement === one"):
            return
    raise AssertionError(f"{words} takes more than {most} stops")


def _row_of(world: World, run: Run) -> int:
    """Return how far down the row of a run stands in the table, in which the runs of a study have none [px]."""
    members = set(world.study.members()["run"])
    listed = [one.id for one in list_runs(world.older.path.parent) if one.id not in members]
    return 37 * (listed.index(run.id) + 1) + 18


def _opens_in_a_tab_of_its_own(page: Page, table: Locator, height: int, run: Run) -> None:
    """A click on the name of a run shows it on Train, and leaves the table as it is."""
    name: Position = {"x": 150, "y": height}
    table.hover(position=name, force=True)  # the table takes a click for one on a link only under a pointer that it saw
    with page.context.expect_page() as opened:
        table.click(position=name, force=True)
    _shows(opened.value, run, "Train")
    opened.value.close()


def _entries(page: Page) -> int:
    found: int = page.evaluate("history.length")
    return found


def _all_pairs(titles: list[str]) -> list[str]:
    """Return a walk that goes from every title to every other exactly once (Hierholzer)."""
    left = {title: [other for other in titles if other != title] for title in titles}
    stack, walk = [titles[0]], []
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            walk.append(stack.pop())
    return walk[::-1]


def test_all_pairs() -> None:
    assert len({*pairwise(_all_pairs(OF_A_RUN))}) == 30


@pytest.mark.parametrize(
    "walk",
    [
        pytest.param([*OF_A_RUN, *OF_A_RUN[-2::-1]], id="there and back"),
        pytest.param(_all_pairs(OF_A_RUN), id="all pairs", marks=pytest.mark.study),
    ],
)
def test_the_chosen_run_goes_from_page_to_page_with_one_entry_a_click(
    world: World, page: Page, walk: list[str]
) -> None:
    page.goto(f"{world.address}/train?run={world.older.id}")
    _shows(page, world.older, walk[0])
    visited = [page.url]
    for title in walk[1:]:
        before = _entries(page)
        visit(page, title)
        _shows(page, world.older, title)
        assert _entries(page) in (before + 1, 50), (title, page.url)  # a browser keeps fifty
        visited.append(page.url)
    for place in (-2, -3, -4):
        page.go_back()
        expect(page).to_have_url(visited[place])
    for place in (-3, -2, -1):
        page.go_forward()
        expect(page).to_have_url(visited[place])
    _shows(page, world.older, walk[-1])


def test_steps_through_the_history_faster_than_pages_are_drawn_lose_no_entry(world: World, page: Page) -> None:
    newest = list_runs(world.older.path.parent)[0]
    page.goto(f"{world.address}/train")  # the page completes it
    _shows(page, newest, "Train")
    assert _entries(page) == 2  # the blank page and this one
    for title in ("Groups", "Tasks", "Explain", "Prune"):
        visit(page, title)
        expect(page).to_have_url(re.compile(rf"/{title.lower()}\?"))
    last, entries = page.url, _entries(page)
    for pause in (0, 20, 60, 150, 400):  # ms between two steps
        for step in ("back", "forward"):
            for _ in range(4):
                page.evaluate(f"history.{step}()")
                page.wait_for_timeout(pause)
        expect(page).to_have_url(last)
        assert _entries(page) == entries
    _shows(page, newest, "Prune")
    for title in ("Explain", "Tasks", "Groups", "Train"):
        page.go_back()
        _shows(page, newest, title)


def test_a_run_that_is_opened_from_the_table_or_the_path_is_shown_everywhere(world: World, page: Page) -> None:
    page.goto(f"{world.address}/runs")
    table = keyed(page, "runs_table").locator("canvas").first
    expect(table).to_be_visible()
    settled(page)
    height = _row_of(world, world.older)
    _opens_in_a_tab_of_its_own(page, table, height, world.older)
    table.click(position={"x": 16, "y": height}, force=True)
    before = _entries(page)
    keyed(page, "open_train").get_by_role("link").click()
    _shows(page, world.older, "Train")
    assert _entries(page) == before + 1
    visit(page, "Groups")
    _shows(page, world.older, "Groups")
    visit(page, "Path")
    page.get_by_role("button", name="Open this run").click()
    dense = world.study.run("dense/seg+depth/equal/0")
    _shows(page, dense, "Train")
    visit(page, "Groups")
    _shows(page, dense, "Groups")
    assert _said(page)["study"] == world.study.id
    page.go_back()
    _shows(page, dense, "Train")
    page.go_back()
    expect(page.locator(".scrubber input[type=range]")).to_be_visible()
    settled(page)
    page.go_back()
    _shows(page, world.older, "Groups")


def test_a_click_on_a_cell_or_a_tab_is_one_entry_and_back_undoes_it(world: World, page: Page) -> None:
    page.goto(f"{world.address}/groups?run={world.older.id}")
    _shows(page, world.older, "Groups")
    entries = [_entries(page)]
    canvas = page.locator("canvas[aria-roledescription='survival map']")
    expect(canvas).to_be_visible()
    _tab_to(page, "Skip to the figure", most=5)
    page.keyboard.press("Enter")
    expect(canvas).to_be_focused()
    canvas.press("ArrowRight")
    expect(page.get_by_text("stem, input channel 0: ")).to_be_visible()
    settled(page)
    entries.append(_entries(page))
    page.get_by_role("tab", name="Layers").click()
    expect(page).to_have_url(re.compile("part=Layers"))
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    entries.append(_entries(page))
    assert [after - before for before, after in pairwise(entries)] == [1, 1]
    visit(page, "Explain")
    expect(page.get_by_text(re.compile("stem, input channel 0: shared"))).to_be_visible()
    page.go_back()
    expect(page.get_by_role("tab", name="Layers")).to_have_attribute("aria-selected", "true")
    page.go_back()
    expect(page.get_by_role("tab", name="Survival map")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_text("stem, input channel 0: ")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Select a channel")).to_be_visible()
    assert "channel" not in _said(page)


def test_a_copied_link_shows_the_same_in_a_fresh_browser(world: World, page: Page, browser: Browser) -> None:
    page.goto(
        f"{world.address}/explain?run={world.older.id}&explanation={world.first.id}&layer=stem&channel=1&trust=Images"
    )
    expect(page.get_by_text("stem, input channel 1: ")).to_be_visible()
    visit(page, "Tasks")
    expect(page.get_by_text("3 channels;")).to_be_visible()  # of the layer that this explanation is of
    link = page.url
    assert _said(page)["explanation"] == world.first.id
    fresh = browser.new_context(viewport=SIZE)
    copied = fresh.new_page()
    copied.goto(link)
    expect(copied.get_by_text("3 channels;")).to_be_visible()
    expect(copied.get_by_text("stem, input channel 1: ")).to_be_visible()
    expect(keyed(copied, "explanation").locator("input")).to_have_value(re.compile("stem"))
    settled(copied)
    assert copied.url == link
    fresh.close()


def test_a_run_that_is_removed_meanwhile_is_said_and_nothing_acts_on_another(world: World, page: Page) -> None:
    gone = _whole(world.older.path.parent, "soon gone")
    page.goto(f"{world.address}/prune?run={gone.id}")
    _shows(page, gone, "Prune")
    settled(page)
    shutil.rmtree(gone.path)  # and nobody touches the page
    message = page.get_by_text(f"There is no run {gone.id}")
    for title in [*OF_A_RUN, "Prune"]:
        expect(message).to_be_visible()
        settled(page)
        expect(page.get_by_test_id("stButton")).to_have_count(0)
        expect(page.get_by_test_id("stPlotlyChart")).to_have_count(0)
        visit(page, title)
        expect(page).to_have_url(re.compile(rf"/{title.lower()}\?(.*&)?run={gone.id}"))
    assert not gone.path.exists()
    assert [len(derived_jobs(run, "prune")) for run in (world.older, world.newer)] == [1, 1]
    keyed(page, "run").locator("input").click()
    page.get_by_role("option", name=world.older.id).click()
    _shows(page, world.older, "Prune")
    page.go_back()
    expect(message).to_be_visible()
