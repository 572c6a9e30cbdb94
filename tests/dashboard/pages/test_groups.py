from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.pruning_making import write_pruning
from tests.dashboard.reading import said
from tests.timing import standard_seconds
from winnow.engine.runs.concepts import concepts_of, write_concept
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse

MakeRun = Callable[..., Run]


def _groups() -> None:
    from winnow.dashboard.pages.groups.page import page

    page()


def _page(**address: str) -> AppTest:
    page = AppTest.from_function(_groups, default_timeout=30)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


def test_the_sparsity_numbers_are_shown_above_the_map(make_whole_run: MakeRun) -> None:
    page = _page(run=make_whole_run().id)
    assert not page.exception
    shown = {metric.label: (metric.value, metric.delta) for metric in page.metric}
    assert shown["Groups zero"] == ("30 %", "")
    assert shown["MACs removed"] == ("0 %", "nothing removed yet")
    assert page.dataframe[0].value["component"].tolist() == ["trunk", "heads.depth", "total"]


def test_realised_is_what_the_newest_finished_pruning_measured(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    write_pruning(run)
    write_pruning(run, state="stopped", stem="later")
    shown = {metric.label: (metric.value, metric.delta) for metric in _page(run=run.id).metric}
    assert shown["MACs removed"] == ("50 %", "params 75 %, time 50 %")


def test_what_was_removed_while_training_is_shown_until_there_is_a_pruning(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    sizes = {"parameters_before": 80.0, "parameters": 20.0, "macs_before": 400.0, "macs": 40.0}
    write_events(
        run.path / "events.jsonl", [Event(0.0, 2, 20, None, "removal", name, value) for name, value in sizes.items()]
    )
    shown = {metric.label: (metric.value, metric.delta) for metric in _page(run=run.id).metric}
    assert shown["MACs removed"] == ("90 %", "while training, params 75 %")


def test_a_share_of_macs_that_is_not_known_says_why(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    unknown = [Event(0.0, 3, 30, None, "model", name, None) for name in ("mac_sparsity", "removable_macs")]
    write_events(run.path / "events.jsonl", unknown)
    found = {metric.label: (metric.value, metric.delta) for metric in _page(run=run.id).metric}
    assert found["MACs zero"] == found["MACs removable"] == ("–", "MACs of a layer are not known")
    assert found["Groups zero"] == ("30 %", "")


def test_the_selected_channel_shows_its_record_its_kernel_and_what_blocks_it(make_whole_run: MakeRun) -> None:
    page = _page(run=make_whole_run().id, layer="stem", channel="1")
    assert not page.exception
    assert len(page.get("plotly_chart")) == 2
    assert "heatmap" in page.get("plotly_chart")[1].proto.spec
    assert "stem, input channel 1: alive" in said(page)
    assert "cannot be removed. add: 4 readers, 3 still use it (<b>a</b>, b, c)" in said(page)


def test_a_dead_channel_says_how_firmly_and_whether_it_can_go(make_whole_run: MakeRun) -> None:
    page = _page(run=make_whole_run().id, layer="<b>deep</b>", channel="1")
    assert "The pull of the loss is 0.40 of the pull of the penalty: firmly dead." in said(page)
    assert "can be removed" in said(page)
    assert "kernel, a single position: 0.667" in page.get("plotly_chart")[1].proto.spec


@pytest.mark.parametrize(
    ("part", "charts"), [("Layers", 2), ("Over epochs", 2), ("Firmness", 1), ("Survival map", 0), ("Network", 0)]
)
def test_only_the_open_view_is_drawn_and_never_more_than_four_charts(
    make_whole_run: MakeRun, part: str, charts: int
) -> None:
    page = _page(run=make_whole_run().id, part=part, layer="stem", channel="0")
    assert not page.exception
    assert len(page.get("plotly_chart")) == charts + 2


def test_the_nearest_to_the_edge_are_listed(make_whole_run: MakeRun) -> None:
    page = _page(run=make_whole_run().id, part="Firmness")
    assert page.dataframe[1].value["state"].tolist() == ["dead", "near", "dead", "dead"]


def test_captions_carry_run_target_and_epoch(make_whole_run: MakeRun) -> None:
    run = make_whole_run(penalty={"target": 60, "target_of": "mac"})
    assert f"small · {run.id} · target 60 % of the MACs · after epoch 3" in said(_page(run=run.id))


def test_a_run_without_tables_shows_the_map_and_says_what_is_missing(make_run: MakeRun) -> None:
    page = _page(run=make_run().id, layer="stem", channel="0")
    assert not page.exception
    assert "counted after the first epoch" in page.info[0].value
    spec = page.get("plotly_chart")[1].proto.spec
    assert "recorded for input groups" in " ".join(spec.replace("\\u003cbr\\u003e", " ").split())


def test_a_run_without_norms_says_what_it_waits_for(runs_root: Path) -> None:
    page = _page(run=create(parse({})).id)
    assert not page.exception
    assert "once the network is built" in page.info[0].value


def test_without_runs_it_offers_the_demo(runs_root: Path) -> None:
    assert _page().button(key="start_demo").label == "Start the demo run"


def test_a_layer_can_be_chosen_and_becomes_the_linked_selection(make_whole_run: MakeRun) -> None:
    page = _page(run=make_whole_run().id, part="Over epochs")
    page.selectbox(key="norms_layer").select("stem").run()
    assert page.query_params["layer"] == "stem"


def test_a_finished_run_is_drawn_again_quickly(make_whole_run: MakeRun) -> None:
    page = _page(run=make_whole_run().id, part="Layers", layer="stem", channel="0")
    assert standard_seconds(lambda: [page.run() for _ in range(5)]) / 5 < 0.3


def test_a_layer_of_the_network_is_selected_by_its_largest_channel(make_whole_run: MakeRun) -> None:
    def pick(root: str, layer: str) -> None:
        from winnow.dashboard.pages.groups.page import _select_largest
        from winnow.engine.runs.run import Run

        _select_largest(Run(root), layer)

    run = make_whole_run()
    page = AppTest.from_function(pick, args=(run.path, "stem"), default_timeout=30).run()
    assert not page.exception
    assert (page.query_params["layer"], page.query_params["channel"]) == ("stem", "2")


def test_a_run_without_a_graph_says_so(make_run: MakeRun) -> None:
    page = _page(run=make_run().id, part="Network")
    assert not page.exception
    assert any("stored with the first epoch" in info.value for info in page.info)


def test_a_channel_is_named_where_it_is_selected_and_the_change_can_be_undone(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    page = _page(run=run.id, layer="stem", channel="1")
    page.text_input(key=f"concept_name_{run.id}_input_stem_1").input("<b>wheels</b> $x$")
    page.text_area(key=f"concept_note_{run.id}_input_stem_1").input("![](http://x)")
    page.button(key="concept_save").click().run()
    assert not page.exception
    assert concepts_of(run.path)["input", "stem", 1].name == "<b>wheels</b> $x$"
    assert page.text[0].value.startswith("stem, input channel 1 “<b>wheels</b> $x$”: alive")
    assert not any("![](http" in markdown.value for markdown in page.markdown), "a note is text"
    page.button(key="concept_undo").click().run()
    assert not concepts_of(run.path)
    assert "“" not in page.text[0].value


def test_a_name_that_cannot_be_written_is_refused_in_words(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    (run.path / "concepts.json").write_text("{")
    page = _page(run=run.id, layer="stem", channel="1")
    page.text_input(key=f"concept_name_{run.id}_input_stem_1").input("wheels")
    page.button(key="concept_save").click().run()
    assert "is damaged" in page.error[0].value


def test_the_map_is_told_the_names_of_its_own_kind(make_whole_run: MakeRun) -> None:
    from winnow.dashboard.frames.concepts import names_by_layer

    run = make_whole_run()
    write_concept(run.path, "input", "stem", 1, name="wheels")
    write_concept(run.path, "output", "stem", 1, name="another")
    assert names_by_layer(run, "input") == {"stem": {"1": "wheels"}}
