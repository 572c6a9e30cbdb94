"""What is done with a finished run: pruned from the page, watched, looked at, and undone."""

import re
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from engine import jobs
from engine.followups import follow_ups
from engine.runs import Run, create
from engine.spec import parse
from tests.browser.driving import SIZE, Faults, keyed
from tests.browser.serving import serving

pytestmark = pytest.mark.browser
WITHIN = 120_000.0  # ms, for what the worker may take on a busy machine; a quiet one needs a twentieth
SMALL = {"widths": (8, 12), "blocks": (1, 1), "head_width": 8}
SPEC = {"data": {"dataset": "digits"}, "network": SMALL, "threads": 1, "epochs": 1, "batch_size": 64, "name": "small"}


def test_a_run_is_pruned_and_the_pruning_undone_in_the_browser(browser: Browser, tmp_path: Path) -> None:
    runs, faults = tmp_path / "runs", Faults()
    run = create(parse({**SPEC, "penalty": {"target": 40.0}}), runs)
    jobs.start(run)
    with serving(runs) as address:
        context = browser.new_context(viewport=SIZE)
        faults.watch(context)
        try:
            page = context.new_page()
            _waits_for_the_run(page, address, run)
            _start(page)
            _before_and_after(page, run)
            _undo(page, run)
        finally:
            context.close()
            _end_workers(run)
    assert faults == []


def _waits_for_the_run(page: Page, address: str, run: Run) -> None:
    """A live run cannot be pruned yet; once it has ended, the page offers it after a reload."""
    page.goto(f"{address}/prune?run={run.id}")
    expect(page.get_by_text(re.compile("none yet|is live|Nothing has been removed"))).to_be_visible()
    process = jobs.worker_process(run.recorded_status())
    if process is not None:
        psutil.wait_procs([process], timeout=WITHIN / 1000)
    assert run.status.state == "done", (run.path / "log.txt").read_text()
    page.reload()
    expect(page.get_by_text("Nothing has been removed from this run yet")).to_be_visible()


def _start(page: Page) -> None:
    """The form starts a job, its progress is said, and it ends."""
    for name, value in {"batches": "1", "rounds": "3", "threads": "1"}.items():
        keyed(page, f"prune_{name}").locator("input").fill(value)
    page.get_by_role("button", name="Start pruning").click()
    expect(keyed(page, "stop")).to_be_visible()
    expect(page).to_have_url(re.compile(r"pruning=\d+-\d+-zeros"))


def _before_and_after(page: Page, run: Run) -> None:
    """Once it is done, the certificate and the figures stand there without a reload."""
    expect(page.get_by_text("The smaller network gives the outputs")).to_be_visible(timeout=WITHIN)
    expect(page.get_by_text("done", exact=True)).to_be_visible(timeout=WITHIN)
    expect(page.locator(".js-plotly-plot")).to_have_count(4)
    expect(page.locator(".js-plotly-plot .barlayer .trace").first).to_be_visible()
    (pruning,) = follow_ups(run, "prune")
    assert pruning.status.state == "done"
    assert pruning.table("measures")["model"].nunique() >= 2


def _undo(page: Page, run: Run) -> None:
    """A second look, a click, and the run is as if it had never been pruned."""
    page.get_by_role("button", name="Remove this pruning").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("Nothing has been removed from this run yet")).to_be_visible()
    assert not follow_ups(run, "prune")
    assert run.status.state == "done"


def _end_workers(run: Run) -> None:
    """End what a failed test left at work."""
    for work in (run, *follow_ups(run, "prune")):
        if work.alive():
            jobs.kill(work)
