"""A run folder that somebody else sent runs no code, reads and writes nothing outside, and connects to nothing."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from tests.engine.commanding import winnow_here
from tests.reliability.conftest import TINY as SMALL
from winnow.engine.jobs import worker
from winnow.engine.runs import launch
from winnow.engine.runs.derived import derived_job, read
from winnow.engine.runs.files import append, cut, replace_json
from winnow.engine.runs.received import RefusedFolderError, why_refused
from winnow.engine.runs.run import Run, create, find, list_runs, run_below
from winnow.engine.runs.spreadsheet import FORMULA_STARTS
from winnow.engine.runs.study import COLUMNS, create_study
from winnow.engine.runs.work_folder import Status, WorkFolder, refused
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.study import parse_many
from winnow.engine.specs.train import parse
from winnow.engine.studies.reporting_tables import csv_text

LINKS = ("log.txt", "status.json", "spec.json", "events.jsonl", "lock", "control.json", "control.lock", "tables",
         "groups/norms.bin", "groups", "weights", "weights/network.json", "weights/before", "snapshots", "prune",
         "explain/20260101-000000-x", "export", "worked_with.json")  # fmt: skip
TINY = {**SMALL, "epochs": 1}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("to_folder", [False, True])
def test_a_folder_with_a_link_is_never_opened(gift: Run, tmp_path: Path, name: str, to_folder: bool):
    outside, place = tmp_path / "outside", gift.path / name
    (outside / "inner").mkdir(parents=True)
    (outside / "private.txt").write_text("three years of work")
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True, parents=True)
    place.symlink_to(outside if to_folder else outside / "private.txt")
    before = contents(outside)
    assert list_runs() == []
    assert name in refused(gift.path.parent)[gift.id]
    for command in (["runs", "show"], ["runs", "verify"], ["runs", "rm", "--yes"], ["train", "--resume"], ["prune"]):
        done = winnow_here(*command, gift.id)
        assert done.returncode == 2, command
        assert done.stderr.count("\n") == 1
        assert "is a link" in done.stderr
    with pytest.raises(RefusedFolderError):
        worker.main([str(gift.path)])
    with pytest.raises((launch.JobError, ValueError, OSError)):
        launch.start(gift)
    assert contents(outside) == before


def test_a_refused_folder_does_not_hide_the_others(gift: Run):
    (gift.path / "log.txt").unlink(missing_ok=True)
    (gift.path / "log.txt").symlink_to("/etc/passwd")
    good = create(parse({"name": "good", **TINY}))
    assert [run.id for run in list_runs()] == [good.id]
    done = winnow_here("runs", "list")
    assert good.id in done.stdout
    assert "'log.txt' is a link" in done.stderr


def test_a_pipe_keeps_nobody_waiting(gift: Run):
    (gift.path / "spec.json").unlink()
    os.mkfifo(gift.path / "spec.json")
    assert list_runs() == []
    assert "no plain file" in why_refused(gift.path)


def test_a_folder_of_very_many_folders_is_refused(tmp_path: Path):
    deep = tmp_path.joinpath(*["a"] * 20)
    deep.mkdir(parents=True)
    assert "deep" in why_refused(tmp_path)


def test_a_link_below_the_root_is_no_run(gift: Run, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    shutil.move(gift.path, elsewhere)
    gift.path.symlink_to(elsewhere)
    assert list_runs() == []
    for call in (lambda: find(gift.id), lambda: run_below(gift.path.parent, gift.id), lambda: Run.open(gift.path)):
        with pytest.raises(FileNotFoundError):
            call()


@pytest.mark.parametrize("write", [lambda path: append(path, b"x"), lambda path: cut(path, 0)])
def test_a_log_that_became_a_link_is_not_written_through(tmp_path: Path, write: Callable[[Path], None]):
    (tmp_path / "diary").write_text("dear diary")
    (tmp_path / "events.jsonl").symlink_to("diary")
    with pytest.raises(OSError, match="events"):
        write(tmp_path / "events.jsonl")
    assert (tmp_path / "diary").read_text() == "dear diary"


@pytest.mark.parametrize("write", [lambda path: append(path, b"x"), lambda path: cut(path, 0)])
def test_a_log_with_another_name_is_not_written_to(tmp_path: Path, write: Callable[[Path], None]):
    """A backup by `cp -al`, or an archive's hard link, shares its files: what a resume appends would be there too."""
    (tmp_path / "diary").write_text("dear diary")
    (tmp_path / "events.jsonl").hardlink_to(tmp_path / "diary")
    with pytest.raises(OSError, match="hard link"):
        write(tmp_path / "events.jsonl")
    assert (tmp_path / "diary").read_text() == "dear diary"


@pytest.mark.parametrize("name", ["log.txt", "events.jsonl", "groups/norms.bin", "lock", "control.lock"])
def test_a_folder_with_a_hard_link_changes_nothing_elsewhere(gift: Run, tmp_path: Path, worker_settings, name: str):
    outside, place = tmp_path / "outside", gift.path / name
    outside.write_text("three years of work\n")
    place.unlink(missing_ok=True)
    place.hardlink_to(outside)
    spec = json.loads((gift.path / "spec.json").read_text())
    (gift.path / "spec.json").write_text(json.dumps({**spec, "epochs": 3}))
    for command in (["runs", "show"], ["runs", "verify"]):
        winnow_here(*command, gift.id)
    if name == "log.txt":
        assert "hard link" in winnow_here("train", "--resume", gift.id).stderr
    elif "lock" not in name:
        with worker_settings(), suppress(OSError):
            worker.main([str(gift.path)])
        assert "hard link" in gift.recorded_status().message
    assert outside.read_text() == "three years of work\n"


@pytest.mark.parametrize("name", ["../elsewhere", "..", ".", "", "/etc", "a/b", ".trash", "\0", "a\\..\\..\\b"])
def test_a_name_is_one_component_of_a_path(tmp_path: Path, name: str):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "spec.json").write_text("{}")
    (tmp_path / "runs").mkdir()
    with pytest.raises(FileNotFoundError):
        run_below(tmp_path / "runs", name)


def study_folder(**more: object) -> WorkFolder:
    base = {**TINY, "threads": 1}
    study = create_study(parse_many({"kind": "study", "name": "gift", "base": base, "subsets": ["all"], **more}))
    (study.path / "status.json").write_text(Status(state="stopped").model_dump_json())
    return study


@pytest.mark.parametrize("place", [{"scheduler": "tcp://127.0.0.1:9"}, {"cluster": {"cluster": "slurm", "jobs": 1}}])
def test_a_study_folder_alone_names_no_cluster(runs_root: Path, place: dict[str, object], monkeypatch):
    study = study_folder(**place)
    with pytest.raises(launch.JobError, match="only from its folder"):
        launch.start(study)
    done = winnow_here("study", "--resume", study.id)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    monkeypatch.setattr("winnow.engine.studies.scheduling.cluster.connected", lambda _: pytest.fail("connected"))
    monkeypatch.setattr("winnow.engine.studies.scheduling.cluster.started", lambda *_: pytest.fail("connected"))
    assert worker.main([str(study.path)]) == 1  # nor does a worker that is started by hand
    assert "when the study is started" in study.status.message


def test_a_study_names_no_run_outside_and_no_run_of_another(runs_root: Path, tmp_path: Path, monkeypatch):
    from winnow.engine.jobs.stop_request import StopRequest
    from winnow.engine.jobs.study_job import run_study
    from winnow.engine.jobs.writer import ResultWriter
    from winnow.engine.studies.plan import plan
    from winnow.engine.studies.scheduling.pool import LocalPool

    study = study_folder()
    other = create(parse({"name": "mine", **TINY, "seed": 7}))
    key = plan(study.spec)[0].key
    given: list[str] = []
    monkeypatch.setattr(LocalPool, "start", lambda self, run: given.append(run.id))
    monkeypatch.setattr(LocalPool, "ended", lambda self, run: "stopped")
    (tmp_path / "private").mkdir()
    for named in ("../private", other.id):
        row = [key, "dense", "x", "equal", "", 0.0, 0, "stopped", named, False, ""]
        (study.path / "tables").mkdir(exist_ok=True)
        pd.DataFrame([row], columns=list(COLUMNS)).to_parquet(study.path / "tables" / "members.parquet")
        with pytest.raises(ValueError, match="stopped by hand"):
            run_study(study, ResultWriter(study), StopRequest(study))
    assert given
    assert other.id not in given
    assert all((runs_root / name / "spec.json").is_file() for name in given)


@pytest.mark.parametrize("name", ["a\nb", "\x00", "\u202egpj", "   ", "\t", "a\x1b[31m", "\r"])
def test_a_name_is_printable_on_one_line(name: str):
    with pytest.raises(SpecError, match="`name`"):
        parse({"name": name, **TINY})


@pytest.mark.parametrize("key", ["a\nb", "a\x1b[31mb", "\u202ea", "a\r\nTraceback", "\x00", "\u2028x"])
def test_a_refusal_quotes_no_control_characters(key: str):
    for values in (
        {key: 1, **TINY},
        {"penalty": {key: 1}, **TINY},
        {"tasks": [key], **TINY},
        {**TINY, "data": {"dataset": key}},
    ):
        with pytest.raises(SpecError) as refusal:
            parse(values)
        assert str(refusal.value).isprintable()


@pytest.mark.parametrize("name", ["デモ 😀", "👩‍🔬", "=1+1", "<b>x</b>", "é"])
def test_a_name_of_any_script_is_a_name(runs_root: Path, name: str):
    assert create(parse({"name": name, **TINY})).path.parent == runs_root


@pytest.mark.parametrize("start", [*FORMULA_STARTS, " ="])
def test_no_table_of_a_study_holds_a_formula(start: str):
    assert (
        csv_text(pd.DataFrame({"message": [f"{start}cmd|' /C calc'!A0"], "x": [-1.5]}))
        .splitlines()[-1]
        .endswith("-1.5")
    )
    assert f"'{start}cmd" in csv_text(pd.DataFrame({"message": [f"{start}cmd"]}))


def test_a_job_is_not_opened_where_its_run_holds_a_link(gift: Run):
    job = derived_job(gift, read({"kind": "prune"}))
    (gift.path / "groups" / "norms.bin").unlink()
    (gift.path / "groups" / "norms.bin").symlink_to("/etc/passwd")
    with pytest.raises(RefusedFolderError):
        worker.main([str(job.path)])


def test_a_spec_that_names_a_run_names_it_alone(runs_root: Path):
    source = {"run": "../../elsewhere", "sha256": "0" * 64}
    with pytest.raises(SpecError):
        parse({**TINY, "start": {"weights": source}})
    replace_json(runs_root.parent / "spec.json", json.loads("{}"))
