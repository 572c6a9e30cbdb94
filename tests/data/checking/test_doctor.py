"""The doctor finds every planted defect at once, says each in a line, and finds nothing where nothing is wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.disk.making import image_of, save
from tests.data.folder import making as folder_files
from tests.data.layouts import celeba_files, nyu_files
from tests.engine.commanding import winnow_here
from winnow.data.checking.doctor import examine
from winnow.data.checking.recognising import layout_names, spec_for
from winnow.data.folder.dataset import FolderData
from winnow.data.sample import DataError

WHOLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "folder": (folder_files.make, "folder"),
    **{f"nyu/{name}": (write, f"nyu/{name}") for name, write in nyu_files.WRITERS.items()},
    **{f"celeba/{name}": (celeba_files.WRITERS[name], f"celeba/{name}") for name in ("raw", "masks3")},
}


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_is_wrong_with_files_that_are_right(tmp_path: Path, name: str):
    write, layout = WHOLE[name]
    root = write(tmp_path / "data")
    spec = spec_for(str(root))
    assert layout in (f"{spec.dataset}/{getattr(spec, 'layout', '')}", spec.dataset)
    report = examine(spec)
    assert [str(finding) for finding in report.findings] == []
    assert {split: own.samples for split, own in report.splits.items()} == {s: len(spec.load(s)) for s in spec.splits}
    assert json.loads(json.dumps(report.record(), allow_nan=False))["splits"].keys() == report.splits.keys()


def test_every_layout_is_named():
    assert set(WHOLE) | {"celeba/raw3"} <= set(layout_names())


def test_all_defects_of_a_folder_are_found_at_once(tmp_path: Path):
    root, names = folder_files.make(tmp_path / "data"), folder_files.NAMES
    save(root / f"photos/{names[0]}.png", image_of(9)[:, :, 0])
    (root / f"objects/{names[0]}.png").write_bytes(b"")
    save(root / f"objects/{names[1]}.png", np.full((24, 32), 9, np.uint8))
    (root / f"depth/{names[1]}_depth.png").write_bytes(b"nothing")
    save(root / f"heat/{names[3]}.npy", np.full((24, 32), np.inf, np.float32))
    shutil.copy(root / f"photos/{names[2]}.png", root / f"photos/{names[3]}.png")
    shutil.copy(root / f"photos/{names[4]}.png", root / f"photos/{names[7]}.png")
    save(root / f"photos/{names[11]}.png", image_of(11, (48, 64)))
    save(root / "objects/nobody.png", np.zeros((24, 32), np.uint8))
    shutil.copy(root / f"objects/{names[5]}.png", root / f"objects/{Path(names[5]).parent}/spare.png")
    report = examine(FolderData(root=str(root)))
    said = [str(finding).removeprefix(f"{root}/") for finding in report.findings]
    expected = [
        f"photos/{names[0]}.png: `image` must be RGB, 8 bits, got grey",
        f"objects/{names[1]}.png: `values` must be a class from 0 to 2, got 9 at (0, 0), the first of 768. Name it",
        f"depth/{names[1]}_depth.png: `content` must be a complete",
        f"heat/{names[3]}.npy: `values` must be finite, got inf",
        f"photos/{names[3]}.png: `image` must be there once, got the pixels of {names[2]} (train). Remove one",
        f"photos/{names[7]}.png: `image` must be in one split only, got the pixels of {names[4]} (train). The",
        f"objects/{names[11]}.png: `objects` must be of the size of its image, (48, 64), got (24, 32)",
        f"{root}: `image` must be of one size and type, got 10 of 24 × 32 × 3 uint8, 1 of 48 × 64 × 3 uint8. Set",
    ]
    for line in expected:
        assert any(own.startswith(line) for own in said), line
    others = [own for own in said if not any(own.startswith(line) for line in expected)]
    assert all(names[11] in own and "of the size of its image" in own for own in others), others
    assert any("belong to no sample, first spare.png" in note for note in report.notes)


def test_every_missing_file_and_every_wrong_cell_is_listed(tmp_path: Path):
    root, names = folder_files.make(tmp_path / "data"), folder_files.NAMES
    for k in (0, 2, 7):
        (root / f"objects/{names[k]}.png").unlink()
    path = root / "über alles.csv"
    path.write_text(path.read_text("utf-8").replace("winter", "spring", 2), "utf-8")
    report = examine(FolderData(root=str(root)))
    said = [f"{finding.part}: {finding.found}" for finding in report.findings]
    assert sorted(said) == [f"objects: none for {names[k]}" for k in (0, 2, 7)] + ["season: spring", "season: spring"]
    assert [own.samples for own in report.splits.values()] == [6, 4, 2]
    with pytest.raises(DataError, match="got none for straße 0/bild é 0, the first of 4 findings in train"):
        FolderData(root=str(root)).load("train")


def test_a_split_that_cannot_be_listed_leaves_the_others(tmp_path: Path):
    root = nyu_files.nyud_mt(tmp_path / "data")
    (root / "gt_sets/val.txt").write_text("\n")
    report = examine(spec_for(str(root)))
    assert list(report.splits) == ["train"]
    assert "different from each other, got none at all" in str(report.findings[0])


def test_what_the_targets_hold_is_counted(tmp_path: Path):
    report = examine(FolderData(root=str(folder_files.make(tmp_path / "data"))))
    tasks = report.record()["splits"]["train"]["tasks"]
    assert tasks["season"]["classes"] == {"winter": 3, "summer": 3}
    assert tasks["seen"] | {"known": 0} == {
        "kind": "multilabel", "images": 5, "known": 0,
        "classes": {"dog": 3, "cat": 2, "tree": 5}, "shares": {"dog": 0.6, "cat": 0.4, "tree": 1.0},
    }  # fmt: skip
    assert tasks["height"] == {
        "kind": "regression", "images": 5, "known": pytest.approx(5 / 6, abs=1e-6), "unit": "m",
        "least": 1, "mean": pytest.approx(1.24), "largest": 1.5,
    }  # fmt: skip
    assert sum(tasks["objects"]["classes"].values()) == 6 * 23 * 32
    assert tasks["normals"]["images"] == 4
    assert tasks["normals"]["known"] == pytest.approx(4 / 6 * 23 / 24, abs=1e-6)


def test_a_class_that_training_never_sees_is_noted(tmp_path: Path):
    root = folder_files.make(tmp_path / "data")
    text = (root / "dataset.toml").read_text("utf-8")
    (root / "dataset.toml").write_text(text.replace('"chair"]', '"chair", "lamp"]'), "utf-8")
    assert "objects: never in train: lamp" in examine(FolderData(root=str(root))).notes


def test_the_command_says_the_layout_the_samples_and_ends_with_0(tmp_path: Path):
    root = nyu_files.mtan(tmp_path / "data")
    done = winnow_here("data", "check", str(root))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{root}: nyu, layout mtan" in done.stdout
    assert "train: 3 samples, images 24 × 32 × 3 float32" in done.stdout
    assert "depth: depth, 3 images, 95.8 % known" in done.stdout
    assert "note: train: 3 samples; the whole data set has 795" in done.stdout
    assert done.stdout.splitlines()[-1] == "nothing is wrong"


def test_the_command_ends_with_1_if_anything_is_wrong(tmp_path: Path):
    root = nyu_files.mtan(tmp_path / "data")
    save(root / "val/label/1.npy", np.full((24, 32), 13))
    done = winnow_here("data", "check", str(root))
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if line.startswith("WRONG"))
    assert line.startswith(f"WRONG {root}/val/label/1.npy: `values` must be a class from 0 to 12, got 13")
    found = json.loads(winnow_here("data", "check", str(root), "--json", "--layout", "nyu/mtan").stdout)
    assert found["findings"] == [
        {
            "file": f"{root}/val/label/1.npy", "part": "values", "expected": "a class from 0 to 12",
            "found": "13 at (0, 0), the first of 768", "mend": "",
        }
    ]  # fmt: skip
    assert found["splits"]["train"]["samples"] == 3


def test_a_folder_that_is_no_data_set_is_a_finding(tmp_path: Path):
    nyu_files.mtan(tmp_path / "inner")
    done = winnow_here("data", "check", str(tmp_path))
    assert done.returncode == 1
    assert "none of them. Give its folder inner instead." in done.stdout
    gone = winnow_here("data", "check", str(tmp_path / "gone"), "--json")
    assert json.loads(gone.stdout)["findings"][0]["part"] == "root"
    (tmp_path / "dataset.toml").write_text("[images]\npath = 3")
    broken = winnow_here("data", "check", str(tmp_path))
    assert "dataset.toml: `images.path` must be as docs/data.md says" in broken.stdout


def test_an_unknown_layout_is_refused(tmp_path: Path):
    done = winnow_here("data", "check", str(tmp_path), "--layout", "coco")
    assert done.returncode == 2
    assert "`layout` must be one of folder, shards, yeast, nyu/mtan" in done.stderr
    with pytest.raises(DataError, match="which is not a folder"):
        spec_for(str(tmp_path / "gone"), "folder")


def test_targets_under_other_endings_are_noted_and_a_link_to_itself_is_a_finding(tmp_path: Path):
    root, names = folder_files.make(tmp_path / "data"), folder_files.NAMES
    file = root / f"depth/{names[1]}_depth.npz"  # were it the target of an image, that would count as without one
    file.write_bytes(b"")
    photo = root / f"photos/{names[2]}.png"
    photo.unlink()
    photo.symlink_to(photo.name)
    report = examine(FolderData(root=str(root)))
    assert any(f"1 files belong to no sample, first {file.stem}.npz" in note for note in report.notes)
    assert any(f"{names[2]}.png: `file` must be there, got no such file" in str(own) for own in report.findings)


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (1.0, ""),
        (1000.0, "train: depth: the mean is 499.5 m, which is very far. If the values are millimetres, convert them"),
        (0.001, "train: depth: the mean is 0.0004995 m, which is very near. If the values are a share of the range"),
    ],
)
def test_a_depth_that_is_hardly_in_metres_is_noted(tmp_path: Path, scale: float, said: str):
    """Floats in millimetres, all of them below the 1000 m at which a depth is refused."""
    root, names = folder_files.make(tmp_path / "data"), folder_files.NAMES
    text = (root / "dataset.toml").read_text("utf-8")
    for name in names:
        (root / f"depth/{name}_depth.png").unlink(missing_ok=True)
        save(root / f"depth/{name}_depth.npy", np.full((24, 32), 0.4995 * scale, np.float32))
    (root / "dataset.toml").write_text(
        text.replace("factor = 0.001\n", "").replace("_depth.png", "_depth.npy"), "utf-8"
    )
    report = examine(FolderData(root=str(root)))
    assert report.findings == []
    noted = [note for note in report.notes if ": depth: " in note and "train" in note]
    assert [note[: len(said)] for note in noted] == ([said] if said else [])
