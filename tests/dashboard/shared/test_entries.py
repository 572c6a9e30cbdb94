"""What is entered into a form is there when it is opened again."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from tests.dashboard.drawing import drawn
from tests.dashboard.pruning_making import write_pruning
from tests.dashboard.reading import opened
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]


def _script() -> None:
    import streamlit as st

    from winnow.dashboard.shared.entries import entered, entered_options, entered_place, keep_entries

    keep_entries()
    if st.session_state["open"]:
        names = ["a", "b", "c"]
        st.number_input("n", value=entered("n", st.session_state["usual"]), key="n")
        st.text_input("t", entered("t", ""), key="t")
        st.toggle("s", entered("s", False), key="s")
        st.selectbox("o", names, index=entered_place("o", names), key="o")
        st.multiselect("m", names, default=entered_options("m", names, ["a"]), key="m")


def _form() -> AppTest:
    page = AppTest.from_function(_script)
    page.session_state["usual"] = 3
    return _shown(page, True)


def _shown(page: AppTest, there: bool) -> AppTest:
    page.session_state["open"] = there
    return page.run()


def test_entered() -> None:
    page = _form()
    page.number_input(key="n").set_value(7)
    page.text_input(key="t").set_value("left")
    page.toggle(key="s").set_value(True)
    page.selectbox(key="o").set_value("c")
    page.multiselect(key="m").set_value(["b"])
    page.run()
    assert not _shown(page, False).number_input
    _shown(page, False)
    _shown(page, True)
    assert not page.exception
    values = [page.number_input(key="n").value, page.text_input(key="t").value, page.toggle(key="s").value]
    assert [*values, page.selectbox(key="o").value, page.multiselect(key="m").value] == [7, "left", True, "c", ["b"]]


def test_a_usual_value_that_changes_meanwhile_holds() -> None:
    page = _form()
    page.number_input(key="n").set_value(7).run()
    _shown(page, False)
    page.session_state["usual"] = 5
    assert _shown(page, True).number_input(key="n").value == 5


def test_a_usual_value_that_changes_holds_in_a_widget_that_stays_in_sight() -> None:
    page = _form()
    page.number_input(key="n").set_value(7).run()
    page.session_state["usual"] = 5
    assert page.run().number_input(key="n").value == 5
    assert page.run().number_input(key="n").value == 5
    assert not page.exception


def test_the_form_of_a_pruning_opens_as_it_was_left(make_stored_run: MakeRun) -> None:
    run = make_stored_run(tasks=["depth", "seg"])
    write_pruning(run)
    page = opened(drawn("prune", run=run.id), f"new_pruning_{run.id}")
    page.segmented_control(key="prune_criterion").set_value("norm").run()
    page.number_input(key="prune_budget").set_value(70.0)
    page.selectbox(key="prune_budget_of").set_value("parameter")
    page.multiselect(key=f"prune_tasks_{run.id}").set_value(["seg"])
    page.text_input(key="prune_batches").set_value("1, 8")
    page.session_state[f"new_pruning_{run.id}"] = False
    assert not page.run().number_input
    opened(page.run(), f"new_pruning_{run.id}")
    assert not page.exception
    assert page.segmented_control(key="prune_criterion").value == "norm"
    assert page.number_input(key="prune_budget").value == 70
    assert page.selectbox(key="prune_budget_of").value == "parameter"
    assert page.multiselect(key=f"prune_tasks_{run.id}").value == ["seg"]
    assert page.text_input(key="prune_batches").value == "1, 8"


def _of_a_run() -> None:
    import streamlit as st

    from winnow.dashboard.forms.explain import new_explanation
    from winnow.dashboard.forms.prune import new_pruning
    from winnow.dashboard.shared.entries import keep_entries
    from winnow.engine.runs.run import find

    keep_entries()
    new_pruning(find(st.session_state["run"]))
    new_explanation(find(st.session_state["run"]))


def test_what_was_chosen_of_a_run_is_there_after_a_run_that_lacks_it(make_stored_run: MakeRun) -> None:
    both, one = make_stored_run(tasks=["depth", "seg"]), make_stored_run(tasks=["depth"])
    page = AppTest.from_function(_of_a_run)
    page.session_state["run"] = both.id
    layers = page.run().multiselect(key=f"explain_layers_{both.id}").options
    page.multiselect(key=f"prune_tasks_{both.id}").set_value(["depth", "seg"])
    page.multiselect(key=f"explain_layers_{both.id}").set_value(layers[:1]).run()
    page.session_state["run"] = one.id
    page.run().run()
    assert page.multiselect(key=f"prune_tasks_{one.id}").value == []
    assert page.multiselect(key=f"explain_layers_{one.id}").value == []
    page.session_state["run"] = both.id
    page.run()
    assert not page.exception
    assert page.multiselect(key=f"prune_tasks_{both.id}").value == ["depth", "seg"]
    assert page.multiselect(key=f"explain_layers_{both.id}").value == layers[:1]
