"""Code of the user's own is the code whose digest counts: every file of it, or it is refused by name."""

import sys
from pathlib import Path

import pytest

from winnow.data.code import Code
from winnow.data.trust import confirm


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two folders, each with a module of its own name, and a helper whose name both have."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own_helper.py").write_text(f"WHOSE = {name!r}\n")
        (tmp_path / name / f"own_{name}.py").write_text("from own_helper import WHOSE\nMADE = WHOSE\n")
    monkeypatch.setenv("WINNOW_TRUSTED", str(tmp_path / "trusted.json"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    for module in ("own_one", "own_two", "own_helper"):
        monkeypatch.setitem(sys.modules, module, None)  # so that they are gone again after the test
        del sys.modules[module]
    return str(tmp_path / "one"), str(tmp_path / "two")


def test_a_helper_of_another_folder_does_not_stand_for_ones_own(folders: tuple[str, str]) -> None:
    network, task = Code("own_one:MADE", folders[0], "network"), Code("own_two:MADE", folders[1], "task")
    for code in (network, task):
        confirm(code.fingerprint())
    assert network.load() == "one"
    with pytest.raises(ValueError, match="`task` must have a module name of its own, got own_helper, .*Rename yours"):
        task.load()
    assert network.load() == "one"


def test_a_file_called_as_an_installed_package_does_not_take_its_place(folders: tuple[str, str]) -> None:
    folder = Path(folders[0])
    (folder / "json.py").write_text("raise ValueError\n")
    (folder / "own_one.py").write_text("import json\nMADE = json.dumps({})\n")
    code = Code("own_one:MADE", str(folder), "network")
    confirm(code.fingerprint())
    assert code.load() == "{}"
