import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making_studies import BASE, write_path, write_study, write_tailoring
from tests.dashboard.reading import said
from winnow.dashboard.canvas.path_scrubber import Request
from winnow.dashboard.pages.path.path_tabs import ASKED, spec_at
from winnow.dashboard.shared.address import CLAIM
from winnow.dashboard.shared.formatting import unescaped
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.study import Study, create_study, list_studies
from winnow.engine.specs.study import PathSpec, parse_many

MakeRun = Callable[..., Run]


def _path() -> None:
    from winnow.dashboard.pages.path.page import page

    page()


def _page(**address: str) -> AppTest:
    page = AppTest.from_function(_path, default_timeout=60)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


def _status(study: Study, **values: object) -> None:
    status = study.recorded_status().model_copy(update=values)
    replace(study.path / "status.json", status.model_dump_json().encode())


@contextmanager
def _working(study: Study, **status: object) -> Iterator[None]:
    """Hold the lock of a study as its process does, and say that it works."""
    process = psutil.Process()
    known = {"pid": process.pid, "pid_created": process.create_time(), "finished": None, "requested": time.time()}
    _status(study, state="running", **known, **status)
    with study.lock():
        yield


def test_an_empty_page_says_what_to_do_and_offers_the_form(runs_root: Path) -> None:
    page = _page()
    assert not page.exception
    assert "Nothing has been compared yet" in said(page)
    assert page.button(key="study_plan").label == "Show the plan"


def test_a_path_is_said_and_its_points_are_offered(runs_root: Path) -> None:
    study = write_path(runs_root, targets=[20, 40, 60, 80])
    page = _page()
    assert not page.exception
    assert page.selectbox(key="study").value == study.id
    assert "path · seg+depth · 20, 40, 60, 80 % · 1 seed · 5 done" in said(page)
    assert "nothing is interpolated" in said(page)


@pytest.mark.parametrize(
    ("view", "charts"),
    [
        ("Scrub", 0),
        ("Curve", 1),
        ("Norms", 1),
        ("Order of death", 1),
        ("Snapshots", 0),
        ("Table", 0),
        ("Seeds", 1),
        ("Its runs", 0),
    ],
)
def test_only_the_open_view_of_a_path_is_drawn(the_path: Study, view: str, charts: int) -> None:
    page = _page(study=the_path.id, along=view)
    assert not page.exception
    assert len(page.get("plotly_chart")) == charts


@pytest.mark.parametrize(
    ("view", "charts"), [("Table", 0), ("Differences", 1), ("Trade-off", 1), ("Seeds", 1), ("Its runs", 0)]
)
def test_only_the_open_view_of_a_study_is_drawn(the_study: Study, view: str, charts: int) -> None:
    page = _page(study=the_study.id, compared=view)
    assert not page.exception
    assert len(page.get("plotly_chart")) == charts


def test_the_trade_off_counts_the_runs_that_failed(runs_root: Path) -> None:
    study = write_study(runs_root, subsets=["all"])
    known = study.table("members")
    failed = known.index == len(known) - 1  # of all tasks, as the dense run
    known = known.assign(state=known["state"].mask(failed, "failed"), run=known["run"].mask(failed, ""))
    known.to_parquet(study.path / "tables" / "members.parquet")
    results = study.table("results")
    own = results[results["run"].isin(known["run"])]
    own.to_parquet(study.path / "tables" / "results.parquet")
    page = _page(study=study.id, compared="Trade-off")
    assert not page.exception
    assert "Not drawn: 1 of 2 runs of these tasks: 1 failed." in said(page)


def test_a_tailoring_says_which_stage_serves_which_task(runs_root: Path) -> None:
    study = write_tailoring(runs_root)
    page = _page(study=study.id)
    assert not page.exception
    claim = page.session_state[CLAIM]
    assert claim.startswith("seg needs stage 4; depth needs stage 3 of 4.")
    assert "With its heads there, the network has a Δ_m of" in claim
    assert len(page.get("plotly_chart")) == 1
    advice, compared = (page.dataframe[place].value for place in (0, 1))
    assert dict(zip(advice["task"], advice["by_seed"], strict=True)) == {"seg": "4,4,4", "depth": "4,4,3"}
    assert {"parameters", "MACs", "Δ_m [%]", "depth: absolute error [m] ↓"} <= set(compared["quantity"])
    assert _page(study=study.id, compared="Its runs").dataframe[0].value["arm"].tolist().count("tailored") == 3


def test_an_advice_alone_compares_nothing(runs_root: Path) -> None:
    study = write_tailoring(runs_root, compare=False)
    page = _page(study=study.id)
    assert not page.exception
    assert "appears once a tailored and a plain network" in said(page)


def test_the_table_names_the_definition_that_it_shows(runs_root: Path) -> None:
    write_study(runs_root, subsets=["all"], definition="task")
    page = _page()
    table = page.dataframe[0].value
    assert {"arm", "tasks", "Δ_m over dense [%]", "seg: mean IoU [%] ↑"} <= set(table)
    assert "LibMTL" in said(page)
    definition = page.segmented_control[1]
    assert definition.value == "task"
    definition.set_value("metric").run()
    assert "Nash-MTL" in said(page)
    assert not page.exception


def test_a_study_says_how_a_support_does_on_a_task_that_it_was_not_found_on(runs_root: Path) -> None:
    study = write_study(runs_root, subsets=["seg"], unseen=["seg"], seeds=[0, 1, 2])
    page = _page()
    assert not page.exception
    texts = [unescaped(text.value) for text in page.markdown]
    (sentence,) = [text for text in texts if text.startswith("On seg, the groups found on depth (50 %)")]
    assert "against random groups, as many per layer" in sentence
    assert "3 seeds" in sentence
    table = next(frame.value for frame in page.dataframe if "support" in frame.value.columns)
    differences = study.table("unseen").query("split == 'test' and definition == 'main'")
    assert table["difference"].tolist() == differences["difference"].tolist()
    assert table["other"].tolist()[0] == "the dense network"


def test_the_table_can_be_had_as_csv_latex_and_markdown(the_study: Study) -> None:
    page = _page(study=the_study.id)
    labels = [button.label for button in page.get("download_button")]
    assert labels == ["CSV", "LaTeX", "Markdown", "All numbers"]


def test_a_live_study_says_how_far_it_is_and_can_be_stopped(runs_root: Path) -> None:
    study = write_study(runs_root, subsets=["all"])
    with _working(study, progress=0.5, phase="3 of 6 runs over, 2 at work 2 at a time on this machine", remaining=90.0):
        page = _page()
        assert not page.exception
        assert page.progress[0].value == 50
        assert "1 min 30 s left" in page.progress[0].text
        page.button(key="stop").click().run()
        assert study.control().stop
        assert page.button(key="kill").label == "Kill now"


def test_a_study_that_has_no_results_yet_says_what_it_waits_for(runs_root: Path) -> None:
    study = create_study(write_study(runs_root, subsets=["all"]).spec)
    with _working(study, phase="looking for runs that are there already"):
        page = _page(study=study.id)
    assert not page.exception
    assert "as soon as the first run has ended" in page.info[0].value


@pytest.mark.parametrize(("state", "word"), [("stopped", "Resume"), ("queued", "Start")])
def test_a_study_that_does_not_work_can_be_started(runs_root: Path, state: str, word: str) -> None:
    study = write_study(runs_root, subsets=["all"])
    _status(study, state=state, requested=None)
    assert _page().button(key="resume").label == word


def test_a_failure_is_said_and_what_came_out_stays(runs_root: Path) -> None:
    study = write_study(runs_root, subsets=["all"])
    _status(study, state="failed", message="1 of 6 runs failed, dense/seg/equal/0: <b>loss</b> is no number")
    (study.path / "log.txt").write_text("Traceback\nStudyError")
    page = _page()
    assert not page.exception
    assert r"\<b\>loss" in page.error[0].value
    assert page.code[0].value == "Traceback\nStudyError"
    assert len(page.dataframe) >= 1


def test_a_damaged_spec_is_said_and_the_others_can_be_chosen(runs_root: Path) -> None:
    study = write_study(runs_root, subsets=["all"])
    (study.path / "spec.json").write_text('{"kind": "study", "targets": [200]}')
    page = _page()
    assert not page.exception
    assert "can't be shown" in page.error[0].value


@pytest.mark.parametrize("name", ["nonsense", "../../etc", "<script>"])
def test_an_address_that_names_no_study_says_so_and_shows_none(the_study: Study, name: str) -> None:
    page = _page(study=name)
    assert not page.exception
    assert f"There is no study or path {name}" in re.sub(r"\\(.)", r"\1", page.error[0].value)
    assert page.selectbox(key="study").value is None
    assert not page.get("tab")
    page.selectbox(key="study").select_index(0).run()
    assert not page.error
    assert page.selectbox(key="study").value == list_studies(the_study.root)[0].id


def test_train_here_says_what_it_costs_and_starts_that_run(runs_root: Path, end_workers: None) -> None:
    study = write_path(runs_root, targets=[40])
    page = AppTest.from_function(_path, default_timeout=60)
    page.session_state[ASKED] = Request(study.id, level=44.8)
    page.run()
    assert page.button(key="train_here_not").label == "Cancel"
    assert "Train at 44.8 %: seed 0, at most 5 epochs, from fresh weights" in said(page).replace("*", "")
    assert "took at most 50 s" in said(page)
    page.button(key="train_here_start").click().run()
    newest = max(list_runs(runs_root), key=lambda run: run.status.requested or 0)
    assert (newest.spec.penalty.target, newest.spec.tasks) == (44.8, ("seg", "depth"))
    assert newest.recorded_status().requested is not None


def test_what_was_asked_of_another_path_is_not_offered(the_path: Study) -> None:
    page = AppTest.from_function(_path, default_timeout=60)
    page.session_state[ASKED] = Request("another", level=44.8)
    page.query_params["study"] = the_path.id
    page.run()
    assert not any(button.key == "train_here_start" for button in page.button)


def test_a_run_between_two_points_is_as_the_path_would_make_it() -> None:
    asked = {"targets": [], "strengths": [0.1, 1.0], "seeds": [4, 5], "warm": True}
    spec = parse_many({"kind": "path", "base": BASE, **asked})
    assert isinstance(spec, PathSpec)
    found = spec_at(spec, 0.3)
    assert (found.penalty.strength, found.penalty.strength_of, found.seed) == (0.3, "max", 4)
    assert (found.keep, found.start) == ("best", None)


def test_the_runs_are_listed_in_the_order_of_the_plan(the_study: Study) -> None:
    page = _page(study=the_study.id, compared="Its runs")
    assert page.dataframe[0].value["arm"].tolist()[:2] == ["dense", "sparse"]


def test_runs_alone_are_no_study(make_run: MakeRun) -> None:
    make_run()
    assert "Nothing has been compared yet" in said(_page())
