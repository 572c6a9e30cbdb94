import shutil
from collections.abc import Callable

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from tests.dashboard.reading import said
from winnow.engine.runs.run import Run


def _bar() -> None:
    import streamlit as st

    from winnow.dashboard.shared.run_bar import run_bar

    if (bar := run_bar()) is not None:
        run, beside = bar
        beside.caption("beside the selector")
        st.text(run.id)


def test_the_run_that_the_address_names_is_chosen_and_the_newest_without_one(make_run: Callable[..., Run]) -> None:
    first, second = make_run(), make_run()
    page = AppTest.from_function(_bar, default_timeout=30).run()
    assert page.text[0].value == second.id
    assert [page.selectbox[0].options, page.caption[0].value] == [
        [f"small · {run.id}" for run in (second, first)],
        "beside the selector",
    ]
    page = AppTest.from_function(_bar, default_timeout=30)
    page.query_params["run"] = first.id
    assert page.run().text[0].value == first.id


def test_without_a_run_the_welcome_is_drawn_and_nothing_else(runs_root: object) -> None:
    page = AppTest.from_function(_bar, default_timeout=30).run()
    assert not page.exception
    assert ([title.value for title in page.title], len(page.text), len(page.selectbox)) == (["Winnow"], 0, 0)


def test_a_run_that_failed_says_so_and_why_in_a_badge(make_run: Callable[..., Run]) -> None:
    make_run(state="failed", message="loss became NaN at epoch 2, step 14 (task depth)")
    page = AppTest.from_function(_bar, default_timeout=30).run()
    assert "failed: loss became NaN at epoch 2, step 14 (task depth)" in said(page)
    make_run()
    assert "failed" not in said(AppTest.from_function(_bar, default_timeout=30).run())


def test_an_idle_page_looks_at_what_it_shows_and_at_what_is_gone(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float | None] = []
    real = streamlit.fragment

    def fragment(part: Callable[[], None], run_every: float | None = None) -> Callable[[], None]:
        looks.append(run_every)
        found: Callable[[], None] = real(part, run_every=run_every)
        return found

    monkeypatch.setattr(streamlit, "fragment", fragment)
    run, _ = make_run(), make_run()
    page = AppTest.from_function(_bar, default_timeout=30)
    page.query_params["run"] = run.id
    page.run()
    shutil.rmtree(run.path)
    assert f"There is no run {run.id}" in page.run().error[0].value.replace("\\", "")
    assert looks == [5.0, 5.0]
