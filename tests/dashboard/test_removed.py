"""What is gone is said by name, on every page, and nothing acts on what is not shown."""

import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.dashboard.drawing import drawn
from tests.dashboard.making import write_checkpoint
from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.making_studies import write_path
from tests.dashboard.pruning_making import write_pruning
from tests.dashboard.reading import said
from winnow.dashboard.frames.exports import exports
from winnow.engine.runs import launch
from winnow.engine.runs.derived import derived_jobs
from winnow.engine.runs.files import replace
from winnow.engine.runs.labels import write_labels
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.trash import discard, take_back
from winnow.engine.runs.work_folder import Status, WorkFolder

MakeRun = Callable[..., Run]
OF_A_RUN = ["train", "groups", "tasks", "explain", "prune", "compare"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of work whose worker a page wanted to start."""
    found: list[str] = []

    def start(work: WorkFolder, gpus: object = ()) -> int:
        found.append(work.id)
        return 1

    monkeypatch.setattr(launch, "start", start)
    return found


@pytest.mark.parametrize("url", OF_A_RUN)
def test_a_link_to_a_removed_run_says_so_by_name_and_shows_nothing_else(make_stored_run: MakeRun, url: str) -> None:
    gone, newest = make_stored_run(name="gone"), make_stored_run(name="newest")
    write_explanation(newest)
    write_pruning(newest)
    gone.remove()
    page = drawn(url, run=gone.id)
    assert not page.exception
    assert f"There is no run {gone.id}" in page.error[0].value.replace("\\", "")
    assert not page.button
    assert not page.get("plotly_chart")
    assert not page.get("tab")
    assert not page.metric
    assert newest.id not in said(page)
    assert page.query_params["run"] == gone.id


@pytest.mark.parametrize(
    ("url", "key"), [("train", "resume"), ("prune", "prune_submit"), ("explain", "explain_submit")]
)
def test_a_click_on_the_page_of_a_run_that_was_removed_meanwhile_starts_nothing(
    make_stored_run: MakeRun, started: list[str], url: str, key: str
) -> None:
    shown, other = make_stored_run(state="stopped"), make_stored_run(state="stopped")
    page = drawn(url, run=shown.id)
    assert page.selectbox(key="run").value == shown.id
    shutil.rmtree(shown.path)
    page.button(key=key).click().run()
    assert not page.exception
    assert started == []
    assert f"There is no run {shown.id}" in page.error[0].value.replace("\\", "")
    assert not page.button
    assert [run.id for run in list_runs()] == [other.id]
    assert not [*derived_jobs(other, "prune"), *derived_jobs(other, "explain")]


@pytest.mark.parametrize(("url", "key"), [("train", "resume"), ("prune", "prune_submit"), ("train", "stop")])
def test_a_click_on_a_run_that_was_replaced_by_another_of_the_same_id_starts_nothing(
    make_stored_run: MakeRun, started: list[str], url: str, key: str
) -> None:
    state = "running" if key == "stop" else "stopped"
    shown, other = make_stored_run(state=state), make_stored_run(state=state, name="other", epochs=5)
    with shown.lock() if key == "stop" else nullcontext():
        page = drawn(url, run=shown.id)
    shutil.rmtree(shown.path)
    other.path.rename(shown.path)
    with shown.lock() if key == "stop" else nullcontext():
        page.button(key=key).click().run()
        assert not page.exception
        assert started == []
        assert not shown.control().stop
        assert "Another run now has the id" in page.warning[0].value
        assert not page.run().warning


def _stopped(work: WorkFolder) -> WorkFolder:
    status = Status(state="stopped", requested=1.0, started=1.0, updated=2.0)
    replace(work.path / "status.json", status.model_dump_json().encode())
    return work


@pytest.mark.parametrize("of", ["study", "pruning", "explanation"])
def test_a_click_on_what_was_replaced_under_its_id_starts_nothing(
    make_stored_run: MakeRun, started: list[str], runs_root: Path, of: str
) -> None:
    run = make_stored_run(tasks=["depth", "seg"])
    make: dict[str, Callable[[], WorkFolder]] = {
        "study": lambda: _stopped(write_path(runs_root, targets=[50])),
        "pruning": lambda: write_pruning(run, state="stopped"),
        "explanation": lambda: write_explanation(run, state="stopped"),
    }
    shown = make[of]()
    page = drawn({"study": "path", "pruning": "prune", "explanation": "explain"}[of], run=run.id, **{of: shown.id})
    (button,) = [one for one in page.button if one.key.endswith("resume")]
    shutil.rmtree(shown.path)
    other = make[of]()
    if other.path != shown.path:
        other.path.rename(shown.path)
    else:
        os.utime(shown.path / "spec.json", ns=(1, 1))
    button.click().run()
    assert not page.exception
    assert started == []
    assert f"Another {of} now has the id" in page.warning[0].value
    assert not page.run().warning
    next(one for one in page.button if one.key.endswith("resume")).click().run()
    assert started == [shown.id]


def test_a_run_that_was_trashed_is_said_and_shown_again_once_it_is_restored(make_stored_run: MakeRun) -> None:
    shown, other = make_stored_run(), make_stored_run()
    page = drawn("train", run=shown.id)
    discard(shown)
    assert f"There is no run {shown.id}" in page.run().error[0].value.replace("\\", "")
    take_back(shown.id)
    assert page.run().selectbox(key="run").value == shown.id
    assert not page.error
    assert not page.warning
    write_labels(shown.path, name="a better name")
    assert any("a better name" in option for option in page.run().selectbox(key="run").options)
    assert page.query_params["run"] == shown.id
    assert other.path.is_dir()


@pytest.mark.parametrize("url", [*OF_A_RUN, "path", "runs", "report", "data", "new"])
def test_an_address_of_nonsense_raises_nothing(make_stored_run: MakeRun, url: str) -> None:
    run = make_stored_run(tasks=["seg", "depth", "normals"])
    write_explanation(run)
    names = ("layer", "kind", "task", "method", "part", "view", "use", "trust", "by", "order", "counted", "drawn_as")
    more = ("detail", "prune_view", "against_one_another", "data_view", "runs_view", "along", "compared", "present")
    nonsense = dict.fromkeys((*names, *more), "<script>\u0000../..")
    page = drawn(url, run=run.id, channel="-1e999", **nonsense)
    assert not page.exception


def test_a_run_that_comes_later_does_not_take_the_place_of_the_one_that_is_shown(make_stored_run: MakeRun) -> None:
    shown = make_stored_run(state="stopped")
    page = drawn("train")
    make_stored_run(state="stopped")
    assert page.run().selectbox(key="run").value == shown.id


def test_another_run_leaves_the_pruning_and_the_explanation_behind(make_stored_run: MakeRun) -> None:
    one, other = make_stored_run(), make_stored_run()
    address = {"pruning": write_pruning(one).id, "layer": "stem", "channel": "1"}
    page = drawn("train", run=one.id, explanation="of one", other=other.id, **address)
    page.selectbox(key="run").select(other.id).run()
    assert dict(page.query_params) == {"run": other.id, "layer": "stem", "channel": "1"}


@pytest.mark.parametrize(("url", "name"), [("tasks", "explanation"), ("explain", "explanation"), ("prune", "pruning")])
def test_what_was_made_of_a_run_and_is_gone_is_said(make_stored_run: MakeRun, url: str, name: str) -> None:
    run = make_stored_run(tasks=["seg", "depth", "normals"])
    works = [make(run) for make in (write_explanation, write_pruning) for _ in range(2)]
    gone = next(
        work for work in works if work.kind == name[:7].replace("pruning", "prune").replace("explana", "explain")
    )
    gone.remove()
    page = drawn(url, run=run.id, **{name: gone.id})
    assert not page.exception
    assert f"There is no {name} {gone.id}" in page.error[0].value.replace("\\", "")
    assert not page.get("plotly_chart")
    assert not page.button


def test_a_pruning_that_was_removed_meanwhile_is_not_removed_again(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    older, newer = write_pruning(run, stem="a"), write_pruning(run, stem="b")
    page = drawn("prune", run=run.id, pruning=newer.id)
    newer.remove()
    page.button(key="undo").click().run()
    assert not page.exception
    assert [work.id for work in derived_jobs(run, "prune")] == [older.id]
    assert not exports(run, older.id)


@pytest.mark.parametrize("key", ["pause", "stop", "apply"])
def test_a_request_to_a_run_that_is_gone_writes_nothing(make_run: MakeRun, key: str) -> None:
    run = write_checkpoint(make_run(state="running"))
    with run.lock():
        page = drawn("train", run=run.id)
    shutil.rmtree(run.path)
    page.button(key=key).click().run()
    assert not page.exception
    assert not run.path.exists()
    assert page.title[0].value == "Winnow"  # no run is left
    assert "There is no run" in page.error[0].value
