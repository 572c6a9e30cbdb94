"""Arrays kept on the disk are those that the files give, and are made anew when anything that decides them changes."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.data.disk.making import image_of, save
from tests.data.folder.making import NAMES, make
from winnow.data.disk import cache as module
from winnow.data.disk.cache import cached, state_of
from winnow.data.folder.dataset import FolderData
from winnow.data.joined import confirm_caches
from winnow.data.sample import DataError
from winnow.data.stacking import stack

TASKS = ("objects", "depth", "season", "heat")


@pytest.fixture
def spec(tmp_path: Path) -> FolderData:
    return FolderData(root=str(make(tmp_path / "photos")), cache=str(tmp_path / "kept"))


def kept(spec: FolderData) -> list[str]:
    return sorted(path.name for path in Path(spec.cache).rglob("*.npy"))


def test_kept_arrays_are_those_of_the_files(spec: FolderData):
    plain = stack(spec.load("train"), TASKS)
    for _ in range(2):
        found = cached(spec, "train", TASKS)
        np.testing.assert_array_equal(found.images, plain.images)
        for name in TASKS:
            np.testing.assert_array_equal(found.targets[name], plain.targets[name])
            assert found.targets[name].dtype == plain.targets[name].dtype
        assert isinstance(found.images, np.memmap)


def test_cache_here(spec: FolderData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WINNOW_TRUSTED", str(tmp_path / "settings" / "trusted.json"))
    assert spec.cache_here == ""
    confirm_caches(spec)
    assert spec.cache_here == spec.cache
    assert FolderData(root=spec.root).cache_here == ""


def test_the_second_time_no_file_is_read_and_writing_changes_none(spec: FolderData, monkeypatch: pytest.MonkeyPatch):
    first = cached(spec, "train", TASKS)
    monkeypatch.setattr(module, "stack", None)
    first.images[:] = 0
    assert cached(spec, "train", TASKS).images.any()


def test_another_task_reads_its_own_targets_only(spec: FolderData):
    cached(spec, "train", ("season",))
    before = {path: path.stat().st_mtime_ns for path in Path(spec.cache).rglob("*.npy")}
    found = cached(spec, "train", ("season", "depth"))
    np.testing.assert_array_equal(found.targets["depth"], stack(spec.load("train"), ["depth"]).targets["depth"])
    assert kept(spec) == ["train-depth.npy", "train-image.npy", "train-season.npy"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_change_of_a_file_or_of_the_size_makes_another_state(spec: FolderData):
    states = {state_of(spec)}
    path = spec.folder / f"photos/{NAMES[0]}.png"
    save(path, image_of(77))
    states.add(state_of(spec))
    os.utime(path, ns=(1, 1))
    states.add(state_of(spec))
    text = (spec.folder / "dataset.toml").read_text("utf-8")
    (spec.folder / "dataset.toml").write_text(
        text.replace('path = "photos"', 'path = "photos"\nsize = [8, 8]'), "utf-8"
    )
    states.add(state_of(FolderData(root=spec.root, cache=spec.cache)))
    assert len(states) == 4
    moved = spec.folder.rename(spec.folder.with_name("elsewhere"))
    assert state_of(FolderData(root=str(moved))) in states


def test_a_damaged_file_leaves_nothing_behind(spec: FolderData):
    (spec.folder / f"depth/{NAMES[5]}_depth.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="must be a complete PNG"):
        cached(spec, "train", TASKS)
    assert kept(spec) == []
