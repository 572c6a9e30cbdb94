from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from winnow.dashboard.shared import address


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


def _standing() -> None:
    import streamlit as st

    from winnow.dashboard.shared import address

    address.arrive(st.session_state.get("page", "groups"))
    address.complete(st.session_state.get("more", {}))
    size = address.segments("size", "Size", {1: "one", 2: "two"}, 1)
    st.text(f"size: {size}")
    st.button("leave", key="leave", on_click=lambda: st.session_state.update(page="train"))


def _left(size: str = "2") -> AppTest:
    """A page whose size was 1, and whose browser asks for that once more after a click on another."""
    page = AppTest.from_function(_standing, default_timeout=30)
    page.query_params["run"] = "a"
    page.run().segmented_control(key="size").set_value(int(size)).run()
    assert dict(page.query_params) == {"run": "a", "size": size}
    del page.query_params["size"]
    return page


def test_arrive_does_not_take_an_address_that_a_click_just_left() -> None:
    page = _left().run()
    assert page.text[0].value == "size: 2"
    assert dict(page.query_params) == {"run": "a", "size": "2"}


def test_arrive_takes_what_the_user_went_back_to(monkeypatch: pytest.MonkeyPatch) -> None:
    page = _left()
    monkeypatch.setattr(address, "get_script_run_ctx", lambda: SimpleNamespace(is_history_navigation=True))
    assert page.run().text[0].value == "size: 1"
    assert dict(page.query_params) == {"run": "a"}


def test_arrive_takes_an_address_that_was_left_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    page = _left()
    monkeypatch.setattr(address, "LATE", 0.0)
    assert page.run().text[0].value == "size: 1"


def test_arrive_takes_the_same_address_for_another_page() -> None:
    assert _left().button(key="leave").click().run().text[0].value == "size: 1"


def test_arrive_does_not_take_an_address_that_was_completed_and_left() -> None:
    page = AppTest.from_function(_standing, default_timeout=30)
    page.session_state["more"] = {"run": "a"}
    page.run().segmented_control(key="size").set_value(2).run()
    assert dict(page.query_params) == {"run": "a", "size": "2"}
    del page.query_params["size"]  # what the browser wrote in place of no address at all
    assert page.run().text[0].value == "size: 2"


def test_arrive_takes_the_slides_that_were_just_left() -> None:
    def script() -> None:
        import streamlit as st

        from winnow.dashboard.shared import address

        address.arrive("report")
        st.text(str(address.requested().get(address.PRESENT)))
        st.button("leave", key="leave", on_click=lambda: address.change({address.PRESENT: None}))

    page = AppTest.from_function(script, default_timeout=30)
    page.query_params["present"] = "1"
    assert page.run().button(key="leave").click().run().text[0].value == "None"
    page.query_params["present"] = "1"
    assert page.run().text[0].value == "1"


def test_arrive_takes_an_address_that_is_new() -> None:
    page = _left()
    page.query_params["run"] = "b"
    assert page.run().text[0].value == "size: 1"


def test_requested_is_where_the_page_stands_whatever_the_browser_says_meanwhile() -> None:
    def script() -> None:
        import streamlit as st

        from winnow.dashboard.shared import address

        address.arrive("groups")
        st.query_params.from_dict({"run": "late"})  # as a part that redraws by itself gets it
        st.text(address.requested()["run"])

    page = AppTest.from_function(script, default_timeout=30)
    page.query_params["run"] = "a"
    assert page.run().text[0].value == "a"
