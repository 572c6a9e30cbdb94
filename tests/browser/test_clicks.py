"""How many clicks the usual ways take: none more than the design allows."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.driving import SIZE, Faults, click_point, keyed, settled
from tests.browser.serving import serving
from tests.dashboard.making import write_checkpoint, write_run, write_tables
from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.making_maps import write_maps
from tests.dashboard.pruning_making import write_export, write_pruning, write_table
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run

pytestmark = pytest.mark.browser
ROW = 37  # px: of the table of runs
TASKS = ["seg", "depth", "normals"]


class Clicks:
    """A page that counts what is done to it."""

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    def on(self, what: Locator, **place: object) -> None:
        """Click once."""
        self.count += 1
        what.click(**place)  # type: ignore[arg-type]

    def goes(self, address: str) -> None:
        """Start to count at a page."""
        self.page.goto(address)
        settled(self.page)
        self.count = 0


@pytest.fixture
def clicks(browser: Browser) -> Iterator[Clicks]:
    """A page of a fresh browser, in which nothing may go wrong."""
    context, faults = browser.new_context(viewport=SIZE), Faults()
    faults.watch(context)
    yield Clicks(context.new_page())
    context.close()
    assert faults == []


def test_the_usual_ways_take_few_clicks(clicks: Clicks, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    whole = write_checkpoint(write_tables(write_run(runs, name="whole", tasks=TASKS)))
    write_maps(write_explanation(whole))
    _add_onnx(write_export(whole, write_pruning(whole)))
    for name in ("second", "newest"):
        write_run(runs, name=name)
    with serving(runs) as address:
        _runs(clicks, address)
        _survivor(clicks, address, whole)
        _onnx(clicks, address, whole)
        clicks.page.goto("about:blank")
        live = _trains(write_run(runs, name="live", state="running"))
        with live.lock():
            _strength(clicks, address, live)
        clicks.page.goto("about:blank")


def _add_onnx(work: DerivedJob) -> None:
    """Add a file to what was exported."""
    known = work.table("files")
    (work.path / "files" / "network.onnx").write_bytes(b"1")
    row = known.iloc[:1].assign(file="network.onnx", format="onnx", bytes=1)
    write_table(work, "files", pd.concat([known, row]))


def _runs(clicks: Clicks, address: str) -> None:
    """One click opens a run; three overlay the curves of three; two download a report."""
    clicks.goes(f"{address}/runs")
    table = keyed(clicks.page, "runs_table").locator("canvas").first
    expect(table).to_be_visible()
    name = {"x": 150, "y": ROW + 18}
    table.hover(position={"x": 150, "y": ROW + 18}, force=True)
    with clicks.page.context.expect_page() as opened:
        clicks.on(table, position=name, force=True)
    expect(keyed(opened.value, "run").locator("input")).to_be_visible()
    opened.value.close()
    assert clicks.count == 1
    clicks.count = 0
    for row in (1, 2, 3):
        clicks.on(table, position={"x": 16, "y": ROW * row + 18}, force=True)
        if row == 1:
            settled(clicks.page)
            with clicks.page.expect_download() as got:
                clicks.on(keyed(clicks.page, "report").get_by_role("button"))
            assert got.value.suggested_filename.endswith(".html")
            assert clicks.count == 2
            clicks.count = 1
    expect(clicks.page.get_by_text("3 runs compared")).to_be_visible()
    expect(clicks.page.locator(".js-plotly-plot .scatterlayer .trace").first).to_be_visible()
    assert clicks.count == 3


def _survivor(clicks: Clicks, address: str, run: Run) -> None:
    """Two clicks lead from the channels of a task to the images of one of them."""
    clicks.goes(f"{address}/explain?run={run.id}&top_layer=trunk")  # the layer of which there are maps
    clicks.count += 1
    click_point(clicks.page, clicks.page.locator(".barlayer").first.locator(".point path").first)
    expect(clicks.page.get_by_text(re.compile("channel 0: shared by several tasks"))).to_be_visible()
    clicks.on(clicks.page.get_by_role("tab", name="Top images"))
    expect(clicks.page.get_by_text("the images where it is most active")).to_be_visible()
    expect(clicks.page.locator("[data-testid=stImage] img:visible").first).to_be_visible()
    assert clicks.count == 2


def _onnx(clicks: Clicks, address: str, run: Run) -> None:
    """Three clicks lead from the run to the ONNX file of its pruned network."""
    clicks.goes(f"{address}/train?run={run.id}")
    clicks.on(keyed(clicks.page, "navigation").get_by_role("link", name="Prune", exact=True))
    clicks.on(clicks.page.get_by_role("tab", name="Export"))
    button = clicks.page.get_by_test_id("stDownloadButton").filter(has_text=".onnx").get_by_role("button")
    expect(button).to_be_visible()
    settled(clicks.page)
    with clicks.page.expect_download() as got:
        clicks.on(button)
    assert got.value.suggested_filename.endswith(".onnx")
    assert clicks.count == 3


def _trains(run: Run) -> Run:
    """Say that a run trains in this process."""
    own = psutil.Process()
    known = {"state": "running", "phase": "training", "finished": None, "pid": own.pid}
    status = run.recorded_status().model_copy(update={**known, "pid_created": own.create_time()})
    replace(run.path / "status.json", status.model_dump_json().encode())
    return run


def _strength(clicks: Clicks, address: str, run: Run) -> None:
    """A strength that is written into its field takes one click on Apply."""
    clicks.goes(f"{address}/train?run={run.id}")
    field = keyed(clicks.page, "strength_input").locator("input")
    field.fill("2e-4")
    clicks.on(keyed(clicks.page, "apply").get_by_role("button"))
    for _ in range(300):  # the page may look settled before the click has reached the server
        if run.control().strength is not None:
            break
        clicks.page.wait_for_timeout(100)
    assert run.control().strength == pytest.approx(2e-4)
    assert clicks.count == 1
