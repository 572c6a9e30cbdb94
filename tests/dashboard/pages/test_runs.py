import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from streamlit.testing.v1 import AppTest

from tests.dashboard.drawing import drawn
from tests.dashboard.reading import said
from tests.timing import standard_seconds
from winnow.engine.runs.labels import labels_of, write_labels
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study


def _runs() -> None:
    from winnow.dashboard.pages.runs.page import page

    page()


def test_the_table_lists_runs_newest_first_with_word_and_sign(make_run: Callable[..., Run]) -> None:
    make_run(name="older", state="failed")
    make_run(name="newer")
    page = AppTest.from_function(_runs, default_timeout=30).run()
    assert not page.exception
    table = page.dataframe[0].value
    assert sorted(table["state"]) == ["✓ done", "✕ failed"]
    assert {"group_sparsity", "parameter_sparsity", "mac_sparsity", "depth: absolute error [m] ↓"} <= set(table)


def test_a_hostile_name_is_a_cell_of_text(make_run: Callable[..., Run]) -> None:
    make_run(name="<script>alert(1)</script> ../x")
    page = AppTest.from_function(_runs, default_timeout=30).run()
    (address,) = page.dataframe[0].value["name"]
    assert re.fullmatch(r"\./train\?run=[a-z0-9-]+#[A-Za-z0-9%._~()-]+", address)
    assert unquote(address.partition("#")[2]) == "<script>alert(1)</script> ../x"
    assert not any("script" in text.value for text in page.markdown)


def test_a_run_whose_spec_is_damaged_does_not_hide_the_others(make_run: Callable[..., Run]) -> None:
    make_run(name="good")
    (make_run(name="bad").path / "spec.json").write_text("{")
    page = AppTest.from_function(_runs, default_timeout=30).run()
    assert not page.exception
    assert len(page.dataframe[0].value) == 2


def test_runs_that_were_judged_on_other_images_are_told_apart(make_run: Callable[..., Run]) -> None:
    make_run()
    assert "sets of images" not in AppTest.from_function(_runs, default_timeout=30).run().caption[0].value
    make_run(data={"dataset": "scenes", "data_seed": 7})
    page = AppTest.from_function(_runs, default_timeout=30).run()
    assert sorted(page.dataframe[0].value["images"]) == ["scenes, data_seed 0", "scenes, data_seed 7"]
    assert "judged on 2 sets of images" in page.caption[0].value


def test_the_trade_off_says_which_runs_it_lacks_and_why(make_whole_run: Callable[..., Run]) -> None:
    for name in ("one", "two"):
        make_whole_run(name=name)
    make_whole_run(name="untrained", tasks=["seg"])
    make_whole_run(name="elsewhere", data={"dataset": "scenes", "data_seed": 7})
    new = make_whole_run(name="new", data={"dataset": "scenes", "data_seed": 8})
    (new.path / "events.jsonl").write_bytes(b"")
    page = drawn("runs", runs_view="Trade-off")
    page.selectbox(key="pareto_task").set_value("depth: absolute error [m] ↓").run()
    assert not page.exception
    assert (
        "Not drawn: 3 of 5 runs. Judged on other images: elsewhere; no metric recorded so far: new; "
        "no task depth: untrained." in said(page)
    )


def test_a_run_that_is_a_link_is_said_not_to_be_listed(make_run: Callable[..., Run], tmp_path_factory: Any) -> None:
    run = make_run()
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "run"
    run.path.rename(elsewhere)
    run.path.symlink_to(elsewhere, target_is_directory=True)
    page = AppTest.from_function(_runs, default_timeout=30).run()
    assert f"Not listed: {run.id}" in said(page)


def test_the_first_run_that_is_started_elsewhere_takes_the_place_of_the_welcome(
    runs_root: Path, make_run: Callable[..., Run]
) -> None:
    page = AppTest.from_function(_runs, default_timeout=30).run()
    assert page.button(key="start_demo")
    make_run()
    assert len(page.run().dataframe[0].value) == 1


def test_the_whole_page_is_drawn_anew_once_a_run_has_another_state(make_run: Callable[..., Run]) -> None:
    def script() -> None:
        import streamlit as st

        from winnow.dashboard.pages.runs import page

        st.session_state["times"] = st.session_state.get("times", 0) + 1
        if st.session_state["times"] == 1:
            page._followed([(next(iter(page.summaries())).id, "running")])
            st.text("still the old sentence")

    make_run()
    page = AppTest.from_function(script, default_timeout=30).run()
    assert (page.session_state["times"], len(page.text)) == (2, 0)


def _names(page: AppTest, place: int = 0) -> list[str]:
    return [unquote(link.partition("#")[2]) for link in page.dataframe[place].value["name"]]


def test_a_search_finds_names_tags_and_tasks(make_run: Callable[..., Run]) -> None:
    write_labels(make_run(name="one").path, tags=("good",), note="the Rain run")
    make_run(name="two", tasks=["seg"])
    make_run(name="three", state="failed")
    page = AppTest.from_function(_runs, default_timeout=30).run()
    for words, names in (("GOOD", ["one"]), ("rain one", ["one"]), ("seg", ["two"]), ("failed", ["three"]), ("x9", [])):
        page.text_input(key="runs_search").set_value(words).run()
        assert not page.exception
        assert (_names(page) if page.dataframe else []) == names, words
    assert "No run matches" in page.info[0].value


def test_a_study_is_one_row_and_its_runs_are_listed_without_it(the_study: Study) -> None:
    page = AppTest.from_function(_runs, default_timeout=60).run()
    assert not page.exception
    studies = next(frame.value for frame in page.dataframe if "running" in frame.value)
    members = the_study.members()
    made = members.loc[members["run"].ne("") & ~members["reused"].astype(bool), "run"]
    assert studies.set_index("id").loc[the_study.id, "runs"] == made.nunique() > 3
    page.toggle(key="runs_by_study").set_value(False).run()
    assert set(made) <= set(page.dataframe[0].value["id"])


def test_a_run_is_renamed_starred_and_noted_and_goes_to_the_trash_and_back(make_run: Callable[..., Run]) -> None:
    run = make_run(name="before")
    page = AppTest.from_function(_marked, args=(run.id,), default_timeout=30).run()
    page.text_input(key=f"label_name_{run.id}").set_value("after")
    page.checkbox(key=f"label_star_{run.id}").check()
    page.text_input(key=f"label_tags_{run.id}").set_value("a, b")
    page.button(key="label_save").click().run()
    assert not page.exception
    assert (labels_of(run.path).name, labels_of(run.path).tags, labels_of(run.path).star) == (
        "after",
        ("a", "b"),
        True,
    )
    page.text_input(key=f"label_name_{run.id}").set_value("  ")
    page.button(key="label_save").click().run()
    assert "must hold a letter" in page.error[0].value
    page.button(key="discard").click().run()
    assert not run.path.exists()
    page = AppTest.from_function(_trash, default_timeout=30).run()
    page.button(key="restore").click().run()
    assert run.path.exists()


def _marked(identity: str) -> None:
    from winnow.dashboard.frames.summaries import summaries
    from winnow.dashboard.pages.runs.marking import discarding, labelling

    for one in summaries():
        if one.id == identity:
            labelling(one)
            discarding([one])


def _trash() -> None:
    from winnow.dashboard.pages.runs.marking import trash_bin

    trash_bin()


def _overlay() -> None:
    from winnow.dashboard.frames.summaries import summaries
    from winnow.dashboard.shared.trade_off import overlaid_curves

    overlaid_curves(summaries())


def test_the_curve_at_first_is_one_that_a_run_recorded(make_run: Callable[..., Run]) -> None:
    make_run(name="a", tasks=["seg", "depth"])  # a run that was not judged on `seg`
    page = AppTest.from_function(_overlay, default_timeout=30).run()
    assert page.selectbox[0].options[0].startswith("depth")
    assert page.selectbox[0].options[-1].startswith("seg")
    (figure,) = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    assert [trace["name"] for trace in figure["data"]] == ["a"]


def test_the_curves_of_several_runs_lie_over_one_another(make_run: Callable[..., Run]) -> None:
    runs = [make_run(name="a"), make_run(name="b", epochs=2)]
    page = AppTest.from_function(_overlay, default_timeout=30).run()
    assert not page.exception
    (figure,) = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    assert sorted(trace["name"] for trace in figure["data"]) == ["a", "b"]
    assert len(runs) == 2


def test_hundreds_of_runs_stay_quick(make_run: Callable[..., Run]) -> None:
    first = make_run(name="first", epochs=1)
    for number in range(199):
        other = first.path.with_name(f"20250101-000000-{number:04}")
        shutil.copytree(first.path, other)
    page = AppTest.from_function(_runs, default_timeout=120).run()
    assert standard_seconds(page.run) < 0.6  # 1,000 take less than 1.5 s
    assert len(page.dataframe[0].value) == 200
