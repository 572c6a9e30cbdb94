"""Labels are kept beside a run, refused where they cannot be shown, and never change the run."""

from pathlib import Path

import pytest

from winnow.engine.runs.labels import NAME, Labels, labels_of, write_labels
from winnow.engine.runs.run import create, find
from winnow.engine.runs.trash import run_or_study
from winnow.engine.specs.train import parse


def test_a_change_keeps_the_rest(tmp_path: Path) -> None:
    write_labels(tmp_path, star=True, tags=("a", "b ", "a", ""))
    assert write_labels(tmp_path, note="why") == Labels(star=True, tags=("a", "b"), note="why")
    assert labels_of(tmp_path).tags == ("a", "b")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "   "}, "`name` must hold a letter"),
        ({"name": "a\nb"}, "one line"),
        ({"tags": ("x" * 41,)}, "at most 40 letters"),
        ({"tags": ("a,b",)}, "no comma"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_nothing_is_written(tmp_path: Path, wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        write_labels(tmp_path, **wrong)
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"star": 3}', "null", " " * 70_000, "[" * 9_000])
def test_a_damaged_file_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    assert labels_of(tmp_path) == Labels()


def test_a_renamed_run_is_found_by_its_new_name(tmp_path: Path) -> None:
    run = create(parse({"name": "before"}), tmp_path)
    write_labels(run.path, name="after")
    assert find("after", tmp_path).id == run_or_study("after", tmp_path).id == run.id
    with pytest.raises(FileNotFoundError):
        find("before", tmp_path)
