"""Names of channels are kept beside a run, can be undone, and are refused where they cannot be shown."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from winnow.engine.cli.main import winnow
from winnow.engine.runs.concepts import (
    CONCEPTS,
    KEPT,
    Concept,
    can_undo_concept,
    concepts_of,
    undo_concept,
    write_concept,
)
from winnow.engine.runs.digests import changed_files, note_digests
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse


def test_a_change_keeps_the_rest(tmp_path: Path) -> None:
    write_concept(tmp_path, "input", "stem", 3, name=" wheels ")
    write_concept(tmp_path, "input", "stem", 3, note="round,\nand dark")
    write_concept(tmp_path, "output", "stem", 3, name="another channel")
    known = concepts_of(tmp_path)
    assert known["input", "stem", 3] == Concept(layer="stem", channel=3, name="wheels", note="round,\nand dark")
    assert known["output", "stem", 3].name == "another channel"
    write_concept(tmp_path, "input", "stem", 3, name="", note="")
    assert list(concepts_of(tmp_path)) == [("output", "stem", 3)]


def test_changes_are_undone_one_by_one(tmp_path: Path) -> None:
    assert not undo_concept(tmp_path)
    for name in ("a", "b", "b"):
        write_concept(tmp_path, "input", "stem", 0, name=name)
    assert undo_concept(tmp_path)
    assert concepts_of(tmp_path)["input", "stem", 0].name == "a"
    assert undo_concept(tmp_path)
    assert not concepts_of(tmp_path)
    assert not can_undo_concept(tmp_path), "writing the same again is no change"
    for place in range(KEPT + 5):
        write_concept(tmp_path, "input", "stem", place, name="x")
    assert sum(undo_concept(tmp_path) for _ in range(KEPT + 5)) == KEPT


@pytest.mark.parametrize(
    "wrong", [{"name": "   "}, {"name": "a\nb"}, {"name": "x" * 61}, {"note": "\x00"}, {"name": "\u202e"}]
)
def test_what_cannot_be_shown_is_refused_and_nothing_is_written(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="`(name|note)`"):
        write_concept(tmp_path, "input", "stem", 0, **wrong)
    assert not (tmp_path / CONCEPTS).exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"channels": 3}', '{"channels": [{"layer": "", "channel": -1}]}'])
def test_a_damaged_file_says_nothing_and_is_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / CONCEPTS).write_text(content)
    assert concepts_of(tmp_path) == {}
    with pytest.raises(ValueError, match="is damaged"):
        write_concept(tmp_path, "input", "stem", 0, name="a")
    assert (tmp_path / CONCEPTS).read_text() == content


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("WINNOW_RUNS", str(tmp_path))
    made = create(parse({"name": "named"}), tmp_path)
    made.norms.begin([Layer("stem", 4, 9)])
    return made


def test_the_digests_of_a_run_do_not_change_with_names(run: Run) -> None:
    write_concept(run.path, "input", "stem", 1, name="before")
    note_digests(run.path)
    write_concept(run.path, "input", "stem", 1, name="after")
    assert changed_files(run.path) == {}


def test_the_command_names_lists_and_undoes(run: Run) -> None:
    def said(*arguments: str) -> str:
        done = CliRunner().invoke(winnow, ["runs", *arguments])
        return done.output if done.exit_code == 0 else f"refused: {done.output}"

    assert said("name-channel", "named", "stem", "2", "--name", "<b>edges</b>") == "stem 2: <b>edges</b>\n"
    assert said("channels", "named") == "input    stem 2: <b>edges</b>\n"
    assert "must be 0 to 3 of stem, got 4 of stem" in said("name-channel", "named", "stem", "4", "--name", "x")
    assert "must be in one of stem" in said("name-channel", "named", "head", "0", "--name", "x")
    assert "must be given together" in said("name-channel", "named", "stem", "0")
    assert said("name-channel", "named", "--undo") == "undone\n"
    assert said("channels", "named") == ""
