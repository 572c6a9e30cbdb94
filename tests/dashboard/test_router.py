from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

from winnow.engine.runs.run import Run

ROUTER = str(Path(__file__).resolve().parents[2] / "dashboard" / "router.py")


def test_the_first_page_of_an_empty_folder_is_the_welcome(runs_root: Path) -> None:
    page = AppTest.from_file(ROUTER, default_timeout=30).run()
    assert not page.exception
    assert page.title[0].value == "Winnow"
    assert page.button(key="start_demo").label == "Start the demo run"
    assert any("`winnow demo`" in text.value for text in page.markdown)


def test_the_first_page_is_the_table_once_there_is_a_run(make_run: Callable[..., Run]) -> None:
    make_run(name="first")
    page = AppTest.from_file(ROUTER, default_timeout=30).run()
    assert not page.exception
    assert page.dataframe[0].value["name"].tolist() == ["first"]
