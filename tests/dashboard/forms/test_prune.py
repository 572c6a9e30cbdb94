from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from winnow.engine.runs.derived import derived_jobs
from winnow.engine.runs.run import Run
from winnow.engine.specs.prune import PruneSpec

MakeRun = Callable[..., Run]


def _form(run: Run) -> AppTest:
    def script(identity: str) -> None:
        import streamlit as st

        from winnow.dashboard.forms.prune import new_pruning
        from winnow.engine.runs.run import find

        if work := new_pruning(find(identity)):
            st.text(work.id)

    return AppTest.from_function(script, args=(run.id,), default_timeout=60).run()


def _drawn(page: AppTest) -> set[str]:
    choices = (page.selectbox, page.multiselect, page.segmented_control, page.toggle)
    kinds = (page.number_input, page.text_input, *choices)
    return {str(widget.key) for kind in kinds for widget in kind}


def test_the_form_as_it_opens_asks_for_exact_zeros(make_stored_run: MakeRun, end_workers: None) -> None:
    run = make_stored_run()
    page = _form(run)
    page.button(key="prune_submit").click().run()
    assert not page.exception
    (work,) = derived_jobs(run, "prune")
    assert work.spec == PruneSpec()
    assert page.text[0].value == work.id
    assert work.recorded_status().requested is not None


def test_what_is_entered_is_what_is_done(make_stored_run: MakeRun, end_workers: None) -> None:
    run = make_stored_run(tasks=["depth", "seg"])
    page = _form(run)
    page.segmented_control(key="prune_criterion").set_value("norm").run()
    page.number_input(key="prune_budget").set_value(70.0)
    page.selectbox(key="prune_budget_of").set_value("parameter")
    page.number_input(key="prune_floor").set_value(0.1)
    page.multiselect(key=f"prune_tasks_{run.id}").set_value(["seg"])
    page.selectbox(key="prune_repair").set_value("both")
    page.number_input(key="prune_refit_epochs").set_value(3)
    page.number_input(key="prune_distillation").set_value(0.25)
    page.number_input(key="prune_learning_rate").set_value(1e-4)
    page.text_input(key="prune_batches").set_value("1, 8")
    page.button(key="prune_submit").click().run()
    assert not page.exception
    (work,) = derived_jobs(run, "prune")
    spec = work.spec
    assert isinstance(spec, PruneSpec)
    assert (spec.criterion, spec.budget, spec.budget_of, spec.floor) == ("norm", 70, "parameter", 0.1)
    assert (spec.repair, spec.distillation) == ("both", 0.25)
    assert (spec.tasks, spec.refit_epochs, spec.learning_rate, spec.batches) == (("seg",), 3, 1e-4, (1, 8))


@pytest.mark.parametrize(("batches", "named"), [("1, many", "batches"), ("4, 4", "batches"), ("", "batches")])
def test_what_makes_no_sense_starts_nothing(make_stored_run: MakeRun, batches: str, named: str) -> None:
    run = make_stored_run()
    page = _form(run)
    page.text_input(key="prune_batches").set_value(batches)
    page.button(key="prune_submit").click().run()
    assert len(page.error) == 1
    assert named in page.error[0].value
    assert not derived_jobs(run, "prune")


def test_a_budget_of_all_is_refused(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    page = _form(run)
    page.segmented_control(key="prune_criterion").set_value("relevance").run()
    page.number_input(key="prune_budget").set_value(100.0)
    page.button(key="prune_submit").click().run()
    assert "budget" in page.error[0].value
    assert not derived_jobs(run, "prune")


def test_every_leaf_of_the_spec_has_a_widget(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    page = _form(run)
    drawn = _drawn(page)
    for criterion in ("norm", "relevance"):
        page.segmented_control(key="prune_criterion").set_value(criterion).run()
        drawn |= _drawn(page)
    by_analysis = ("sensitivity", "tolerance")  # offered once there is an analysis: tests of pages/test_sensitivity.py
    leaves = {name for name in PruneSpec.model_fields if name not in ("kind", "format_version", *by_analysis)}
    assert {f"prune_{name}" for name in leaves} <= {key.removesuffix(f"_{run.id}") for key in drawn}


def test_an_optional_leaf_with_a_limit_of_its_own_is_empty_and_says_so(make_stored_run: MakeRun) -> None:
    rate = _form(make_stored_run()).number_input(key="prune_learning_rate")
    assert (rate.value, rate.placeholder, rate.min) == (None, "not set", 0)
