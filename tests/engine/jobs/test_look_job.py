"""A look at a data set: what is counted and kept is what the samples hold, faults included."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.folder import making as folder_files
from tests.engine.commanding import winnow_here
from winnow.data.catalog import load
from winnow.data.checking.recognising import spec_for
from winnow.data.checking.summaries import Histogram
from winnow.data.scenes.dataset import ScenesData
from winnow.engine.jobs.look_job import run_look
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.derived import open_work
from winnow.engine.runs.look import LARGEST, Look, create_look, list_looks
from winnow.engine.runs.run import list_runs
from winnow.engine.runs.study import list_studies
from winnow.engine.runs.trash import run_or_study
from winnow.engine.specs.look import LookSpec

SMALL = {"size": 16, "train_length": 5, "val_length": 3, "test_length": 2}


def looked(spec: LookSpec, root: Path) -> Look:
    look = create_look(spec, root)
    assert isinstance(open_work(look.path), Look)
    writer = ResultWriter(look)
    writer.finish(run_look(look, writer, False))  # type: ignore[arg-type]  # nobody asks for the end
    return look


def test_rooms_are_counted_and_shown_as_they_are(tmp_path: Path):
    look = looked(LookSpec(name="scenes", data=ScenesData(**SMALL), pictures=2), tmp_path)
    assert look.table("splits")[["split", "samples"]].to_numpy().tolist() == [["train", 5], ["val", 3], ["test", 2]]
    coverage = look.table("coverage").set_index(["split", "task"])
    assert (coverage.loc[("train", "seg")][["images", "samples"]] == 5).all()
    train = load("scenes", split="train", length=5, size=16)
    depths = np.concatenate([train.sample(k).targets["depth"].ravel() for k in range(5)])
    values = look.table("values")
    own = values[(values["split"] == "train") & (values["task"] == "depth")]
    edges = np.r_[own["low"], own["high"].iloc[-1]]
    known = depths[depths > 0].astype(np.float64)
    assert own["count"].tolist() == np.histogram(known, edges)[0].tolist()
    assert own["count"].sum() == len(known)
    classes = look.table("classes").query("split == 'train' and task == 'seg'")
    seg = np.concatenate([train.sample(k).targets["seg"].ravel() for k in range(5)])
    assert classes["count"].tolist() == np.bincount(seg[seg >= 0], minlength=len(classes)).tolist()
    pictures = look.pictures()
    shown = [(own["split"], int(own["index"])) for own in pictures.samples]
    assert shown[:3] == [("train", 0), ("train", 4), ("val", 0)]
    image, targets = pictures.sample(1)
    assert np.array_equal(image, train.sample(4).image)
    for name, expected in train.sample(4).targets.items():
        assert np.array_equal(targets[name], expected.astype(targets[name].dtype)), name
    assert look.table("findings").empty


def test_a_look_is_no_run_and_the_newest_one_stays(tmp_path: Path):
    spec = LookSpec(name="scenes", data=ScenesData(**SMALL))
    first, second = looked(spec, tmp_path), looked(spec, tmp_path)
    assert [look.id for look in list_looks("scenes", tmp_path)] == [second.id]
    assert not first.path.exists()
    assert list_runs(tmp_path) == []
    assert list_studies(tmp_path) == []
    assert list_looks("digits", tmp_path) == []
    with pytest.raises(FileNotFoundError):
        run_or_study("scenes", tmp_path)


def test_faults_are_findings_and_the_rest_is_shown(tmp_path: Path):
    root, names = folder_files.make(tmp_path / "photos"), folder_files.NAMES
    (root / f"objects/{names[0]}.png").write_bytes(b"nothing")
    (root / f"borders/{names[1]}.png").unlink()
    look = looked(LookSpec(name="mine", data=spec_for(str(root)), pictures=64), tmp_path / "runs")
    findings = look.table("findings")
    assert len(findings) == 2
    assert names[0] in findings["file"][0]
    pictures = look.pictures()
    broken = [place for place, own in enumerate(pictures.samples) if names[0] in own["where"]]
    assert len(broken) == 1
    assert "objects" not in pictures.sample(broken[0])[1]
    assert "depth" in pictures.sample(broken[0])[1]
    assert pictures.sample(broken[0])[1]["season"].shape == ()
    assert len(pictures.samples) == len(names)


def test_large_images_are_kept_small(tmp_path: Path):
    data = ScenesData(size=LARGEST + 4, train_length=2, val_length=1, test_length=1)
    image, targets = looked(LookSpec(name="scenes", data=data, pictures=1), tmp_path).pictures().sample(0)
    assert image.shape == (LARGEST // 2 + 2, LARGEST // 2 + 2, 3)
    assert targets["normals"].shape == image.shape


@pytest.mark.parametrize("damage", [b"", b"nothing", None])
def test_pictures_that_are_damaged_are_named(tmp_path: Path, damage: bytes | None):
    look = looked(LookSpec(name="scenes", data=ScenesData(**SMALL)), tmp_path)
    file = look.path / "pictures.safetensors"
    file.unlink()
    if damage is not None:
        file.write_bytes(damage)
    with pytest.raises(ValueError, match=r"`pictures\.safetensors`.*Look again"):
        look.pictures()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e7])
def test_histogram(scale: float):
    """The bins count all values whatever order they come in, and are those of numpy."""
    chance = np.random.default_rng(3)
    parts = [scale * chance.normal(own, spread, 50) for own, spread in ((0, 1e-3), (5, 1), (-40, 9), (0, 0))]
    counted = Histogram()
    for part in parts:
        counted.add(part)
    rows = counted.rows()
    assert 8 < len(rows) <= Histogram.MOST
    edges = np.array([rows[0][0], *(high for _, high, _ in rows)])
    assert [count for *_, count in rows] == np.histogram(np.concatenate(parts), edges)[0].tolist()
    assert sum(count for *_, count in rows) == 200
    assert all(one[1] == other[0] for one, other in itertools.pairwise(rows))


def test_the_commands_of_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WINNOW_DATASETS", str(tmp_path / "datasets.json"))
    monkeypatch.setenv("WINNOW_RUNS", str(tmp_path / "runs"))
    root = folder_files.make(tmp_path / "photos")

    def said(*arguments: str, code: int = 0) -> str:
        done = winnow_here("data", *arguments)
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    said("add", "mine", str(root))
    assert json.loads(said("list", "--json"))["registered"]["mine"]["root"] == str(root)
    assert "mine: folder in" in said("list")
    assert "fashion: " in said("list")
    assert "`name` must be none of the built-in" in said("add", "nyu", str(root), code=2)
    assert json.loads(said("look", "mine", "--json"))["findings"] == 0
    assert "untouched" in said("rm", "mine")
    assert "`name` must be a registered" in said("rm", "mine", code=2)
    assert "`name` must be one of" in said("look", "mine", code=2)
