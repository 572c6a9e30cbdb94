"""`winnow train --dataset NAME --root DIR` trains an epoch on files of the true format, or says what is wrong first."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data import test_yeast as yeast_files
from tests.data.disk.making import save
from tests.data.folder import making as folder_files
from tests.data.folder import test_shards as shard_files
from tests.data.layouts import celeba_files, nyu_files, street_files
from tests.engine.commanding import winnow_here
from tests.engine.training_here import result_of, train_here
from winnow.data.disk.cache import cached
from winnow.data.folder.dataset import FolderData
from winnow.data.layouts.nyu import NyuData
from winnow.data.sample import DataError
from winnow.engine.cli.runs import figures
from winnow.engine.runs.run import list_runs

TASKS = "objects,depth,normals,heat,borders,season,seen,height,pose"


def test_a_folder_trains_on_every_kind_of_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = folder_files.make(tmp_path / "my photos ü")
    asked = ["--dataset", "folder", "--root", str(folder), "--tasks", TASKS, "--test"]
    result = result_of(train_here(monkeypatch, tmp_path / "runs", *asked))
    assert (result["state"], result["epoch"]) == ("done", 1), result
    assert set(result["metrics"]) == set(TASKS.split(","))
    assert all(math.isfinite(value) for _, value, _ in result["metrics"].values()), result["metrics"]


@pytest.mark.parametrize("layout", nyu_files.WRITERS)
def test_nyu_trains_in_every_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str):
    root = nyu_files.WRITERS[layout](tmp_path / "nyu")
    asked = ["--dataset", "nyu", "--root", str(root), "--height", "24", "--width", "32"]
    result = result_of(train_here(monkeypatch, tmp_path / "runs", *asked))
    assert (result["state"], result["epoch"]) == ("done", 1), result
    assert set(result["metrics"]) == {"seg", "depth"} | ({"normals"} if layout != "official" else set())
    assert all(math.isfinite(value) for _, value, _ in result["metrics"].values()), result["metrics"]


@pytest.mark.parametrize("layout", celeba_files.WRITERS)
def test_celeba_trains_in_every_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str):
    root = celeba_files.WRITERS[layout](tmp_path / "faces")
    asked = [
        "--dataset",
        "celeba",
        "--root",
        str(root),
        "--height",
        "16",
        "--width",
        "16",
        "--layout",
        layout,
        "--tasks",
        "seg,smiling,attributes,pose",
        "--test",
    ]
    result = result_of(train_here(monkeypatch, tmp_path / "runs", *asked))
    assert (result["state"], result["epoch"]) == ("done", 1), result
    assert set(result["metrics"]) == {"seg", "smiling", "attributes", "pose"}
    assert all(math.isfinite(value) for _, value, _ in result["metrics"].values()), result["metrics"]


@pytest.mark.parametrize(
    ("dataset", "write"),
    [
        ("cityscapes", street_files.mtan),
        ("cityscapes", street_files.raw),
        ("pascal", street_files.pascal_mt),
        ("taskonomy", street_files.taskonomy),
    ],
    ids=("numbered streets", "official streets", "objects", "rooms"),
)
def test_streets_and_objects_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, write: Callable[[Path], Path]
):
    root = write(tmp_path / "data")
    asked = ["--dataset", dataset, "--root", str(root), "--height", "16", "--width", "16"]
    result = result_of(train_here(monkeypatch, tmp_path / "runs", *asked))
    assert (result["state"], result["epoch"]) == ("done", 1), result
    assert all(math.isfinite(value) for _, value, _ in result["metrics"].values()), result["metrics"]


def test_yeast_trains_without_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    yeast_files.arff(tmp_path / "yeast.arff", 0, 40)
    asked = ["--dataset", "yeast", "--root", str(tmp_path), "--tasks", "class1,class2,functions", "--test"]
    result = result_of(train_here(monkeypatch, tmp_path / "runs", *asked))
    assert (result["state"], result["epoch"]) == ("done", 1), result


def test_shards_train_as_they_lie_and_from_the_kept_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = ["--dataset", "shards", "--root", str(shard_files.make(tmp_path / "shards")), "--batch-size", "2"]
    tasks = ["--tasks", "objects,season,height"]
    plain, kept = (
        result_of(train_here(monkeypatch, tmp_path / "runs", *asked, *tasks, *more))
        for more in ([], ["--cache", str(tmp_path / "kept")])
    )
    assert (plain["state"], plain["epoch"]) == ("done", 1), plain
    assert plain["metrics"] == kept["metrics"]


def test_kept_arrays_train_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = folder_files.make(tmp_path / "photos")
    asked = ["--dataset", "folder", "--root", str(folder), "--tasks", "objects,depth"]
    plain, kept, again = (
        result_of(train_here(monkeypatch, tmp_path / "runs", *asked, *more))["metrics"]
        for more in ([], ["--cache", str(tmp_path / "kept")], ["--cache", str(tmp_path / "kept")])
    )
    assert plain == kept == again
    assert list((tmp_path / "kept").rglob("*.npy"))


def test_a_spec_alone_names_no_folder_that_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works_here: None
):
    """The cache of a run that somebody else sent lies where the spec says: anywhere."""
    folder, elsewhere = folder_files.make(tmp_path / "photos"), tmp_path / "elsewhere"
    asked = ["--dataset", "folder", "--root", str(folder), "--tasks", "depth"]
    first = result_of(train_here(monkeypatch, tmp_path / "runs", *asked))
    (run,) = list_runs(tmp_path / "runs")
    spec = json.loads((run.path / "spec.json").read_text())
    spec["data"]["cache"] = str(elsewhere)
    (run.path / "spec.json").write_text(json.dumps(spec))
    monkeypatch.setenv("WINNOW_RUNS", str(tmp_path / "runs"))
    again = result_of(winnow_here("train", "--replay", run.id, "--json"))
    assert again["metrics"] == first["metrics"]
    assert not elsewhere.exists()


def test_a_folder_that_contradicts_its_description_starts_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = folder_files.make(tmp_path / "photos")
    (folder / "objects" / f"{folder_files.NAMES[0]}.png").unlink()
    done = train_here(monkeypatch, tmp_path / "runs", "--dataset", "folder", "--root", str(folder))
    assert done.returncode == 2
    assert "`objects` must be a file for every image, got none for straße 0/bild é 0" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_damaged_file_of_any_split_ends_a_run_before_its_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
):
    folder = folder_files.make(tmp_path / "photos")
    path = folder / "depth" / f"{folder_files.SPLITS[split][-1]}_depth.png"
    path.write_bytes(path.read_bytes()[:80])
    asked = ["--dataset", "folder", "--root", str(folder), "--tasks", "depth", "--test"]
    result = result_of(train_here(monkeypatch, tmp_path / "runs", *asked))
    assert (result["state"], result["epoch"]) == ("failed", 0)
    assert f"{path}: `content` must be a complete PNG" in result["message"]


def test_samples_that_are_wrong_are_left_out_and_listed_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, train = folder_files.make(tmp_path / "photos"), folder_files.SPLITS["train"]
    path = folder / "depth" / f"{train[1]}_depth.png"
    path.write_bytes(path.read_bytes()[:80])
    (folder / "objects" / f"{train[2]}.png").unlink()
    save(folder / "heat" / f"{folder_files.SPLITS['val'][0]}.npy", np.full((24, 32), np.inf, np.float32))
    asked = ["--dataset", "folder", "--root", str(folder), "--tasks", "objects,depth", "--batch-size", "2"]
    result = result_of(train_here(monkeypatch, tmp_path / "runs", *asked, "--skip-bad"))
    assert (result["state"], result["skipped"]) == ("done", 3), result
    assert "3 samples left out" in figures(result)
    (run,) = list_runs(tmp_path / "runs")
    listed = run.table("skipped")
    assert listed["split"].tolist() == ["train", "train", "val"]
    assert listed["file"][0] == str(path)
    assert listed["mend"].str.len().min() > 0
    spec = run.spec.data
    assert len(spec.load("train")) == len(train) - 2
    kept = FolderData(root=str(folder), skip_bad=True, cache=str(tmp_path / "kept"))
    assert len(cached(kept, "train", ["depth"]).images) == len(train) - 2
    before = spec.fingerprint()
    folder_files.make(folder)
    assert len(spec.load("train")) == len(train)
    assert spec.fingerprint() != before


def test_nothing_that_can_be_read_is_said(tmp_path: Path):
    root = nyu_files.mtan(tmp_path)
    for path in root.glob("train/image/*.npy"):
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="a split with at least one image, got none"):
        NyuData(root=str(root), skip_bad=True).load("train")


def test_a_test_that_the_data_do_not_have_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = folder_files.make(tmp_path / "photos")
    text = (folder / "dataset.toml").read_text("utf-8").replace('test = "test.txt"\n', "")
    (folder / "dataset.toml").write_text(text, "utf-8")
    done = train_here(monkeypatch, tmp_path / "runs", "--dataset", "folder", "--root", str(folder), "--test")
    assert done.returncode == 2
    assert "`test` must be left out for data set folder, which has the splits train, val, got a test" in done.stderr


def test_fewer_images_than_a_batch_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = folder_files.make(tmp_path / "photos")
    asked = ["--dataset", "folder", "--root", str(folder), "--tasks", "depth", "--batch-size", "7"]
    result = result_of(train_here(monkeypatch, tmp_path / "runs", *asked))
    assert result["state"] == "failed"
    assert "`batch_size` must be at most 6, the number of training images, got 7" in result["message"]


def test_images_of_one_size_only_fit_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = folder_files.make(tmp_path / "photos")
    for part in ("photos", "objects"):
        save(folder / part / f"{folder_files.NAMES[1]}.png", np.zeros((20, 20), np.uint8))
    text = (folder / "dataset.toml").read_text("utf-8").replace('path = "photos"', 'path = "photos"\nconvert = true')
    (folder / "dataset.toml").write_text(text, "utf-8")
    asked = ["--dataset", "folder", "--root", str(folder), "--tasks", "objects"]
    result = result_of(train_here(monkeypatch, tmp_path / "runs", *asked))
    assert result["state"] == "failed"
    assert "as in the first sample" in result["message"]
