"""What is done with a finished run: pruned from the page, watched, looked at, and undone."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import SIZE, Faults, fill, keyed
from tests.browser.serving import serving
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.training_job import run_training
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs import launch
from winnow.engine.runs.derived import derived_jobs
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse

pytestmark = pytest.mark.browser
WITHIN = 120_000.0  # ms, for what the worker may take on a busy machine; a quiet one needs a twentieth
SMALL = {"widths": (8, 12), "blocks": (1, 1), "head_width": 8}
SPEC = {"data": {"dataset": "digits"}, "network": SMALL, "threads": 1, "epochs": 1, "batch_size": 64, "name": "small"}


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Iterator[None]:
    """Undo what a training here sets for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=False)
    torch.set_flush_denormal(False)


def test_a_run_is_pruned_and_the_pruning_undone_in_the_browser(browser: Browser, tmp_path: Path) -> None:
    runs, faults = tmp_path / "runs", Faults()
    run = create(parse({**SPEC, "penalty": {"target": 40.0}}), runs)
    with serving(runs) as address:
        context = browser.new_context(viewport=SIZE)
        faults.watch(context)
        try:
            page = context.new_page()
            _waits_for_the_run(page, address, run)
            _train(run)
            page.reload()
            _start(page)
            _before_and_after(page, run)
            _undo(page, run)
        finally:
            context.close()
            _end_workers(run)
    assert faults == []


def _waits_for_the_run(page: Page, address: str, run: Run) -> None:
    """A run without a checkpoint can't be pruned, and the page says so."""
    page.goto(f"{address}/prune?run={run.id}")
    expect(page.get_by_text("this run has none yet")).to_be_visible()


def _train(run: Run) -> None:
    """Train it here: a worker would spend most of its time on the import of torch."""
    writer = ResultWriter(run)
    writer.finish(run_training(run, writer, StopRequest(run)))


def _start(page: Page) -> None:
    """The form starts a job, which can be stopped and stands in the address."""
    expect(page.get_by_text("Nothing has been removed from this run yet")).to_be_visible()
    for name, value in {"batches": "1", "rounds": "3", "threads": "1"}.items():
        fill(page, f"prune_{name}", value)
    page.get_by_role("button", name="Start pruning").click()
    expect(keyed(page, "stop")).to_be_visible()
    expect(page).to_have_url(re.compile(r"pruning=\d+-\d+-zeros"))


def _before_and_after(page: Page, run: Run) -> None:
    """Once it is done, the certificate and the figures stand there without a reload."""
    expect(page.get_by_text("The smaller network gives the outputs")).to_be_visible(timeout=WITHIN)
    expect(page.get_by_text(re.compile(r"exact zeros · started .*, took "))).to_be_visible(timeout=WITHIN)
    expect(page.locator(".js-plotly-plot")).to_have_count(4)
    expect(page.locator(".js-plotly-plot .barlayer .trace").first).to_be_visible()
    (pruning,) = derived_jobs(run, "prune")
    assert pruning.status.state == "done"
    assert pruning.table("measures")["model"].nunique() >= 2


def _undo(page: Page, run: Run) -> None:
    """A second look, a click, and the run is as if it had never been pruned."""
    page.get_by_role("button", name="Remove this pruning").click()
    page.get_by_role("button", name="Delete permanently").click()
    expect(page.get_by_text("Nothing has been removed from this run yet")).to_be_visible()
    assert not derived_jobs(run, "prune")
    assert run.status.state == "done"


def _end_workers(run: Run) -> None:
    """End what a failed test left at work."""
    for work in (run, *derived_jobs(run, "prune")):
        if work.alive():
            launch.kill(work)
