from collections.abc import Mapping

import pytest
from streamlit.testing.v1 import AppTest


def _script() -> None:
    import streamlit as st

    from winnow.dashboard.shared import address

    counted = st.session_state.setdefault("runs", 0)
    st.session_state["runs"] = counted + 1
    tabs = address.tabs("view", ("First", "Second"))
    for tab in tabs:
        if tab.open:
            with tab:
                st.text(f"open: {tabs.index(tab)}")
    size = address.segments("size", "Size", {1: "one", 2: "two"}, 1)
    st.text(f"size: {size}")
    st.button("change", key="change", on_click=lambda: address.change({"run": "x", "view": None}))
    st.button("same", key="same", on_click=lambda: address.change({"run": address.named("run")}))


def _page(address: Mapping[str, str] = {}) -> AppTest:
    page = AppTest.from_function(_script, default_timeout=30)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


def test_following_a_widget_shows_what_the_address_says() -> None:
    page = _page({"size": "2", "view": "Second"})
    assert [text.value for text in page.text] == ["open: 1", "size: 2"]


@pytest.mark.parametrize("value", ["", "3", "<script>", "First "])
def test_following_a_widget_shows_the_usual_where_the_address_makes_no_sense(value: str) -> None:
    page = _page({"size": value, "view": value})
    assert not page.exception
    assert [text.value for text in page.text] == ["open: 0", "size: 1"]


def test_segments_write_the_address_and_the_usual_leaves_it() -> None:
    page = _page({"run": "a"})
    page.segmented_control(key="size").set_value(2).run()
    assert dict(page.query_params) == {"run": "a", "size": "2"}
    page.segmented_control(key="size").set_value(1).run()
    assert dict(page.query_params) == {"run": "a"}


def test_change_writes_all_at_once_and_nothing_where_nothing_changes() -> None:
    page = _page({"run": "a", "view": "Second"})
    page.button(key="change").click().run()
    assert dict(page.query_params) == {"run": "x"}
    before = page.session_state["runs"]
    page.button(key="same").click().run()
    assert page.session_state["runs"] == before + 1


def test_named_is_cut_to_what_is_worth_reading() -> None:
    def script() -> None:
        import streamlit as st

        from winnow.dashboard.shared import address

        st.text(str(len(address.named("run") or "")))

    page = AppTest.from_function(script)
    page.query_params["run"] = "x" * 50_000
    assert page.run().text[0].value == "1000"


def test_following_a_widget_ignores_a_title_that_is_out_of_date() -> None:
    def script() -> None:
        import streamlit as st

        from winnow.dashboard.shared import address

        widget = address.following("job", ["a", "b"], "a")
        st.session_state["job"] = "▶ b"  # what a page sends that was drawn before the job's title changed
        widget["on_change"]()

    page = AppTest.from_function(script, default_timeout=30)
    page.query_params["job"] = "b"
    page.run()
    assert not page.exception
    assert dict(page.query_params) == {"job": "b"}
