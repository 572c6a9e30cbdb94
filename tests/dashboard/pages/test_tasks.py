import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import psutil
import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making import write_checkpoint
from tests.dashboard.making_explanations import write_circuits, write_explanation, write_frames
from tests.dashboard.reading import said
from tests.timing import standard_seconds
from winnow.dashboard.shared.formatting import asked
from winnow.engine.runs.derived import DerivedJob, derived_jobs
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.explain import ExplainSpec

Make = Callable[..., DerivedJob]


def _tasks() -> None:
    from winnow.dashboard.pages.tasks.page import page

    page()


def _page(**address: str) -> AppTest:
    page = AppTest.from_function(_tasks, default_timeout=30)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


def _figures(page: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def test_three_tasks_are_drawn_as_a_triangle_with_the_dead_left_out_in_words(make_explained: Make) -> None:
    page = _page(run=make_explained().run.id, drawn_as="triangle")
    assert not page.exception
    figure, _ = _figures(page)
    assert [trace["type"] for trace in figure["data"]] == ["scatterternary"] * 3
    assert "13 channels; 1 dead and 0 idle ones are left out" in said(page)


def test_who_leads_comes_first_with_the_strict_labels_beside_it(make_explained: Make) -> None:
    page = _page(run=make_explained().run.id)
    assert not page.exception
    drawn = {trace["name"] for trace in _figures(page)[0]["data"]}
    assert {"seg leads", "normals leads", "even", "dead"} <= drawn
    table = page.dataframe[0].value.set_index("channels")
    assert table["seg"].tolist()[0] == 3
    assert table.loc["strict label: only this task uses it"].tolist() == [3, 0, 3, "6 shared"]


@pytest.mark.parametrize("tasks", [("seg", "depth"), ("seg", "depth", "normals", "edges"), ("depth",)])
def test_other_numbers_of_tasks_have_the_map(make_explained: Make, tasks: tuple[str, ...]) -> None:
    page = _page(run=make_explained(tasks=tasks).run.id)
    assert not page.exception
    assert not page.get("button_group")
    assert _figures(page)[0]["data"][0]["type"] == "scatter"


def test_the_badge_and_the_captions_carry_method_images_and_faithfulness(make_explained: Make) -> None:
    work = make_explained()
    page = _page(run=work.run.id)
    assert "rank correlation with ablation 0.75" in said(page)
    assert f"small · {work.run.id} · {asked(work.run.spec.penalty)} · taylor · 8 val images" in said(page)
    assert "faithfulness over all tasks: holds" in said(page)


@pytest.mark.parametrize(
    ("use", "charts"), [("Shares", 2), ("Layers", 2), ("Affinity", 1), ("Heads", 1), ("Between runs", 0)]
)
def test_only_the_open_view_is_drawn_and_never_more_than_four_charts(
    make_explained: Make, use: str, charts: int
) -> None:
    page = _page(run=make_explained().run.id, use=use, layer="stem", channel="0")
    assert not page.exception
    assert len(page.get("plotly_chart")) == charts + 2


def test_circuits_are_said_drawn_and_tabled(make_explained: Make) -> None:
    work = make_explained()
    page = _page(run=work.run.id, use="Circuits")
    assert "--circuits" in page.info[0].value
    write_circuits(work)
    page = _page(run=work.run.id, use="Circuits")
    assert not page.exception
    assert "95 % of what each task has learned runs over some of the edges" in said(page)
    assert "holds for circuits" in said(page)
    assert len(_figures(page)) == 1
    assert [list(table.value.columns)[:2] for table in page.dataframe] == [["task", "level"], ["task", "other"]]


def test_where_circuits_were_asked_for_and_there_are_none_the_page_says_why(make_explained: Make) -> None:
    work = make_explained(circuits=True)
    for before, why in (
        ("Layer stem is left out: too wide. ", "The circuits are missing: no task beats chance."),
        ("Layer stem is left out: too wide.", "Why was not recorded: explain the run again with circuits to see it."),
    ):
        told = before + (why if why.startswith("The circuits") else "")
        status = work.recorded_status().model_copy(update={"message": told})
        replace(work.path / "status.json", status.model_dump_json().encode())
        shown = [info.value.replace("\\", "") for info in _page(run=work.run.id, use="Circuits").info]
        assert f"Circuits were asked for, and there are none. {why}" in shown


def test_a_selected_channel_says_whose_it_is_and_what_its_loss_does_to_all_tasks(make_explained: Make) -> None:
    page = _page(run=make_explained().run.id, layer="<b>deep</b>", channel="1")
    assert "<b>deep</b>, input channel 1: specific to seg" in said(page)
    assert [metric.label.partition(" ")[0] for metric in page.metric] == ["seg", "depth", "normals"]
    assert page.metric[0].delta.startswith("-0.05")


def test_a_channel_can_be_named_as_well_as_clicked(make_explained: Make) -> None:
    page = _page(run=make_explained().run.id)
    page.selectbox(key="channel_layer").select("trunk").run()
    assert (page.query_params["layer"], page.query_params["channel"]) == ("trunk", "0")
    page.number_input(key="channel_number").set_value(5).run()
    assert page.query_params["channel"] == "5"
    assert "dead: its relevance is 0 for every task" in said(page)
    assert "Not measured: its relevance is 0 for every task" in said(page)
    assert "exactly zero" not in said(page)


def test_a_channel_without_relevance_shows_what_was_measured_of_it(make_explained: Make) -> None:
    work = make_explained()
    known = work.table("ablation")
    own = known[(known["layer"] == "trunk") & (known["channel"] == 1)].assign(channel=5)
    write_frames(work, {"ablation": pd.concat([known, own], ignore_index=True)})
    page = _page(run=work.run.id, layer="trunk", channel="5")
    assert "dead: its relevance is 0 for every task" in said(page)
    assert [metric.label.partition(" ")[0] for metric in page.metric] == ["seg", "depth", "normals"]


def test_a_channel_that_was_not_switched_off_can_be_in_one_job(make_explained: Make, end_workers: None) -> None:
    work = make_explained()
    page = _page(run=work.run.id, layer="stem", channel="2")
    page.button(key="switch_off").click().run()
    assert not page.exception
    started = derived_jobs(work.run, "explain")[0].spec
    assert isinstance(started, ExplainSpec)
    assert (started.layers, started.ablations, started.methods) == (("stem",), 3, ("taylor",))
    assert (started.images, started.fill, started.maps) == (8, "mean", 0)
    assert page.selectbox(key="explanation").value == work.id


def test_single_task_runs_are_compared_layer_by_layer(make_explained: Make, make_run: Callable[..., Run]) -> None:
    work = make_explained()
    make_run(name="alone", epochs=1)
    page = _page(run=work.run.id, use="Between runs")
    assert not page.exception
    assert "seg+depth+normals (small) – depth (alone)" in {trace["name"] for trace in _figures(page)[0]["data"]}


def test_without_another_run_it_says_what_to_train(make_explained: Make) -> None:
    page = _page(run=make_explained().run.id, use="Between runs")
    assert "Train one run for each task alone" in page.info[0].value


def test_a_run_that_was_not_explained_offers_it_and_says_what_it_costs(
    make_run: Callable[..., Run], end_workers: None
) -> None:
    run = make_run()
    write_checkpoint(run)
    page = _page(run=run.id)
    assert "half a minute" in said(page)
    page.number_input(key="explain_images").set_value(16)
    page.multiselect(key=f"explain_layers_{run.id}").set_value(["stem"])
    page.button(key="explain_submit").click().run()
    assert not page.exception
    (work,) = derived_jobs(run, "explain")
    assert isinstance(work.spec, ExplainSpec)
    assert (work.spec.images, work.spec.layers) == (16, ("stem",))
    assert work.status.state in (*LIVE, "failed")
    assert page.selectbox(key="explanation").value == work.id


def test_a_request_that_makes_no_sense_starts_nothing(make_run: Callable[..., Run]) -> None:
    run = make_run()
    write_checkpoint(run)
    page = _page(run=run.id)
    page.multiselect(key="explain_methods").set_value(["deep_lift"])
    page.button(key="explain_submit").click().run()
    assert "must be output" in page.error[0].value
    assert not derived_jobs(run, "explain")


def test_a_run_without_a_checkpoint_says_what_it_waits_for(make_run: Callable[..., Run]) -> None:
    page = _page(run=make_run().id)
    assert "first checkpoint" in page.info[0].value
    assert not page.button


def test_a_failure_is_said_in_one_sentence(make_explained: Make) -> None:
    page = _page(run=make_explained(state="failed").run.id)
    assert not page.exception
    assert page.error[0].value == "`run` should have a checkpoint that is whole\\. Found none\\."


def test_a_stopped_explanation_shows_what_it_has_and_can_go_on(make_explained: Make) -> None:
    work = make_explained(state="stopped")
    page = _page(run=work.run.id)
    assert page.button(key=f"explain_{work.id}_resume").label == "Resume"
    assert page.get("plotly_chart")


def test_an_explanation_is_chosen_by_the_address_and_a_wrong_one_is_said(make_explained: Make) -> None:
    work = make_explained()
    part = write_explanation(work.run, layers=["stem"])
    assert _page(run=work.run.id).selectbox(key="explanation").value == work.id
    page = _page(run=work.run.id, explanation=part.id)
    assert "3 channels" in said(page)
    page = _page(run=work.run.id, explanation="../../etc")
    assert "There is no explanation" in page.error[0].value
    assert not page.get("plotly_chart")


def test_without_runs_it_offers_the_demo(runs_root: object) -> None:
    assert _page().button(key="start_demo").label == "Start the demo run"


def test_it_is_drawn_again_quickly(make_explained: Make) -> None:
    page = _page(run=make_explained().run.id, use="Layers", layer="stem", channel="0")
    assert standard_seconds(lambda: [page.run() for _ in range(5)]) / 5 < 0.3


def test_live_explanations_say_what_they_do_and_can_be_stopped(make_explained: Make) -> None:
    work = make_explained(ablated=False)
    other = write_explanation(work.run, ablated=False, layers=["stem"])
    with _working(work, phase="ablation: 3 of 9"), _working(other, phase="reading the run"):
        page = _page(run=work.run.id)
        assert not page.exception
        assert page.progress[0].text == "ablation: 3 of 9"
        assert page.progress[1].text.endswith("reading the run")
        assert "stem" in page.progress[1].text
        page.button(key=f"explain_{work.id}_stop").click().run()
        assert work.control().stop
        assert not other.control().stop
        assert page.button(key=f"explain_{work.id}_kill").label == "Kill now"


@contextmanager
def _working(work: DerivedJob, phase: str) -> Iterator[None]:
    """Hold the lock of an explanation as its worker does, and say what it is at."""
    now = psutil.Process()
    live = {"state": "running", "phase": phase, "pid": now.pid, "pid_created": now.create_time(), "finished": None}
    replace(work.path / "status.json", work.recorded_status().model_copy(update=live).model_dump_json().encode())
    with work.lock():
        yield


def test_the_bars_of_the_layers_can_count_relevance(make_explained: Make) -> None:
    page = _page(run=make_explained().run.id, use="Layers", counted="relevance")
    assert not page.exception
    assert [trace["name"] for trace in _figures(page)[0]["data"]] == ["seg", "depth", "normals"]
