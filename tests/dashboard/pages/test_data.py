"""The page of data sets says what a look found, starts one, and registers folders; what is wrong is said by name."""

from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making_looks import write_look
from tests.data.folder import making as folder_files
from winnow.dashboard.frames.answers.of_data import data_answer
from winnow.data.checking.recognising import spec_for
from winnow.data.registered import register, registered, registered_file
from winnow.engine.runs.look import COLUMNS, list_looks


@pytest.fixture(autouse=True)
def _own_list(runs_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_DATASETS", str(runs_root / "settings" / "datasets.json"))


def _data() -> None:
    from winnow.dashboard.pages.data.page import page

    page()


def _page(**address: str) -> AppTest:
    page = AppTest.from_function(_data, default_timeout=30)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with one damaged target."""
    root = folder_files.make(tmp_path / "photos <b>ä")
    (root / f"objects/{folder_files.NAMES[0]}.png").write_bytes(b"nothing")
    register("mine", str(root))
    return root


def test_a_data_set_that_nobody_looked_at_offers_a_look(runs_root: Path, end_workers: None) -> None:
    page = _page(data="digits")
    assert not page.exception
    assert "digits has not been examined yet" in page.info[0].value
    page.button(key="look").click().run()
    assert not page.exception
    assert len(list_looks("digits")) == 1


def test_samples_targets_and_findings_are_shown(runs_root: Path) -> None:
    write_look(runs_root)
    page = _page(data="scenes", sample="1")
    assert not page.exception
    assert any("5 in train, 3 in val and 2 in test" in found.proto.body for found in page.get("html"))
    shown = {image.caption for images in page.get("image") for image in images.proto.imgs}
    assert {"image", "seg", "normals", "edges"} <= shown
    page = _page(data="scenes", data_view="Targets", task_of_data="depth")
    assert not page.exception
    assert set(page.dataframe[0].value["split"]) == {"train", "val", "test"}
    assert len(page.get("plotly_chart")) == 1
    page = _page(data="scenes", data_view="Findings")
    assert "nothing is wrong" in page.success[0].value


def test_findings_of_a_registered_folder_are_listed(photos: Path, runs_root: Path) -> None:
    write_look(runs_root, "mine", spec_for(str(photos)))
    page = _page(data="mine", data_view="Findings")
    assert not page.exception
    assert folder_files.NAMES[0] in page.dataframe[1].value["file"][0]
    assert any("1 finding." in found.proto.body for found in page.get("html"))
    for task in ("depth", "seen"):
        assert not _page(data="mine", data_view="Targets", task_of_data=task).exception, task
    page = _page(data="mine")
    assert not page.exception
    assert any("objects" in warning.value for warning in page.warning)


def test_a_folder_is_registered_and_taken_off_the_list(tmp_path: Path) -> None:
    root = folder_files.make(tmp_path / "photos")
    page = _page()
    for key, value in (("register_name", "a b"), ("register_folder", str(root))):
        page.text_input(key=key).set_value(value)
    page.button(key="register").click().run()
    assert "`name` must be" in page.error[0].value
    page.text_input(key="register_name").set_value("mine")
    page.button(key="register").click().run()
    assert not page.exception
    assert registered()["mine"]["root"] == str(root)
    assert page.query_params["data"] == "mine"
    page.button(key="forget").click().run()
    assert not page.exception
    assert registered() == {}


@pytest.mark.parametrize("folder", ["", "/nowhere/at/all"])
def test_a_folder_that_is_none_is_said(folder: str) -> None:
    page = _page()
    page.text_input(key="register_name").set_value("mine")
    page.text_input(key="register_folder").set_value(folder)
    page.button(key="register").click().run()
    assert len(page.error) == 1
    assert "\n" not in page.error[0].value
    assert registered() == {}


def test_a_data_set_that_is_gone_is_said(runs_root: Path) -> None:
    page = _page(data="gone")
    assert "There is no data set gone" in page.error[0].value
    registered_file().parent.mkdir()
    registered_file().write_text("{")
    page = _page()
    assert not page.exception
    assert "datasets" in page.error[0].value


def test_damaged_pictures_are_said(runs_root: Path) -> None:
    (write_look(runs_root).path / "pictures.safetensors").write_bytes(b"x")
    page = _page(data="scenes")
    assert not page.exception
    assert "Look again" in page.error[0].value


def test_data_answer() -> None:
    splits = pd.DataFrame([("train", 1200, ""), ("val", 1, "")], columns=list(COLUMNS["splits"]))
    rows = [("train", "seg", "", "", 1200, 1200, 1.0), ("val", "depth", "", "", 0, 1, 0.0)]
    coverage = pd.DataFrame(rows, columns=list(COLUMNS["coverage"]))
    found = data_answer(splits, coverage, 2)
    assert (
        found.says
        == "1,201 samples: 1,200 in train and 1 in val. Least labelled: depth in val, 0 % of the images. 2 findings."
    )
    assert data_answer(splits, coverage[:1], 0).says.endswith(
        "Every image has a target of every task. Nothing is wrong."
    )
    assert data_answer(splits[:0], coverage[:0], 1).says == "No split can be read. 1 finding."
