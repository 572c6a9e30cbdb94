from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.making_studies import write_path
from tests.dashboard.pruning_making import write_pruning
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]
ALL = ["run", "other", "study", "pruning", "explanation"]


def _completed(**address: str) -> dict[str, str]:
    def script() -> None:
        import streamlit as st

        from winnow.dashboard.shared import address
        from winnow.dashboard.shared.choosing import completed

        st.json(completed(["run", "other", "study", "pruning", "explanation"], address.linked()))

    page = AppTest.from_function(script, default_timeout=30)
    for name, value in address.items():
        page.query_params[name] = value
    found: dict[str, str] = __import__("json").loads(page.run().json[0].value)
    return found


def test_completed_is_what_the_address_says_and_the_newest_of_the_rest(make_stored_run: MakeRun) -> None:
    older, newer = make_stored_run(), make_stored_run()
    pruning, explanation = write_pruning(older), write_explanation(older)
    assert _completed() == {"run": newer.id, "other": older.id}
    found = _completed(run=older.id, layer="stem", channel="1", junk="x")
    made = {"pruning": pruning.id, "explanation": explanation.id}
    assert found == {"run": older.id, "other": newer.id, "layer": "stem", "channel": "1", **made}
    study = write_path(older.path.parent, targets=[40])
    assert _completed()["study"] == study.id


def test_completed_takes_nothing_in_place_of_what_is_gone(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    write_pruning(run)
    assert _completed(run="gone") == {"run": "gone", "other": run.id}


def test_completed_is_empty_in_an_empty_folder(runs_root: object) -> None:
    assert _completed() == {}


def _going(chosen: dict[str, str], **address: str) -> dict[str, str]:
    def script(chosen: dict[str, str]) -> None:
        import streamlit as st

        from winnow.dashboard.shared.choosing import going

        st.json(going(chosen))

    page = AppTest.from_function(script, default_timeout=30, kwargs={"chosen": chosen})
    for name, value in address.items():
        page.query_params[name] = value
    found: dict[str, str] = __import__("json").loads(page.run().json[0].value)
    return found


def test_going_to_another_run_leaves_behind_what_belongs_to_this_one() -> None:
    address = {"run": "a", "pruning": "p", "explanation": "e", "study": "s", "layer": "stem", "view": "Log"}
    assert _going({"run": "b"}, **address) == {"run": "b", "study": "s", "layer": "stem"}
    assert _going({"run": "a"}, **address) == {name: value for name, value in address.items() if name != "view"}
    assert _going({"run": "b"}, run="a", other="b") == {"run": "b"}
    assert _going({"run": "b", "other": "c"}, run="a", other="b") == {"run": "b", "other": "c"}


def test_the_first_job_that_comes_while_a_page_is_open_is_not_chosen_and_is_on_the_next_visit(
    make_stored_run: MakeRun,
) -> None:
    def script() -> None:
        import streamlit as st

        from winnow.dashboard.shared import address
        from winnow.dashboard.shared.choosing import Selector, chosen_of, complete_usual
        from winnow.engine.runs.derived import derived_jobs
        from winnow.engine.runs.run import list_runs

        address.arrive(st.session_state["open"])
        complete_usual(["run", "pruning"])  # as the bar of all pages does
        if st.session_state["open"] == "prune":
            known = {work.id: work.id for work in derived_jobs(list_runs()[0], "prune")}
            st.text(str(chosen_of(Selector("pruning", "Pruning", 300), known)))

    run = make_stored_run()
    page = AppTest.from_function(script, default_timeout=30)
    page.session_state["open"] = "prune"
    assert page.run().text[0].value == "None"
    work = write_pruning(run)
    assert page.run().text[0].value == "None"
    page.query_params["run"] = run.id  # the browser writes the completed address in place of what was asked for
    assert page.run().text[0].value == "None"
    assert page.selectbox(key="pruning").options == [work.id]
    page.session_state["open"] = "train"
    page.run()
    page.session_state["open"] = "prune"
    assert page.run().text[0].value == work.id
