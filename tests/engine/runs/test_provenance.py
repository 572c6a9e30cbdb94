"""A run says what it was made with, and nobody takes it for one that was made with something else."""

import ast
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from winnow.data.digits import FIELDS, Digits
from winnow.data.fingerprint import files_below, fingerprint
from winnow.data.spec import DataSpec
from winnow.engine.runs import provenance
from winnow.engine.runs.provenance import APART, DATA, ENGINE, made_with, note_start, of_one_state, source_digest
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.studies.spec_hash import KnownRuns, spec_hash


class OnDisk(DataSpec):
    """Digits, with a folder beside them that counts."""

    summary = ""
    known = FIELDS
    source: ClassVar[Any] = Digits

    dataset: Literal["disk"] = "disk"
    root: str

    def options(self, split: str) -> dict[str, Any]:
        return {}

    def fingerprint(self) -> str:
        return fingerprint(files_below(Path(self.root)))


@pytest.fixture
def on_disk(tmp_path: Path) -> TrainSpec:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.txt").write_text("1")
    spec = parse({"data": {"dataset": "digits"}})
    return spec.model_copy(update={"data": OnDisk(root=str(tmp_path / "images"))})


@pytest.fixture
def copies(tmp_path: Path) -> tuple[Path, Path]:
    ignored = shutil.ignore_patterns("__pycache__")
    for name, source in (("engine", ENGINE), ("data", DATA)):
        shutil.copytree(source, tmp_path / name, ignore=ignored)
    return tmp_path / "engine", tmp_path / "data"


def test_a_copy_of_the_source_has_its_digest(copies: tuple[Path, Path]) -> None:
    assert source_digest(*copies) == source_digest()


@pytest.mark.parametrize(
    "file", ["engine/training/loop.py", "engine/jobs/best_epoch.py", "data/digits.py", "data/fashion/subset.npz"]
)
def test_an_edit_of_the_source_that_decides_changes_the_digest(copies: tuple[Path, Path], file: str) -> None:
    edited = copies[0].parent / file
    edited.write_bytes(edited.read_bytes() + b"\n# edited\n")
    assert source_digest(*copies) != source_digest()


@pytest.mark.parametrize("room", APART)
def test_an_edit_of_a_room_that_only_reads_results_does_not(copies: tuple[Path, Path], room: str) -> None:
    (copies[0] / room / "more.py").write_text("MORE = 1\n")
    assert source_digest(*copies) == source_digest()


def test_all_that_training_imports_is_in_the_digest() -> None:
    allowed = {"export"}  # writes the networks kept on the way, which no hash counts
    assert {file.split("/")[1] for file in _closure("winnow.engine.jobs.training_job")} & set(APART) <= allowed


def _closure(start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        path = ENGINE.parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
        name = "/".join(path.parts[-len(module.split(".")) + 1 :])
        if path.is_file() and name not in found:
            found.add(name)
            waiting += _named(path)
    return found


def _named(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("winnow."):  # a Reference
            yield str(node.value)


def test_a_hash_sees_the_data_on_disk(on_disk: TrainSpec, tmp_path: Path) -> None:
    before = spec_hash(on_disk)
    (tmp_path / "images" / "one.txt").write_text("2")
    assert spec_hash(on_disk) != before
    (tmp_path / "images" / "one.txt").write_text("1")
    assert spec_hash(on_disk) == before


def test_a_hash_sees_edited_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = spec_hash(TrainSpec())
    monkeypatch.setattr(provenance, "source_digest", lambda: "0123456789abcdef")
    assert spec_hash(TrainSpec()) != before


def _done(root: Path, starts: int = 1, **changed: Mapping[str, object]) -> Run:
    run = create(TrainSpec(), root)
    for _ in range(starts):
        note_start(run.path, run.spec)
    if changed:
        noted = json.loads((run.path / provenance.STARTS).read_bytes())
        (run.path / provenance.STARTS).write_text(json.dumps([*noted, {**noted[0], **changed}]))
    (run.path / "status.json").write_text(json.dumps({"state": "done"}))
    return run


def test_a_run_made_in_one_state_of_the_code_is_not_trained_again(tmp_path: Path) -> None:
    run = _done(tmp_path, starts=2)
    assert of_one_state(run.path)
    assert len(json.loads((run.path / provenance.STARTS).read_bytes())) == 1
    assert KnownRuns(tmp_path).done(TrainSpec()) is not None


@pytest.mark.parametrize("changed", [{"packages": {"torch": "1.0"}}, {"made_with": {"source": "0", "data": ""}}])
def test_a_run_resumed_under_other_code_stands_for_none(tmp_path: Path, changed: dict[str, Any]) -> None:
    run = _done(tmp_path, **changed)
    assert not of_one_state(run.path)
    assert KnownRuns(tmp_path).done(TrainSpec()) is None


@pytest.mark.parametrize("content", ["{", "[1]", "3", '[{"packages": 1}]'])
def test_a_damaged_note_of_the_starts_stands_for_none(tmp_path: Path, content: str) -> None:
    run = _done(tmp_path)
    (run.path / provenance.STARTS).write_text(content)
    assert KnownRuns(tmp_path).done(TrainSpec()) is None


def test_changed_data_stop_a_run_before_it_goes_on(on_disk: TrainSpec, tmp_path: Path) -> None:
    run = create(on_disk, tmp_path / "runs")
    note_start(run.path, on_disk)
    (tmp_path / "images" / "one.txt").write_text("2")
    with pytest.raises(ValueError, match="`data` must be the files that the run was created with"):
        note_start(run.path, on_disk)


def test_made_with_is_no_part_of_the_spec(tmp_path: Path) -> None:
    run = create(TrainSpec(), tmp_path)
    assert run.spec == TrainSpec()
    assert run.packages == made_with(TrainSpec())["packages"]


def test_a_run_whose_data_cannot_be_read_leaves_no_folder(on_disk: TrainSpec, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(ValueError, match="`root` must be a folder"):
        create(on_disk, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
