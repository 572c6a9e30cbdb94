"""The page Report: what is shown in which order, what it says before and after a build; the job, and the slides."""

import asyncio
import json
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from streamlit.testing.v1 import AppTest

from winnow.dashboard import documents, guard
from winnow.dashboard.frames.chosen import Pin, ReportChoice, add_pin, choose_for_report, report_choice
from winnow.dashboard.report import building
from winnow.dashboard.report.building import Build, build_of, current, inputs, tell
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]
OUTLINE = (
    {
        "key": "asked",
        "question": "What was asked?",
        "claim": "50 % <b>",
        "figures": [{"key": "curves", "reading": "Read."}],
    },
    {"key": "bounds", "question": "What we do not claim", "claim": "One seed.", "figures": []},
)


def _report() -> None:
    from winnow.dashboard.pages.report.page import page

    page()


def _page(run: Run) -> AppTest:
    page = AppTest.from_function(_report, default_timeout=60)
    page.query_params["run"] = run.id
    page.run()
    assert not page.exception
    return page


def _says(page: AppTest) -> str:
    """Return the sentence that the page opens with."""
    return re.sub("<[^>]*>", "", " ".join(element.proto.body for element in page.get("html")))


def _built(run: Run) -> None:
    folder = run.path / "report"
    folder.mkdir(exist_ok=True)
    for name in (building.HTML, building.ZIP):
        (folder / name).write_bytes(b"<!doctype html>")
    tell(folder, Build("done", "", time.time(), (run.id,), inputs([run]), OUTLINE))


def test_before_a_build_all_sections_stand_there_and_nothing_can_be_downloaded(make_whole_run: MakeRun) -> None:
    page = _page(make_whole_run())
    assert len(page.checkbox) == 10
    assert "It is not built yet" in _says(page)
    assert [button.label for button in page.get("download_button")] == []


def test_sections_are_left_out_moved_and_given_captions(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    _built(run)
    page = _page(run)
    assert [button.label.partition(",")[0] for button in page.get("download_button")] == [
        "HTML",
        "Zip with the numbers",
    ]
    assert "build it again" not in _says(page)
    page.button(key="down_asked").click().run()
    assert report_choice(run).sections == ("bounds", "asked")
    assert "build it again" in _says(page)
    page.checkbox(key="show_asked").uncheck().run()
    assert report_choice(run).sections == ("bounds",)
    page.checkbox(key="show_bounds").uncheck().run()
    assert report_choice(run).sections == ("bounds",)  # the last one stays
    page.text_area(key=f"caption_{run.id}_curves").set_value("Mine.").run()
    page.checkbox(key=f"figure_{run.id}_curves").uncheck().run()
    assert (report_choice(run).captions, report_choice(run).hidden) == ({"curves": "Mine."}, ("curves",))
    page.text_area(key=f"caption_{run.id}_curves").set_value("").run()
    page.button(key="usual").click().run()
    assert report_choice(run) == ReportChoice(hidden=("curves",))


def test_a_pin_is_a_section_and_can_be_removed(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    pin = Pin("losses", "It learns.", "", "the page", "table", {}, "a\n1\n")
    add_pin(run, pin)
    page = _page(run)
    assert "11 sections, 1 pinned figure" in _says(page)
    page.button(key=f"remove_{pin.id}").click().run()
    assert report_choice(run).pins == ()


def test_a_report_json_that_is_wrong_is_said(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    (run.path / "report.json").write_text("{}")
    assert "`format` of" in _page(run).error[0].value


def test_a_build_is_of_what_was_there_and_its_process_may_die(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    assert build_of(run).state == "none"
    _built(run)
    assert current(run, build_of(run), [run])
    choose_for_report(run, ReportChoice(("asked",)))
    assert not current(run, build_of(run), [run])
    folder, own = run.path / "report", psutil.Process()
    working = Build("building", at=time.time(), asked=(run.id,), pid=os.getpid(), created=own.create_time())
    tell(folder, working)
    assert build_of(run).state == "building"
    tell(folder, Build("building", at=time.time(), pid=os.getpid(), created=own.create_time() - 100))
    assert build_of(run).state == "lost"
    tell(folder, Build("building", at=time.time() - 2 * building.STARTING))
    assert build_of(run).state == "lost"
    (folder / building.BUILD).write_text(json.dumps({"state": "done"}))
    assert build_of(run).state == "none"


def _asked(path: str, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
    """Return what the server answers, the guard before it."""
    sent: list[dict] = []

    async def beyond(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "query_string": b"", "headers": [(b"host", b"localhost")]}
    call = guard.Guard(documents.Slides(beyond), guard.Access())(scope, None, send)
    with ThreadPoolExecutor(1) as apart:  # a browser in this process has a loop of its own
        apart.submit(asyncio.run, call).result()
    return sent[0]["status"], sent[0]["headers"], sent[1]["body"]


def test_slides_are_sent_into_a_sandbox_and_nothing_else_is(make_whole_run: MakeRun, tmp_path: Path) -> None:
    run = make_whole_run()
    assert _asked(f"/slides/run/{run.id}.html")[0] == 404
    _built(run)
    for base in ("", "/base"):
        status, headers, body = _asked(f"{base}/{documents.place_of('run', run.id, 'sparse').partition('#')[0]}")
        assert (status, body) == (200, b"<!doctype html>")
        policies = [value for name, value in headers if name == b"content-security-policy"]
        assert any(value.startswith(b"sandbox allow-scripts") and b"same-origin" not in value for value in policies)
        assert b"frame-ancestors 'self'" in policies
    for name in ("none", "..%2F..%2Fetc", "%2e%2e", f"{run.id}%2F..%2F{run.id}"):
        assert _asked(f"/slides/run/{name}.html")[0] == 404
    assert _asked(f"/slides/run/{run.id}.html", "POST")[0] in (403, 418)
    assert _asked("/groups")[0] == 418
    (run.path / "report" / "report.html").unlink()
    (run.path / "report" / "report.html").symlink_to(tmp_path / "elsewhere.html")
    assert _asked(f"/slides/run/{run.id}.html")[0] == 404
