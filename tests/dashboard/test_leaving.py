"""A page that is left and opened again is as it is opened first: Streamlit drops the fields of a page meanwhile."""

from collections.abc import Callable
from typing import Any

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.making_maps import write_maps
from tests.dashboard.pruning_making import write_pruning
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study

MakeRun = Callable[..., Run]
FIELDS = (
    "selectbox", "number_input", "slider", "select_slider", "text_input", "text_area", "multiselect", "toggle",
    "checkbox", "radio", "button_group",
)  # fmt: skip
OF_A_RUN = ("runs", "train", "groups", "tasks", "explain", "prune", "compare", "report")


def _drawn(name: str) -> None:
    from importlib import import_module

    import streamlit as st

    if not st.session_state.get("elsewhere"):
        import_module(f"winnow.dashboard.pages.{name}.page").page()


def _fields(page: AppTest) -> dict[str, Any]:
    """Return what the fields of a page hold, by their keys."""
    assert not page.exception
    found = [field for kind in FIELDS for field in page.get(kind)]
    return {field.key: field.value for field in found if field.key and hasattr(field, "value")}


def _before_and_after(name: str, **address: str) -> tuple[dict[str, Any], dict[str, Any]]:
    page = AppTest.from_function(_drawn, default_timeout=60, args=(name,))
    for key, value in address.items():
        page.query_params[key] = value
    first = _fields(page.run())
    page.session_state["elsewhere"] = True
    page.run()
    page.session_state["elsewhere"] = False
    for key, value in address.items():
        page.query_params[key] = value
    return first, _fields(page.run())


@pytest.mark.parametrize("name", OF_A_RUN)
def test_a_page_is_the_same_after_a_visit_to_another(make_stored_run: MakeRun, name: str) -> None:
    run = make_stored_run(tasks=["seg", "depth", "normals"])
    write_maps(write_explanation(run))
    write_pruning(run)
    first, after = _before_and_after(name, run=run.id)
    assert first == after


def test_the_fields_of_a_live_run_hold_what_is_in_force_after_a_visit_to_another_page(make_run: MakeRun) -> None:
    run, own = make_run(penalty={"strength": 1e-3, "target": 50.0}), psutil.Process()
    write_events(run.path / "events.jsonl", [Event(0.0, 0, 0, None, "start", "strength_max", 0.01)])
    known = {"state": "running", "phase": "training", "finished": None, "progress": 0.3}
    status = run.recorded_status().model_copy(update={**known, "pid": own.pid, "pid_created": own.create_time()})
    replace(run.path / "status.json", status.model_dump_json().encode())
    with run.lock():
        first, after = _before_and_after("train", run=run.id)
    assert first == after
    assert (after["strength_input"], after["target_input"]) == (pytest.approx(1e-3), 50.0)


def test_the_path_page_is_the_same_after_a_visit_to_another(the_path: Study, the_study: Study) -> None:
    for work in (the_path, the_study):
        first, after = _before_and_after("path", study=work.id)
        assert first == after
