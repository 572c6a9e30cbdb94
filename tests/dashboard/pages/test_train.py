import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pandas as pd
import psutil
import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.reading import said
from winnow.dashboard.frames import events
from winnow.dashboard.shared import run_figures
from winnow.dashboard.shared.controls import strengths_below
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]


def _train() -> None:
    from winnow.dashboard.pages.train.page import page

    page()


def _page(**address: str) -> AppTest:
    page = AppTest.from_function(_train, default_timeout=30)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


@contextmanager
def _working(run: Run, **status: object) -> Iterator[None]:
    """Hold the lock of a run as its worker does, and say that it trains."""
    pid, created = psutil.Process().pid, psutil.Process().create_time()
    known = {"state": "running", "phase": "training", "finished": None, "pid": pid, "pid_created": created, **status}
    replace(run.path / "status.json", run.recorded_status().model_copy(update=known).model_dump_json().encode())
    with run.lock():
        yield


def test_a_finished_run_shows_three_figures_and_no_controls(make_run: MakeRun) -> None:
    page = _page(run=make_run().id)
    assert not page.exception
    figures = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    assert [len(figure["data"]) for figure in figures] == [4, 2, 3]
    assert "epoch 3 of 5" in said(page)
    assert not {"pause", "stop", "apply", "resume"} & {button.key for button in page.button}


def test_samples_that_were_left_out_are_listed(make_run: MakeRun) -> None:
    run = make_run()
    assert not _page(run=run.id).expander
    row = ("train", "image/3.png", "image", "a picture", "0 bytes", "Copy it again.")
    (run.path / "tables").mkdir(exist_ok=True)
    pd.DataFrame([row], columns=["split", "file", "part", "expected", "found", "mend"]).to_parquet(
        run.path / "tables" / "skipped.parquet"
    )
    page = _page(run=run.id)
    assert not page.exception
    (found,) = page.expander
    assert found.label == "1 sample left out because their files are damaged (skip_bad)"
    assert found.dataframe[0].value["file"].tolist() == ["image/3.png"]


def test_the_newest_run_is_shown_where_none_is_named(make_run: MakeRun) -> None:
    run = make_run(name="only")
    page = _page()
    assert page.selectbox(key="run").value == run.id
    assert page.selectbox(key="run").value == run.id


@pytest.mark.parametrize("name", ["nonsense", "../../etc", "<script>"])
def test_an_address_that_names_no_run_says_so_and_shows_none(make_run: MakeRun, name: str) -> None:
    make_run()
    page = _page(run=name)
    assert not page.exception
    assert f"There is no run {name}" in re.sub(r"\\(.)", r"\1", page.error[0].value)
    assert page.selectbox(key="run").value is None
    assert not page.get("plotly_chart")
    assert not page.button


def test_captions_carry_run_strength_and_split(make_run: MakeRun) -> None:
    run = make_run(penalty={"strength": 2e-3})
    expected = f"small · {run.id} · λ = 2e-3 at the start · 150 validation images"
    assert expected in said(_page(run=run.id))


def test_a_hostile_name_is_shown_as_text(make_run: MakeRun) -> None:
    page = _page(run=make_run(name="<script>x</script> ![](http://a.b/c) **d**").id)
    assert "<script>x</script> ![](http://a.b/c) **d**" in said(page).replace("\u2060", "")
    assert not any(re.search(r"(?<!\\)(<|!\[)", text.value) for text in (*page.markdown, *page.caption))


def test_the_reason_of_a_failure_is_shown_in_one_sentence(make_run: MakeRun) -> None:
    page = _page(run=make_run(state="failed", message="the disk is full").id)
    assert page.error[0].value == "The disk is full."


def test_a_stopped_run_says_so_once(make_run: MakeRun) -> None:
    page = _page(run=make_run(state="stopped").id)
    assert sum("stopped" in text.value for text in page.markdown) == 1


def test_a_stopped_run_can_be_resumed(make_run: MakeRun) -> None:
    page = _page(run=make_run(state="stopped").id)
    assert page.button(key="resume").label == "Resume training"


def test_a_live_run_is_driven_by_requests(make_run: MakeRun) -> None:
    run = make_run()
    with _working(run, progress=0.6):
        page = _page(run=run.id)
        assert page.progress[0].value == 60
        page.button(key="pause").click().run()
        assert run.control().pause
        assert page.button(key="pause").label == "Resume"
        page.number_input(key="strength_input").set_value(0.02)
        assert run.control().strength is None
        page.button(key="apply").click().run()
        assert run.control().strength == 0.02
        assert "requested: 2e-2" in said(page)
        write_events(run.path / "events.jsonl", [Event(0.0, 3, 31, None, "control", "strength", 0.02)])
        page.run()
        assert "requested" not in said(page)


def test_a_task_without_labels_has_a_dash_and_no_difference(make_run: MakeRun) -> None:
    run = make_run()
    write_events(run.path / "events.jsonl", [Event(0.0, 3, 30, "depth", "val", "abs_error", None)])
    metric = _page(run=run.id).metric[0]
    assert (metric.value, metric.delta) == ("–", "")


def test_a_live_run_with_a_target_says_what_becomes_of_a_strength_that_is_applied(make_run: MakeRun) -> None:
    run = make_run(penalty={"target": 60})
    with _working(run):
        page = _page(run=run.id)
        assert "the target continues to move λ from what you apply" in said(page)
        page.number_input(key="strength_input").set_value(0.02)
        page.button(key="apply").click().run()
        assert run.control().strength == 0.02


def test_a_target_and_the_refit_are_marked_andsaid(make_run: MakeRun) -> None:
    page = _page(run=make_run(epochs=5, penalty={"target": 60}).id)
    assert "target 60 % of the groups" in said(page)
    layout = json.loads(page.get("plotly_chart")[2].proto.spec)["layout"]
    assert {note["text"] for note in layout["annotations"]} == {"target: 60 % of the groups", "refit"}
    assert 3.75 in [shape["x0"] for shape in layout["shapes"]]


def test_the_conflict_of_the_tasks_has_a_view_and_weights_where_they_differ(make_run: MakeRun) -> None:
    run = make_run(tasks=["depth", "seg"])
    assert "same weight" in said(_page(run=run.id, view="Tasks"))
    rows = [("depth", "conflict", "cosine:seg", -0.5), ("depth", "train", "weight", 0.5)]
    write_events(run.path / "events.jsonl", [Event(0.0, 3, 30, *row) for row in rows])
    page = _page(run=run.id, view="Tasks")
    assert [len(json.loads(chart.proto.spec)["data"]) for chart in page.get("plotly_chart")] == [1, 1]
    assert "pull the shared features in opposite directions" in said(page)


def test_layers_about_to_die_are_warned_of(make_run: MakeRun) -> None:
    run = make_run()
    assert not _page(run=run.id).warning
    write_events(run.path / "events.jsonl", [Event(0.0, 3, 30, None, "alarm", "<b>deep</b>", 1.0)])
    (warning,) = _page(run=run.id).warning
    assert "1 of 4 groups left in <b>deep</b>" in re.sub(r"\\(.)", r"\1", warning.value)


def test_the_second_click_on_stop_is_kill(make_run: MakeRun) -> None:
    run = make_run()
    with _working(run):
        page = _page(run=run.id)
        page.button(key="stop").click().run()
        assert run.control().stop
        assert page.button(key="kill").label == "Kill now"


def test_a_run_that_starts_says_what_it_waits_for(make_run: MakeRun) -> None:
    run = make_run(epochs=0)
    with _working(run, epoch=0, phase="rendering scenes 120 of 750"):
        page = _page(run=run.id)
        assert page.progress[0].text == "Starting: rendering scenes 120 of 750"


def test_only_the_open_view_is_drawn(make_run: MakeRun) -> None:
    run = make_run()
    assert len(_page(run=run.id, view="Norms by layer").get("plotly_chart")) == 2
    assert not _page(run=run.id, view="Survival map").get("plotly_chart")
    (run.path / "log.txt").write_text("hello\n<b>log</b>")
    assert _page(run=run.id, view="Log").code[0].value == "hello\n<b>log</b>"


def test_a_window_shortens_the_curves(make_run: MakeRun) -> None:
    run = make_run(epochs=12)
    page = _page(run=run.id)
    page.selectbox(key="window").select(5).run()
    assert not page.exception
    layout = json.loads(page.get("plotly_chart")[1].proto.spec)["layout"]
    assert layout["xaxis"]["range"][0] == pytest.approx(7.0, abs=0.11)


def test_a_run_without_numbers_says_why_its_figures_are_empty(make_run: MakeRun) -> None:
    run = make_run(epochs=0)
    (run.path / "events.jsonl").unlink()
    page = _page(run=run.id)
    assert not page.exception
    assert "first loss" in page.get("plotly_chart")[0].proto.spec


def test_a_damaged_spec_is_said_not_raised(make_run: MakeRun) -> None:
    run = make_run()
    (run.path / "spec.json").write_text('{"epochs": -1}')
    page = _page(run=run.id)
    assert not page.exception
    assert "epochs" in page.error[0].value


def test_without_runs_it_offers_the_demo(runs_root: Path) -> None:
    assert _page().button(key="start_demo").label == "Start the demo run"


def test_the_selected_channel_comes_from_the_address(make_run: MakeRun) -> None:
    page = _page(run=make_run().id, view="Survival map", layer="<b>deep</b>", channel="3")
    assert not page.exception
    assert "<b>deep</b>, input channel 3: dead, last alive after epoch 0" in said(page)
    assert len(page.get("plotly_chart")) == 1


@pytest.mark.parametrize(
    ("layer", "channel"), [("stem", "3"), ("stem", "-1"), ("stem", "zero"), ("<script>", "0"), ("stem", ""), ("", "0")]
)
def test_an_address_that_names_no_channel_selects_nothing(make_run: MakeRun, layer: str, channel: str) -> None:
    page = _page(run=make_run().id, view="Survival map", layer=layer, channel=channel)
    assert not page.exception
    assert "Select a channel" in said(page)


def test_the_layer_of_the_norms_is_the_selected_one(make_run: MakeRun) -> None:
    page = _page(run=make_run().id, view="Norms by layer", layer="<b>deep</b>", channel="3")
    assert page.selectbox(key="norms_layer").value == "<b>deep</b>"
    page.selectbox(key="norms_layer").select("stem").run()
    assert (page.query_params["layer"], "channel" in page.query_params) == ("stem", False)
    assert page.selectbox(key="norms_layer").value == "stem"


@pytest.mark.parametrize(("order", "shown"), [("death", "death"), ("<script>", "network")])
def test_the_order_of_the_channels_comes_from_the_address(make_run: MakeRun, order: str, shown: str) -> None:
    page = _page(run=make_run().id, view="Survival map", order=order)
    assert not page.exception
    assert page.segmented_control(key="order").value == shown


def _measured(make_run: MakeRun, most: float = 0.01) -> Run:
    run = make_run(penalty={"strength": 1e-3})
    write_events(run.path / "events.jsonl", [Event(0.0, 0, 0, None, "start", "strength_max", most)])
    return run


def test_the_slider_is_even_on_a_log_scale_and_ends_at_the_maximum() -> None:
    grid = strengths_below(0.02)
    assert (grid[0], grid[1], grid[-1]) == (0.0, 2e-6, 0.02)
    assert all(1.2 < after / before < 1.32 for before, after in pairwise(grid[1:]))


def test_the_slider_fills_the_field_and_apply_asks_for_it(make_run: MakeRun) -> None:
    run = _measured(make_run)
    with _working(run):
        page = _page(run=run.id)
        assert page.select_slider(key="strength_slider").value == pytest.approx(1e-3)
        page.select_slider(key="strength_slider").set_value(0.01).run()
        assert page.number_input(key="strength_input").value == pytest.approx(0.01)
        page.button(key="apply").click().run()
        assert run.control().strength == pytest.approx(0.01)


def test_a_strength_beyond_the_maximum_asks_first(make_run: MakeRun) -> None:
    run = _measured(make_run)
    with _working(run):
        page = _page(run=run.id)
        for answer, granted in (("strength_keep", None), ("strength_sure", 0.5)):
            page.number_input(key="strength_input").set_value(0.5)
            page.button(key="apply").click().run()
            assert run.control().strength is None
            assert any("50 times λ_max" in warning.value for warning in page.warning)
            page.button(key=answer).click().run()
            assert run.control().strength == granted
            assert not any("λ_max" in warning.value for warning in page.warning)


def test_undo_goes_back_to_the_strength_before(make_run: MakeRun) -> None:
    run = _measured(make_run)
    assert events.strength_before(run) is None
    write_events(run.path / "events.jsonl", [Event(0.0, 4, 31, None, "control", "strength", 5e-3)])
    assert events.strength_before(run) == 1e-3
    with _working(run):
        page = _page(run=run.id)
        page.button(key="strength_undo").click().run()
        assert run.control().strength == 1e-3


def test_where_a_target_moves_the_strength_undo_goes_back_to_what_it_had_reached(make_run: MakeRun) -> None:
    run = make_run(penalty={"target": 50.0})
    reached = 1.7e-4
    write_events(run.path / "events.jsonl", [Event(0.0, 4, 31, None, "train", "strength", reached)])
    changed = Event(0.0, 4, 31, None, "control", "strength", 5e-3)
    write_events(run.path / "events.jsonl", [changed, Event(0.0, 4, 32, None, "train", "strength", 4e-3)])
    assert events.strength_before(run) == reached


def test_a_target_is_changed_live_and_undone(make_run: MakeRun) -> None:
    run = make_run(penalty={"target": 50.0})
    with _working(run, progress=0.5):
        page = _page(run=run.id)
        assert "target in force: 50 %" in said(page)
        page.number_input(key="target_input").set_value(70.0)
        page.button(key="target_apply").click().run()
        assert run.control().target == 70
        assert "requested: 70 %, from the next step on" in said(page)
        write_events(run.path / "events.jsonl", [Event(0.0, 3, 31, None, "control", "target", 70.0)])
        page = _page(run=run.id)
        assert "requested" not in said(page)
        assert "target in force: 70 % · changed to 70 % at epoch" in said(page)
        assert "target 50 % of the groups, then 70 %" in said(page)
        page.button(key="target_undo").click().run()
        assert run.control().target == 50


def test_a_target_is_settled_in_the_refit_and_none_is_offered_without_one(make_run: MakeRun) -> None:
    run = make_run(penalty={"target": 50.0, "refit": 0.25})
    with _working(run, progress=0.8):
        page = _page(run=run.id)
        assert "the target can't be changed any more" in said(page)
        assert not [field for field in page.number_input if field.key == "target_input"]
    plain = make_run(penalty={"strength": 1e-3})
    with _working(plain):
        assert not [field for field in _page(run=plain.id).number_input if field.key == "target_input"]


def test_the_curves_of_a_run_that_has_ended_are_those_of_its_last_event(make_run: MakeRun) -> None:
    run = make_run()
    with _working(run):
        run_figures.training_charts(run, 0.0)
        write_events(run.path / "events.jsonl", [Event(0.0, 4, 40, "depth", "val", "rmse", 0.125)])
    replace(
        run.path / "status.json", run.recorded_status().model_copy(update={"state": "done"}).model_dump_json().encode()
    )
    assert 0.125 in set(run_figures.training_charts(run, 0.0)[0].frame["value"])
