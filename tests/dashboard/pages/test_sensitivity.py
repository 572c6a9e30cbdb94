"""The sensitivity of the layers on the Prune page: sentence, map, suggested shares, and a pruning by one click."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making_sensitivities import write_sensitivity
from tests.dashboard.reading import opened, said
from winnow.engine.runs import launch
from winnow.engine.runs.derived import derived_jobs
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]


def _prune() -> None:
    from winnow.dashboard.pages.prune.page import page

    page()


def _page(**address: str) -> AppTest:
    page = AppTest.from_function(_prune, default_timeout=60)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(launch, "start", lambda work, *more: found.append(work.id) or 1)
    return found


def test_the_map_follows_the_tolerance_and_its_shares_are_pruned_by_one_click(
    make_stored_run: MakeRun, started: list[str]
) -> None:
    run = make_stored_run()
    work = write_sensitivity(run)
    page = _page(run=run.id, prune_view="sensitivity")
    assert not page.exception
    assert "2 of 3 layers can lose channels that are in use at no more than 1 %" in page.session_state["page_says"]
    assert "64 validation images · cut by low norms" in said(page)
    assert len(page.get("plotly_chart")) == 1
    assert page.dataframe[0].value["share"].tolist() == [25, 50, 0]
    page.number_input(key=f"tolerance_{work.id}").set_value(60.0).run()
    assert page.dataframe[0].value["share"].tolist() == [90, 90, 25]
    page.button(key="prune_by_sensitivity").click().run()
    spec = derived_jobs(run, "prune")[0].spec
    assert (spec.criterion, spec.sensitivity, spec.tolerance, spec.budget) == ("norm", work.id, 60.0, None)
    assert started == [derived_jobs(run, "prune")[0].id]


def test_an_analysis_is_started_and_one_that_is_gone_is_said(make_stored_run: MakeRun, started: list[str]) -> None:
    run = make_stored_run()
    page = _page(run=run.id, prune_view="sensitivity")
    assert "Each layer alone is cut" in page.info[0].value
    page.button(key="sensitivity_submit").click().run()
    assert started == [derived_jobs(run, "sensitivity")[0].id]
    lost = _page(run=run.id, prune_view="sensitivity", sensitivity="20200101-000000-gone")
    assert not lost.exception
    assert "There is no sensitivity analysis" in lost.error[0].value
    assert not lost.get("plotly_chart")


def test_a_new_pruning_can_follow_an_analysis_of_its_criterion(make_stored_run: MakeRun, started: list[str]) -> None:
    run = make_stored_run()
    work = write_sensitivity(run)
    page = _page(run=run.id)
    page.segmented_control(key="prune_criterion").set_value("norm").run()
    page.selectbox(key="prune_sensitivity_norm").set_value(work.id)
    page.button(key="prune_submit").click().run()
    assert derived_jobs(run, "prune")[0].spec.sensitivity == work.id
    other = opened(_page(run=run.id), f"new_pruning_{run.id}")
    other.segmented_control(key="prune_criterion").set_value("relevance").run()
    assert not [box for box in other.selectbox if box.key == "prune_sensitivity_relevance"]


def test_an_analysis_that_is_started_elsewhere_shuts_no_form_and_waits_to_be_chosen(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    page = _page(run=run.id, prune_view="sensitivity")
    page.number_input(key="sensitivity_tolerance").set_value(3.0).run()
    write_sensitivity(run)
    page.run()
    assert page.number_input(key="sensitivity_tolerance").value == 3.0
    assert not page.get("plotly_chart")
    assert "by now that you have not chosen" in page.info[-1].value
    assert _page(run=run.id, prune_view="sensitivity").get("plotly_chart")
