import json
import shutil
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.making_maps import write_maps
from tests.dashboard.reading import said
from winnow.dashboard.shared.explanation import provenance
from winnow.engine.explain.separation import COLUMNS
from winnow.engine.runs.concepts import write_concept
from winnow.engine.runs.derived import DerivedJob, derived_jobs
from winnow.engine.runs.files import replace
from winnow.engine.specs.explain import ExplainSpec

Make = Callable[..., DerivedJob]


def _explain() -> None:
    from winnow.dashboard.pages.explain.page import page

    page()


def _page(**address: str) -> AppTest:
    page = AppTest.from_function(_explain, default_timeout=30)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


def _figures(page: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def test_the_top_channels_of_the_first_task_come_with_intervals(make_explained: Make) -> None:
    page = _page(run=make_explained().run.id)
    assert not page.exception
    (figure,) = _figures(page)
    (bars,) = figure["data"]
    assert bars["marker"]["color"] == "#0072B2"
    assert bars["error_x"]["symmetric"] is False


def test_the_name_of_a_task_is_escaped_once(make_explained: Make) -> None:
    work = make_explained()
    assert r"faithfulness for left\_eye: not checked" in provenance(work.run, work, "taylor", ("left_eye",))


@pytest.mark.parametrize(("measured", "says"), [(True, "is shown below"), (False, "before anything was measured")])
def test_one_that_failed_says_whether_there_is_anything_to_see(make_explained: Make, measured: bool, says: str) -> None:
    work = make_explained(state="failed")
    if not measured:
        shutil.rmtree(work.path / "tables")
    page = _page(run=work.run.id)
    assert not page.exception
    assert says in said(page)
    assert bool(_figures(page)) is measured


def test_an_explanation_that_is_started_elsewhere_waits_to_be_chosen(make_explained: Make) -> None:
    run = make_explained().run
    shutil.rmtree(run.path / "explain")
    page = _page(run=run.id)
    work = write_explanation(run)
    page.run()
    assert not page.exception
    assert not page.get("plotly_chart")
    assert "by now that you have not chosen" in page.info[0].value
    assert "has not been explained" not in said(page)
    page.selectbox(key="explanation").set_value(work.id).run()
    assert page.get("plotly_chart")


def test_another_task_and_layer_can_be_chosen(make_explained: Make) -> None:
    page = _page(run=make_explained().run.id, task="depth")
    assert _figures(page)[0]["data"][0]["marker"]["color"] == "#D55E00"
    page.selectbox(key="top_layer").select("stem").run()
    assert all("stem" in tick for tick in _figures(page)[0]["layout"]["yaxis"]["ticktext"])


def test_the_method_that_agrees_best_is_taken_and_the_others_stand_beside_it(make_explained: Make) -> None:
    page = _page(run=make_explained(methods=["taylor", "conductance"]).run.id)
    assert "conductance, 8 images" in said(page)
    table = page.dataframe[0].value
    assert table["method"].tolist() == ["Taylor", "conductance"]
    assert table[""].tolist() == ["", "★"]
    assert "taylor, 8 images" in said(_page(run=page.selectbox(key="run").value, method="taylor"))


@pytest.mark.parametrize(("trust", "charts"), [("Channels", 1), ("Against ablation", 2), ("Shuffled weights", 1)])
def test_only_the_open_view_is_drawn_and_never_more_than_four_charts(
    make_explained: Make, trust: str, charts: int
) -> None:
    page = _page(run=make_explained().run.id, trust=trust, layer="stem", channel="0")
    assert not page.exception
    assert len(page.get("plotly_chart")) == charts + 2


def test_deletion_is_in_the_order_of_the_first_method_and_says_so(make_explained: Make) -> None:
    work = make_explained(methods=["taylor", "conductance"])
    page = _page(run=work.run.id, trust="Against ablation", method="conductance")
    assert "measured for the first method only" in said(page)


def test_the_badge_is_one_and_what_is_said_of_a_task_is_its_own(make_explained: Make) -> None:
    work = make_explained()
    known = work.table("faithfulness")
    known.loc[(known["task"] == "depth") & (known["figure"] == "share_correlation"), "value"] = 0.1
    known.to_parquet(work.path / "tables" / "faithfulness.parquet")
    pages = {task: said(_page(run=work.run.id, task=task)) for task in ("depth", "seg")}
    assert "For depth by Taylor: does not hold" in pages["depth"].replace("*", "")
    assert "faithfulness for depth: does not hold" in pages["depth"]
    assert "faithfulness for seg: holds ·" in pages["seg"]
    assert all("holds over all tasks" in page for page in pages.values())
    assert all("But for depth it does not hold." in page for page in pages.values())


def test_an_explanation_without_ablation_says_that_it_was_not_checked(make_explained: Make) -> None:
    page = _page(run=make_explained(ablated=False).run.id, trust="Against ablation")
    assert not page.exception
    assert "faithfulness for seg: not checked" in said(page)
    assert "No channel has been switched off yet" in page.get("plotly_chart")[0].proto.spec


@pytest.mark.parametrize(
    "address", [{"task": "<script>"}, {"method": "nonsense"}, {"layer": "<script>", "channel": "0"}]
)
def test_an_address_that_makes_no_sense_shows_the_usual(make_explained: Make, address: dict[str, str]) -> None:
    page = _page(run=make_explained().run.id, **address)
    assert not page.exception
    assert _figures(page)[0]["data"][0]["marker"]["color"] == "#0072B2"


@pytest.fixture
def make_mapped(make_explained: Make) -> Make:
    """Write a run, an explanation of it, and maps."""

    def mapped(**asked: Any) -> DerivedJob:
        work = make_explained(**asked)
        write_maps(work)
        return work

    return mapped


def _captions(page: AppTest) -> list[str]:
    """Return the names of the pictures without the ends of their scales."""
    return [name.partition(", 0 to")[0] for name in _named(page)]


def _named(page: AppTest) -> list[str]:
    return [image.caption.replace("\\", "") for images in page.get("image") for image in images.proto.imgs]


def test_an_image_shows_input_target_prediction_and_what_the_task_hangs_on(make_mapped: Make) -> None:
    page = _page(run=make_mapped().run.id, trust="Images", task="depth")
    assert not page.exception
    assert _captions(page) == [
        "input", "depth: target, 2 to 3 m", "depth: prediction, 2 to 3 m", "depth: integrated gradients",
        "depth: occlusion",
    ]  # fmt: skip
    assert _named(page)[3] == "depth: integrated gradients, 0 to 1 [1]"
    assert "their sum is off by 5.0 %" in said(page)


def test_a_selected_channel_shows_where_it_answers_and_who_relies_on_it_there(make_mapped: Make) -> None:
    page = _page(run=make_mapped().run.id, trust="Images", layer="trunk", channel="0", image="1")
    assert not page.exception
    names = ["activation", *(f"reliance of {task}" for task in ("seg", "depth", "normals"))]
    assert _captions(page)[-5:] == [*names, "from nothing (grey image) to the largest value of each map"]
    assert _named(page)[-5] == "activation, 0 to 2 [1], silent in 25 %"
    assert len(page.get("plotly_chart")) == 2


def test_a_channel_without_maps_offers_those_that_have_some(make_mapped: Make) -> None:
    page = _page(run=make_mapped().run.id, trust="Images", layer="stem", channel="0")
    page.selectbox(key="cell_with_maps").select_index(1).run()
    assert (page.query_params["layer"], page.query_params["channel"]) == ("trunk", "1")
    assert "activation" in _captions(page)


def test_the_images_that_a_channel_answers_to_most_come_in_order(make_mapped: Make) -> None:
    page = _page(run=make_mapped().run.id, trust="Top images", layer="trunk", channel="0")
    assert not page.exception
    shown = [caption for caption in _captions(page) if "mean activation" in caption]
    assert shown == [f"image {5 - i}, mean activation {(7 - i) / 4:.3g}" for i in range(3)]
    silent = [metric for metric in page.metric if metric.label.startswith("Silent")]
    assert silent[0].value == "25 %"


@pytest.mark.parametrize("trust", ["Images", "Top images"])
def test_an_explanation_without_maps_says_so(make_explained: Make, trust: str) -> None:
    page = _page(run=make_explained().run.id, trust=trust, layer="trunk", channel="0")
    assert not page.exception
    assert "has no maps" in page.info[0].value


def test_what_is_no_picture_is_said_in_words(make_mapped: Make) -> None:
    work = make_mapped(tasks=("digit", "parity", "ink"), data={"dataset": "digits"})
    page = _page(run=work.run.id, trust="Images", task="digit")
    assert not page.exception
    words = {metric.label.replace("\\", ""): metric.value for metric in page.metric}
    assert set(words) == {"digit: target", "digit: prediction"}
    assert words["digit: target"] == words["digit: prediction"]


def test_maps_of_another_explanation_serve_if_it_is_of_the_newest_checkpoint(make_mapped: Make) -> None:
    work = make_mapped()
    other = write_explanation(work.run, layers=["stem"])
    write_maps(other, layer="stem")
    address = {"run": work.run.id, "explanation": work.id, "trust": "Images", "layer": "stem", "channel": "1"}
    assert "activation" not in _captions(_page(**address))
    later = other.recorded_status().model_copy(update={"started": time.time() + 60})
    replace(other.path / "status.json", later.model_dump_json().encode())
    assert "activation" in _captions(_page(**address))


def test_a_channel_without_maps_can_be_mapped_in_one_job(make_mapped: Make, end_workers: None) -> None:
    work = make_mapped()
    page = _page(run=work.run.id, trust="Top images", layer="stem", channel="2")
    page.button(key="map_channel").click().run()
    assert not page.exception
    started = derived_jobs(work.run, "explain")[0].spec
    assert isinstance(started, ExplainSpec)
    assert (started.layers, started.channels, started.ablations, started.maps) == (("stem",), (2,), 0, 8)


def test_silence_shows_every_layer_the_channels_of_one_and_one_channel(make_explained: Make) -> None:
    work = make_explained()
    write_maps(work)
    page = _page(run=work.run.id, trust="Silence", layer="trunk", channel="0")
    assert not page.exception
    figure = _figures(page)[0]
    assert figure["data"][1]["text"] == ["25 % silent"]
    assert figure["data"][0]["colorbar"]["title"]["text"] == "silent [% of living channels]"
    table = next(frame.value for frame in page.dataframe if "silent" in frame.value)
    assert table["channel"].tolist() == [0, 1]
    assert table["silent"].tolist() == [25, 25]
    assert _captions(page)[:2] == ["activation", "reliance of seg"]
    assert "silence over all images" in _captions(page)


def test_maps_of_an_older_version_say_so(make_explained: Make) -> None:
    from winnow.engine.explain.maps.store import SpatialStore, write_spatial

    work = make_explained()
    write_maps(work)
    index = {name: value for name, value in SpatialStore(work.path).index.items() if name != "living"}
    write_spatial(work.path, {}, index)
    page = _page(run=work.run.id, trust="Silence")
    assert not page.exception
    assert any("older version" in info.value for info in page.info)


def test_void_pixels_of_a_target_are_explained(make_mapped: Make) -> None:
    from winnow.engine.explain.maps.store import SpatialStore, write_spatial

    work = make_mapped()
    store = SpatialStore(work.path)
    arrays = {name: store._array(name) for name in store._names}
    arrays["target.seg"][0, :2] = -1  # a quarter of 8 × 8 pixels
    write_spatial(work.path, arrays, store.index)
    page = _page(run=work.run.id, trust="Images", task="seg")
    assert "void, no label there (25 % of this image)" in said(page)
    assert "void" not in said(_page(run=work.run.id, trust="Images", task="seg", image="1"))


def test_a_named_channel_is_called_so_on_its_card_in_the_figure_and_over_its_images(make_explained: Make) -> None:
    work = make_explained()
    write_maps(work, "stem")
    write_concept(work.run.path, "input", "stem", 0, name="<i>edges</i>")
    page = _page(run=work.run.id, trust="Top images", layer="stem", channel="0")
    assert not page.exception
    assert sum("stem, input channel 0 “<i>edges</i>”" in text.value for text in page.text) == 2
    captions = [picture.caption for images in page.get("image") for picture in images.proto.imgs]
    assert captions.count("what it sees there: 6 × 5 px") == 3
    ticks = _figures(_page(run=work.run.id, top_layer="stem"))[0]["layout"]["yaxis"]["ticktext"]
    assert any("“&lt;i&gt;edges&lt;/i&gt;”" in tick for tick in ticks)


def test_the_card_of_a_channel_says_what_it_separates(make_explained: Make) -> None:
    work = make_explained()
    rows = [
        ("stem", 0, "seg", "wall", "", 0.6, 0.55, 0.65, 90, 200, 8),
        ("stem", 0, "depth", "1 to 2", "m", 0.1, 0.05, 0.2, 50, 200, 8),
        ("stem", 0, "seg", "<b>bed</b>", "", 1.0, float("nan"), float("nan"), 9, 200, 8),
        ("stem", 1, "seg", "wall", "", 0.5, 0.4, 0.6, 90, 200, 8),
    ]
    assert "Measured for channels with maps" in said(_page(run=work.run.id, layer="stem", channel="0"))
    pd.DataFrame(rows, columns=list(COLUMNS)).to_parquet(work.path / "tables" / "separation.parquet")
    page = _page(run=work.run.id, layer="stem", channel="0")
    assert not page.exception
    table = page.dataframe[-1].value
    assert table["value"].tolist() == ["<b>bed</b>", "1 to 2 m", "wall"]
    assert table["interval"].tolist() == ["", "0.05 to 0.20", "0.55 to 0.65"]
