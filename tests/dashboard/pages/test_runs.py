from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from tests.dashboard.reading import said
from winnow.engine.runs.run import Run


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
    assert page.dataframe[0].value["name"].tolist() == ["<script>alert(1)</script> ../x"]
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
