import pytest
from streamlit.testing.v1 import AppTest

from winnow.engine.runs.norm_log import Layer

LAYERS = [Layer("stem", 3, 9), Layer("<b>deep</b>", 4, 18)]


def _script() -> None:
    import streamlit as st

    from tests.dashboard.shared.test_selection import LAYERS
    from winnow.dashboard.frames.cells import Cell
    from winnow.dashboard.shared.selection import select, select_layer, selected

    found = selected(LAYERS, st.session_state.get("shown", "input"))
    st.text(str(found.cell))
    st.text(found.absent)
    st.button("filter", key="filter", on_click=lambda: select(Cell("stem", 2, "output")))
    st.button("channel", key="channel", on_click=lambda: select(Cell("stem", 1)))
    st.button("layer", key="layer", on_click=lambda: select_layer("stem"))
    st.button("nothing", key="nothing", on_click=lambda: select(None))


def _page(shown: str = "input", /, **address: str) -> AppTest:
    page = AppTest.from_function(_script, default_timeout=30)
    page.session_state["shown"] = shown
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


def test_a_cell_is_selected_with_its_kind_and_the_rest_of_the_address_stays() -> None:
    page = _page(run="some run")
    page.button(key="filter").click().run()
    assert dict(page.query_params) == {"run": "some run", "layer": "stem", "channel": "2", "kind": "output"}
    page.button(key="channel").click().run()
    assert dict(page.query_params) == {"run": "some run", "layer": "stem", "channel": "1"}
    assert page.text[0].value == "stem, input channel 1"
    page.button(key="layer").click().run()
    assert dict(page.query_params) == {"run": "some run", "layer": "stem"}
    page.button(key="nothing").click().run()
    assert dict(page.query_params) == {"run": "some run"}


@pytest.mark.parametrize(("own", "other"), [("input", "output"), ("input", "coupled"), ("output", "input")])
def test_a_cell_of_another_kind_is_not_taken_for_its_namesake(own: str, other: str) -> None:
    page = _page(own, layer="stem", channel="1", **({} if other == "input" else {"kind": other}))
    assert page.text[0].value == "None"
    assert "cells of another kind" in page.text[1].value


def test_a_filter_is_selected_where_the_page_shows_filters() -> None:
    assert _page("output", layer="stem", channel="1", kind="output").text[0].value == "stem, filter 1"


@pytest.mark.parametrize(
    "address",
    [
        {"layer": "stem", "channel": "3"},
        {"layer": "<script>", "channel": "0"},
        {"layer": "stem", "channel": "-1"},
        {"layer": "stem", "channel": "zero"},
    ],
)
def test_a_cell_that_is_not_there_is_said(address: dict[str, str]) -> None:
    page = _page(**address)
    assert page.text[0].value == "None"
    assert "is not in this network" in page.text[1].value


def test_an_unknown_kind_is_none_of_this_page() -> None:
    page = _page(layer="stem", channel="0", kind="<script>")
    assert page.text[0].value == "None"
    assert "unknown kind" in page.text[1].value


@pytest.mark.parametrize("address", [{}, {"layer": "stem"}, {"channel": "1"}, {"layer": "", "channel": "1"}])
def test_half_a_cell_selects_nothing_and_says_nothing(address: dict[str, str]) -> None:
    page = _page(**address)
    assert [text.value for text in page.text] == ["None", ""]
