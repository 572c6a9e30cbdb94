from pathlib import Path

import pytest

from tests.dashboard.making import write_run
from winnow.engine.jobs.writer import ResultWriter


@pytest.mark.parametrize(
    ("state", "end", "said"),
    [
        ("done", "", "A layer is left out. A table is missing"),
        ("done", "it took long", "A layer is left out. A table is missing; it took long"),
        ("stopped", "", "A layer is left out. A table is missing"),
        ("failed", "no space left", "no space left"),
    ],
)
def test_remarks_are_said_with_the_end_unless_the_work_fails(tmp_path: Path, state: str, end: str, said: str) -> None:
    run = write_run(tmp_path, state="queued")
    writer = ResultWriter(run)
    for sentence in ("A layer is left out.", "a table is missing", "A layer is left out."):
        writer.remark(sentence)
    assert run.recorded_status().message == "A layer is left out. A table is missing"
    writer.status(message="nearly there")
    if end and state == "done":
        writer.conclude(end)
    writer.finish(state, end if state == "failed" else "")
    assert run.recorded_status().message == said


def test_what_is_told_stands_after_the_remarks_until_something_else_is_told(tmp_path: Path) -> None:
    run = write_run(tmp_path, state="queued")
    writer = ResultWriter(run)
    writer.tell("the target cannot be met")
    writer.remark("one task has no labels")
    assert run.recorded_status().message == "one task has no labels; the target cannot be met"
    writer.tell("")
    assert run.recorded_status().message == "one task has no labels"
    writer.finish("done")
    assert run.recorded_status().message == "one task has no labels"


def test_more_remarks_than_there_is_room_for_are_cut(tmp_path: Path) -> None:
    run = write_run(tmp_path, state="queued")
    writer = ResultWriter(run)
    for place in range(200):
        writer.remark(f"Layer number {place} of this network is left out: it has no weight that could be penalised.")
    writer.finish("done", "that was all")
    said = run.recorded_status().message
    assert said.startswith("Layer number 0 of")
    assert said.endswith("… and more, for which there is no room here")
    assert run.status.state == "done"
