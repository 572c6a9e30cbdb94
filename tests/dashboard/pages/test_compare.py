import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making_explanations import write_circuits, write_explanation
from tests.dashboard.making_judged import write_judged
from tests.dashboard.making_studies import write_path
from tests.dashboard.reading import said
from winnow.dashboard.shared.address import CLAIM
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study

MakeRun = Callable[..., Run]


def _compare() -> None:
    from winnow.dashboard.pages.compare.page import page

    page()


def _page(**address: str) -> AppTest:
    page = AppTest.from_function(_compare, default_timeout=60)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


@pytest.mark.parametrize(
    ("view", "charts"), [("Maps", 0), ("Metrics", 1), ("Layers", 2), ("Seeds", 1), ("Descriptions", 0)]
)
def test_only_the_open_view_is_drawn(the_path: Study, view: str, charts: int) -> None:
    a, b = (the_path.run(f"sparse-target-40/seg+depth/equal/{seed}").id for seed in (0, 1))
    page = _page(run=a, other=b, against_one_another=view)
    assert not page.exception
    assert len(page.get("plotly_chart")) == charts
    assert f"A: made up sparse-target-40 seg+depth equal s0, {a}" in said(page) or view == "Seeds"


def test_circuits_are_compared_where_both_runs_have_them(make_explained: Callable[..., DerivedJob]) -> None:
    one, other = make_explained(), make_explained()
    write_circuits(one)
    shown = {"run": one.run.id, "other": other.run.id, "against_one_another": "Circuits"}
    assert "B has not been explained with circuits" in _page(**shown).info[0].value
    asked = write_explanation(other.run, circuits=True)
    status = asked.recorded_status().model_copy(update={"message": "The circuits are missing: no task beats chance."})
    replace(asked.path / "status.json", status.model_dump_json().encode())
    told = _page(**shown).info[0].value.replace("\\", "")
    assert told == "Circuits of B were asked for, and there are none. The circuits are missing: no task beats chance."
    write_circuits(other)
    page = _page(**shown)
    assert not page.exception
    assert "holds for the circuits of A" in said(page)
    assert page.dataframe[0].value["layer"].iloc[0] == "all layers"


def test_the_two_newest_runs_are_compared_at_first(make_run: MakeRun) -> None:
    older, newer = make_run(), make_run()
    page = _page()
    assert tuple(page.selectbox(key=name).value for name in ("run", "other")) == (newer.id, older.id)


def test_the_run_of_the_other_pages_is_a(make_run: MakeRun) -> None:
    oldest = make_run()
    make_run()
    make_run()
    assert _page(run=oldest.id).selectbox(key="run").value == oldest.id


@pytest.mark.parametrize("name", ["nonsense", "../../etc", "<script>"])
def test_an_address_that_names_no_run_says_so_and_compares_nothing(make_run: MakeRun, name: str) -> None:
    make_run()
    newest = make_run()
    for address in ({"run": name, "other": newest.id}, {"run": newest.id, "other": name}):
        page = _page(**address)
        assert not page.exception
        assert [error.value[:15] for error in page.error] == ["There is no run"]
        assert not page.get("tab")


def test_a_run_is_not_compared_with_itself(make_run: MakeRun) -> None:
    run = make_run()
    assert "There is one run so far" in _page(run=run.id).info[0].value
    make_run()
    page = _page(run=run.id, other=run.id)
    assert not page.exception
    assert "two different runs" in page.info[0].value


def test_networks_of_another_shape_are_said(runs_root: Path, make_run: MakeRun) -> None:
    run, path = make_run(), write_path(runs_root, targets=[40])
    page = _page(run=run.id, other=path.run("dense/seg+depth/equal/0").id)
    assert not page.exception
    assert "cannot be compared channel by channel" in page.info[0].value


def test_groups_of_another_kind_are_not_laid_over_one_another(make_run: MakeRun) -> None:
    inputs, filters = make_run(), make_run(penalty={"groups": "output"})
    page = _page(run=inputs.id, other=filters.id)
    assert "groups of different kinds" in page.info[0].value


def test_without_siblings_it_says_how_to_get_some(make_run: MakeRun) -> None:
    make_run(penalty={"strength": 1e-3})
    make_run(penalty={"strength": 1e-2})
    assert "another seed" in _page(against_one_another="Seeds").info[0].value


def test_without_runs_it_offers_the_demo(runs_root: Path) -> None:
    assert _page().button(key="start_demo").label == "Start the demo run"


def test_a_damaged_spec_hides_nothing(make_run: MakeRun) -> None:
    make_run()
    (make_run().path / "spec.json").write_text("{")
    for view in ("Maps", "Metrics", "Layers", "Seeds", "Descriptions"):
        assert not _page(against_one_another=view).exception


def test_runs_that_were_judged_on_other_images_have_no_gain(make_run: MakeRun) -> None:
    one, other = make_run(), make_run(data={"dataset": "scenes", "data_seed": 7})
    page = _page(run=one.id, other=other.id, against_one_another="Metrics")
    assert not page.exception
    assert "different images or labels: data_seed 0 in A, 7 in B" in page.warning[0].value.replace("\\", "")
    assert not page.get("plotly_chart")


def test_a_run_before_its_first_epoch_is_said_to_have_nothing_counted_yet(make_run: MakeRun) -> None:
    known, young = make_run(), make_run()
    (young.path / "events.jsonl").unlink()
    shutil.rmtree(young.path / "groups")
    page = _page(run=young.id, other=known.id, against_one_another="Maps")
    assert not page.exception
    assert "are zero. Those of A have not been counted." in page.session_state[CLAIM]
    assert "A has recorded no norms of groups" in page.info[0].value


def test_who_pays_needs_explanations_that_judged_every_image(make_explained: Callable[..., DerivedJob]) -> None:
    a, b = make_explained(), make_explained()
    asked = {"run": a.run.id, "other": b.run.id, "against_one_another": "Who pays"}
    assert any("winnow explain RUN" in info.value for info in _page(**asked).info)
    write_judged(a, ("run",), lose=False)
    write_judged(b, ("run",))
    page = _page(**asked)
    assert not page.exception
    assert "7 of 8 images are worse with B than with A" in said(page)
    assert "There are no pictures of these images" in said(page)
