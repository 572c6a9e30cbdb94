"""Data sets by a name of the user's: kept, offered, replaced by what they stand for; wrong ones are refused by name."""

import json
from pathlib import Path

import pytest

from tests.data.folder import making as folder_files
from tests.data.layouts import nyu_files
from winnow.data.registered import built_in, forget, named_spec, register, registered, registered_file, resolved
from winnow.data.sample import DataError
from winnow.engine.cli.options import spec_of, training_options


@pytest.fixture(autouse=True)
def _own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_DATASETS", str(tmp_path / "settings" / "datasets.json"))


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    return nyu_files.mtan(tmp_path / "my rooms, ä")


def test_register(rooms: Path, tmp_path: Path):
    spec = register("rooms", str(rooms))
    assert (spec.dataset, spec.root) == ("nyu", str(rooms))
    register("rooms", str(rooms), "nyu/mtan")  # the same folder again
    register("mine", str(folder_files.make(tmp_path / "photos")))
    assert list(registered()) == ["mine", "rooms"]
    assert registered()["rooms"] == {"dataset": "nyu", "root": str(rooms), "layout": "mtan"}
    assert "layout" not in registered()["mine"]
    assert named_spec("rooms") == spec
    assert len(named_spec("mine").load("train")) > 0


@pytest.mark.parametrize("name", ["", "nyu", "own", "recorded", "a b", "../x", "x" * 81, ".x", "a/b", "ä"])
def test_a_name_that_cannot_be_is_refused(rooms: Path, name: str):
    with pytest.raises(ValueError, match="`name` must be"):
        register(name, str(rooms))
    assert registered() == {}


def test_a_name_of_another_folder_is_not_overwritten(rooms: Path, tmp_path: Path):
    register("rooms", str(rooms))
    other = nyu_files.mtan(tmp_path / "other")
    with pytest.raises(ValueError, match=r"winnow data rm rooms"):
        register("rooms", str(other))
    assert registered()["rooms"]["root"] == str(rooms)


def test_a_folder_of_no_data_set_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="none of them"):
        register("rooms", str(tmp_path))
    with pytest.raises(DataError, match="not a folder"):
        register("rooms", str(tmp_path / "nowhere"))
    assert not registered_file().exists()


def test_forget(rooms: Path):
    register("rooms", str(rooms))
    forget("rooms")
    assert registered() == {}
    assert (rooms / "train/image/0.npy").is_file()
    with pytest.raises(ValueError, match=r"there is none yet.*got rooms"):
        forget("rooms")


@pytest.mark.parametrize(
    "content",
    [
        "[]", "{", "null", "1", "\xff", '{"a": 1}', '{"a": {"dataset": "nyu"}}', '{"../a": {}}', "[" * 100_000,
        '{"a": {"dataset": "fashion", "root": "/x"}}', '{"a": {"dataset": "nyu", "root": 3}}',
        '{"a": {"dataset": "nyu", "root": "/x", "cache": "/y"}}', '{"nyu": {"dataset": "nyu", "root": "/x"}}',
    ],
)  # fmt: skip
def test_a_damaged_list_is_named(content: str):
    registered_file().parent.mkdir()
    registered_file().write_text(content, "latin-1")
    with pytest.raises(ValueError, match=r"datasets\.json|`name` must be"):
        registered()


def test_named_spec(rooms: Path):
    assert named_spec("fashion").dataset == "fashion"
    assert "nyu" not in built_in()
    with pytest.raises(ValueError, match=r"must be one of .*fashion.*got 'rooms'"):
        named_spec("rooms")
    register("rooms", str(rooms))
    rooms.rename(rooms.with_name("gone"))
    with pytest.raises(ValueError, match=r"not a folder"):
        named_spec("rooms").load("train")


def test_resolved(rooms: Path):
    register("rooms", str(rooms))
    assert resolved({"dataset": "nyu"}) == {"dataset": "nyu"}
    found = resolved({"dataset": "rooms", "root": None, "layout": None, "height": 8})
    assert found == {"dataset": "nyu", "root": str(rooms), "layout": "mtan", "height": 8}
    assert resolved({"dataset": "rooms", "root": "/elsewhere"})["root"] == "/elsewhere"
    assert resolved({"dataset": "pkg.mod:function"})["dataset"] == "pkg.mod:function"


def test_a_run_stores_what_the_name_stands_for(rooms: Path):
    register("rooms", str(rooms))
    given = {option.name: None for option in training_options()}
    spec = spec_of({**given, "tasks": None, "dataset": "rooms", "batch_size": "2", "height": "16", "width": "16"})
    assert (spec.data.dataset, spec.data.model_dump()["root"], spec.tasks) == (
        "nyu",
        str(rooms),
        ("seg", "depth", "normals"),
    )
    assert "rooms" not in json.dumps({**spec.model_dump(mode="json"), "data": None})
