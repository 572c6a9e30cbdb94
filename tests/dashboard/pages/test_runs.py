from collections.abc import Callable

from streamlit.testing.v1 import AppTest

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
