"""All pages open on a run that was recorded in a loop of the user's own, and on its pruning and explanation."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.reading import said
from tests.engine.own_loop import own_loop
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.derived import derived_job, read
from winnow.engine.runs.run import Run
from winnow.engine.specs.jobs import JOBS

ASKED = (
    {"kind": "prune", "threads": 1, "rounds": 3, "onnx": False, "batches": [1]},
    {"kind": "explain", "threads": 1, "images": 8, "maps": 2, "ablations": 2, "bootstrap": 10},
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a recorded run, pruned and explained, and of one without tasks and loader."""
    folder = tmp_path_factory.mktemp("recorded")
    run, _, _ = own_loop(folder, 2)
    for values in ASKED:
        work = derived_job(run, read(dict(values)))
        writer = ResultWriter(work)
        writer.finish(JOBS[work.kind].run.load()(run, work.spec, writer, False))
    own_loop(folder, 1, tasks=None, loader=None, batch_size=None)
    return folder


@pytest.fixture(autouse=True)
def here(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_RUNS", str(root))


def show(name: str) -> None:
    from importlib import import_module

    import_module(f"winnow.dashboard.pages.{name}.page").page()


def opened(name: str, run: Run, **about: str) -> Any:
    page = AppTest.from_function(show, args=(name,), default_timeout=60)
    for key, value in {"run": run.id, **about}.items():
        page.query_params[key] = value
    return page.run()


@pytest.mark.parametrize(
    "name", ["runs", "train", "groups", "tasks", "explain", "prune", "compare", "path", "data", "new"]
)
@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_a_page_opens_on_it(root: Path, name: str, told: bool) -> None:
    run = Run(sorted(root.iterdir())[0 if told else 1])
    page = opened(name, run)
    assert not page.exception
    assert not page.error


def test_the_groups_page_shows_its_components(root: Path) -> None:
    page = opened("groups", Run(sorted(root.iterdir())[0]))
    assert page.dataframe[0].value["component"].tolist() == ["body", "side", "light", "total"]
    assert "mine" in said(page) or page.metric


@pytest.mark.parametrize(("told", "of"), [(0, "loss"), (1, "output")])
def test_outputs_are_explained_where_no_loss_is_known(root: Path, told: int, of: str) -> None:
    run = Run(sorted(root.iterdir())[told])
    page = AppTest.from_function(show_form, args=(str(run.path),), default_timeout=60).run()
    assert next(box for box in page.selectbox if box.label == "Quantity explained").value == of


def show_form(path: str) -> None:
    from pathlib import Path

    from winnow.dashboard.forms.explain import new_explanation
    from winnow.engine.runs.run import Run

    new_explanation(Run(Path(path)))


@pytest.mark.parametrize(
    ("name", "about"),
    [("prune", {}), ("prune", {"prune_view": "sensitivity"}), ("explain", {}), ("tasks", {})],
    ids=["prune", "sensitivity", "explain", "tasks"],
)
def test_without_stored_images_a_page_says_what_is_missing_and_offers_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, about: dict[str, str]
) -> None:
    run = Run(shutil.copytree(sorted(root.iterdir())[1], tmp_path / "20260101-000000-bare"))
    shutil.rmtree(run.path / "sample", ignore_errors=True)
    monkeypatch.setenv("WINNOW_RUNS", str(tmp_path))
    page = opened(name, run, **about)
    assert not page.exception
    assert any("holds no images" in info.value for info in page.info)
    assert not [button for button in page.button if str(button.key).endswith("_submit")]


def test_what_needs_training_images_is_not_offered_where_only_a_sample_is_stored(root: Path) -> None:
    run = Run(min(root.iterdir()))
    page = opened("prune", run)
    page.session_state[f"new_pruning_{run.id}"] = True
    page.run()
    ranked_by = page.segmented_control(key="prune_criterion_sampled")
    assert "low relevance" not in ranked_by.options
    ranked_by.set_value("norm").run()
    keys = {str(widget.key) for kind in (page.number_input, page.selectbox) for widget in kind}
    assert {"prune_budget", "prune_gather"} <= keys
    assert not {"prune_repair", "prune_refit_epochs", "prune_relevance_images"} & keys
    assert "no training images" in said(page)
    analysed = opened("prune", run, prune_view="sensitivity")
    assert not [widget for widget in analysed.selectbox if widget.key == "sensitivity_criterion"]
    explained = opened("explain", run)
    explained.session_state["explain_again"] = True
    assert not [widget for widget in explained.run().selectbox if widget.key == "explain_split"]
    assert "int8" not in opened("prune", run, detail="Speed").pills(key="bench_forms_sampled").options


def test_what_a_loop_of_ones_own_does_not_record_is_not_said_of_it(root: Path) -> None:
    page = opened("train", Run(min(root.iterdir())), view="Tasks")
    assert not page.exception
    assert "recorded where Winnow trains" in page.info[0].value
    assert "same weight" not in said(page)
