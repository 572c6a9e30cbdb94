from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from engine.runs import list_runs
from engine.spec import parse


@pytest.fixture
def end_workers() -> Iterator[None]:
    """End the processes that a test started."""
    yield
    for child in psutil.Process().children(recursive=True):
        if "engine.worker" in child.cmdline():
            child.kill()


def _form() -> AppTest:
    def script() -> None:
        import streamlit as st

        from dashboard.forms import new_run

        if run := new_run():
            st.text(run.id)

    return AppTest.from_function(script, default_timeout=60).run()


def test_the_form_as_it_opens_describes_the_default_run(runs_root: Path, end_workers: None) -> None:
    page = _form()
    page.button(key="new_submit").click().run()
    assert not page.exception
    (run,) = list_runs(runs_root)
    assert run.spec == parse({})
    assert page.text[0].value == run.id
    assert run.recorded_status().requested is not None


def test_what_is_entered_is_what_is_run(runs_root: Path, end_workers: None) -> None:
    page = _form()
    page.text_input(key="new_name").set_value("narrow")
    page.number_input(key="new_strength").set_value(3e-5)
    page.number_input(key="new_train_length").set_value(32)
    page.text_input(key="new_widths").set_value("8, 16")
    page.text_input(key="new_blocks").set_value("1, 1")
    page.multiselect(key="new_tasks_scenes").set_value(["depth"])
    page.button(key="new_submit").click().run()
    (run,) = list_runs(runs_root)
    assert (run.spec.name, run.spec.penalty.strength, run.spec.tasks) == ("narrow", 3e-5, ("depth",))
    assert (run.spec.network.widths, run.spec.network.blocks) == ((8, 16), (1, 1))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [("new_widths", "24, wide", "widths"), ("new_blocks", "2", "blocks"), ("new_name", "", "name")],
)
def test_a_description_that_makes_no_sense_starts_nothing(runs_root: Path, key: str, value: str, named: str) -> None:
    page = _form()
    page.text_input(key=key).set_value(value)
    page.button(key="new_submit").click().run()
    assert len(page.error) == 1
    assert named in page.error[0].value
    assert "\n" not in page.error[0].value
    assert not list(runs_root.iterdir())


def test_a_batch_larger_than_the_data_is_refused(runs_root: Path) -> None:
    page = _form()
    page.number_input(key="new_train_length").set_value(8)
    page.button(key="new_submit").click().run()
    assert "batch_size" in page.error[0].value
    assert not list(runs_root.iterdir())


def test_another_data_set_offers_its_own_tasks_and_options(runs_root: Path) -> None:
    page = _form()
    page.selectbox(key="new_dataset").select("digits").run()
    assert not page.exception
    assert "new_size" not in page.session_state
    assert page.multiselect(key="new_tasks_digits").value


def test_the_strength_is_written_with_an_exponent_and_starts_at_zero(runs_root: Path) -> None:
    strength = _form().number_input(key="new_strength")
    assert strength.proto.format == "%.2e"
    assert strength.min == 0
