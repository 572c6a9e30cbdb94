from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making_studies import write_path
from tests.dashboard.reading import said
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import list_studies
from winnow.engine.specs.study import PathSpec, StudySpec

MakeRun = Callable[..., Run]


def _form() -> AppTest:
    def script() -> None:
        import streamlit as st

        from winnow.dashboard.forms.study import new_study

        if study := new_study():
            st.text(study.id)

    return AppTest.from_function(script, default_timeout=60).run()


def test_a_path_is_planned_before_it_is_started(runs_root: Path, end_workers: None) -> None:
    page = _form()
    assert not any(button.key == "study_submit" for button in page.button)
    page.button(key="study_plan").click().run()
    assert not page.exception
    assert "path: 5 runs, 0 of them already done" in said(page).replace("*", "")
    assert "How long that takes is not known" in said(page)
    assert not list_studies(runs_root)
    page.button(key="study_submit").click().run()
    (study,) = list_studies(runs_root)
    assert isinstance(study.spec, PathSpec)
    assert study.spec.targets == (20, 40, 60, 80)
    assert (study.spec.base.threads, study.spec.base.name) == (1, "demo")
    assert page.text[0].value == study.id
    assert study.recorded_status().requested is not None


def test_what_is_started_is_what_was_planned(runs_root: Path, end_workers: None) -> None:
    page = _form()
    page.button(key="study_plan").click().run()
    page.text_input(key="study_targets").set_value("90")
    page.button(key="study_submit").click().run()
    (study,) = list_studies(runs_root)
    assert study.spec.targets == (20, 40, 60, 80)


def test_a_study_has_sets_of_tasks_seeds_and_controls(runs_root: Path) -> None:
    page = _form()
    page.segmented_control(key="study_kind").set_value("study").run()
    page.text_input(key="study_targets").set_value("50")
    page.text_input(key="study_seeds").set_value("0, 1")
    page.multiselect(key="study_controls").set_value(["scratch", "continued"])
    page.button(key="study_plan").click().run()
    assert not page.exception
    runs = page.dataframe[0].value
    assert set(runs["arm"]) == {"dense", "sparse", "scratch", "continued"}
    assert set(runs["seed"]) == {0, 1}
    assert set(runs["tasks"]) == {"seg", "depth", "normals", "seg+depth+normals"}


def test_a_tailoring_asks_for_one_sparsity_and_what_counts_as_alive(runs_root: Path) -> None:
    page = _form()
    page.segmented_control(key="study_kind").set_value("tailor").run()
    assert page.text_input(key="study_tailor_targets").value == "70"
    page.selectbox(key="study_tailor_projections").set_value("count")
    page.button(key="study_plan").click().run()
    assert not page.exception
    planned = page.dataframe[0].value
    assert planned["arm"].tolist() == ["sparse"] * 3 + ["dense", "tailored"]
    page.text_input(key="study_tailor_targets").set_value("50, 60")
    page.button(key="study_plan").click().run()
    assert "must give one sparsity for all tasks" in page.error[0].value


def test_a_base_is_a_run_that_is_there_and_its_time_is_known(runs_root: Path) -> None:
    path = write_path(runs_root)
    page = _form()
    page.selectbox(key="study_base").set_value(path.run("sparse-target-40/seg+depth/equal/0").id).run()
    page.text_input(key="study_targets").set_value("20, 30")
    page.button(key="study_plan").click().run()
    assert not page.exception
    assert "3 runs, 2 of them already done. At most 5 epochs in all" in said(page).replace("*", "")
    assert "judging by earlier runs like these" in said(page)


@pytest.mark.parametrize(
    ("widget", "value", "found"),
    [("targets", "200", "targets"), ("targets", "", "targets"), ("seeds", "0, 0", "seeds"), ("seeds", "x", "seeds")],
)
def test_what_makes_no_sense_is_said_and_nothing_can_be_started(
    runs_root: Path, widget: str, value: str, found: str
) -> None:
    page = _form()
    page.text_input(key=f"study_{widget}").set_value(value)
    page.button(key="study_plan").click().run()
    assert not page.exception
    assert found in page.error[0].value
    assert not any(button.key == "study_submit" for button in page.button)
    assert not list_studies(runs_root)


def test_a_base_that_was_thinned_while_training_keeps_its_width_in_a_study(make_run: MakeRun) -> None:
    run = make_run(penalty={"strength": 1e-2, "removal": 2})
    page = _form()
    page.selectbox(key="study_base").set_value(run.id).run()
    page.button(key="study_plan").click().run()
    assert not page.exception
    assert not page.error


def test_every_leaf_of_a_study_can_be_given_or_has_its_reason() -> None:
    left_out = {"kind", "format_version", "base", "scheduler", "cluster"}  # a cluster is for the command line
    asked = {"name", "targets", "strengths", "seeds", "workers", "warm", "latency"}
    assert set(PathSpec.model_fields) == asked | left_out
    assert set(StudySpec.model_fields) == asked | left_out | {
        "subsets",
        "definition",
        "unseen",
        "distillation",
        "controls",
        "balancings",
    }


def test_the_runs_of_a_path_keep_networks_on_the_way(runs_root: Path, end_workers: None) -> None:
    page = _form()
    page.button(key="study_plan").click().run()
    page.button(key="study_submit").click().run()
    (study,) = list_studies(runs_root)
    assert study.spec.base.snapshots == 5
