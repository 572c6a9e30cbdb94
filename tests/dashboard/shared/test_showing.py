from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from winnow.dashboard.shared import showing


def _script() -> None:
    import streamlit as st

    from winnow.dashboard.shared.showing import show

    options = list(range(st.session_state.get("first", 0), 9))
    show("number", st.session_state.get("said", 5), *options)
    st.select_slider("Number", options, key="number")  # the browser counts the options
    st.button("fewer", key="fewer", on_click=lambda: st.session_state.update(first=3))
    st.button("other", key="other", on_click=lambda: st.session_state.update(said=7))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn is a part of a page that redraws by itself."""
    ctx = SimpleNamespace(fragment_ids_this_run=["part"])
    monkeypatch.setattr(showing, "get_script_run_ctx", lambda: ctx)


def test_show_writes_always_where_the_whole_page_is_drawn() -> None:
    page = AppTest.from_function(_script).run()
    assert page.select_slider(key="number").proto.set_value
    assert page.run().select_slider(key="number").proto.set_value


@pytest.mark.usefixtures("alone")
def test_show_writes_in_a_part_that_redraws_only_what_differs() -> None:
    page = AppTest.from_function(_script).run()
    assert page.select_slider(key="number").proto.set_value
    assert not page.run().select_slider(key="number").proto.set_value
    slider = page.button(key="other").click().run().select_slider(key="number")
    assert (slider.value, slider.proto.set_value) == (7, True)


@pytest.mark.usefixtures("alone")
def test_show_writes_a_value_anew_where_the_options_are_others() -> None:
    page = AppTest.from_function(_script).run()
    assert not page.run().select_slider(key="number").proto.set_value
    slider = page.button(key="fewer").click().run().select_slider(key="number")
    assert (slider.value, slider.proto.set_value) == (5, True)
