"""NYU-v2 in each of its layouts: recognised, read as it was written, and every planted defect named in a line."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tests.data.disk.making import depth_of, image_of, normals_of, save, write
from tests.data.layouts import nyu_files
from tests.data.layouts.nyu_files import WRITERS, labels_of
from winnow.data.layouts.nyu import FORTY, LAYOUTS, NyuData
from winnow.data.sample import DataError
from winnow.data.stacking import Stacked, stack


def stacked(root: Path, split: str = "train", **options: object) -> Stacked:
    spec = NyuData(root=str(root), **options)
    return stack(spec.load(split), list(spec.fields))


@pytest.mark.parametrize("layout", ["mtan", "nyud_mt", "atrc", "adashare"])
def test_a_layout_is_recognised_and_read_as_it_was_written(tmp_path: Path, layout: str):
    root = WRITERS[layout](tmp_path / "nyu")
    assert NyuData(root=str(root)).layout == layout
    for split, first, count in (("train", 0, 3), ("val", 3, 2)):
        found = stacked(root, split)
        assert found.images.shape == (count, 24, 32, 3)
        classes = 13 if layout == "mtan" else 40
        for k in range(count):
            exact = found.images[k] * (255 if layout == "mtan" else 1)
            assert np.abs(exact.astype(float) - image_of(first + k)).mean() < (60 if layout == "nyud_mt" else 1e-4)
            assert np.array_equal(found.targets["seg"][k], labels_of(first + k, classes))
            known = depth_of(first + k)[1:]
            np.testing.assert_allclose(found.targets["depth"][k, 1:], known, rtol=1e-6)
            assert (found.targets["normals"][k] * normals_of(first + k)).sum(2)[1:].min() > 0.9999
            assert not found.targets["normals"][k, 0].any()
            if "edges" in found.targets:
                assert np.array_equal(found.targets["edges"][k] == 1, labels_of(first + k, classes) == 3)


def test_mtan_comes_in_both_precisions(tmp_path: Path):
    wide, narrow = (
        stacked(nyu_files.mtan(tmp_path / str(k), dtype)) for k, dtype in enumerate((np.float64, np.float32))
    )
    np.testing.assert_allclose(wide.images, narrow.images, atol=1e-7)
    assert wide.images.dtype == narrow.images.dtype == np.float32
    assert np.array_equal(wide.targets["seg"], narrow.targets["seg"])


def test_the_official_file_is_read_by_its_splits_and_classes(tmp_path: Path):
    root = nyu_files.official(tmp_path / "nyu")
    spec = NyuData(root=str(root))
    assert (spec.layout, list(spec.fields), len(spec.load("val"))) == ("official", ["seg", "depth"], 2)
    data = spec.load("train")
    assert [record.name for record in data.records] == ["0002", "0001", "0003"]
    first = data.sample(0)
    assert np.array_equal(first.image, image_of(1, (480, 640)))
    raw = labels_of(1, 894, (480, 640))
    assert np.array_equal(first.targets["seg"], np.where(raw < 0, -1, raw % 40))
    np.testing.assert_allclose(first.targets["depth"], depth_of(1, (480, 640)), rtol=1e-6)
    small = NyuData(root=str(root), height=48, width=64).load("train").sample(0)
    assert small.image.shape == (48, 64, 3)
    assert small.targets["seg"].shape == (48, 64)


def test_the_40_classes_have_names():
    assert len(set(FORTY)) == 40


def test_a_stored_spec_needs_no_folder(tmp_path: Path):
    spec = NyuData(root=str(nyu_files.mtan(tmp_path / "nyu")))
    stored = spec.model_dump_json().replace(str(tmp_path), "/gone")
    assert NyuData.model_validate_json(stored).fields == LAYOUTS["mtan"].fields


def test_tasks_whose_folder_is_missing_leave_the_others_alone(tmp_path: Path):
    root = nyu_files.nyud_mt(tmp_path / "nyu")
    (root / "edge").rename(root / "elsewhere")
    data = NyuData(root=str(root)).load("train")
    assert set(stack(data, ["seg", "depth"]).targets) == {"seg", "depth"}
    with pytest.raises(DataError, match="`edges` must be in a folder, got no such folder. Leave the task out"):
        stack(data, ["edges"])


def scaled(path: Path, factor: float, dtype: str) -> None:
    np.save(path, (np.load(path) * np.float64(factor)).astype(dtype))


def as_objects(path: Path) -> None:
    np.save(path, np.load(path).astype(object), allow_pickle=True)


def in_json(root: Path, old: str, new: str) -> None:
    path = root / "nyu_v2_3task.json"
    path.write_text(path.read_text().replace(old, new, 1))


def both(root: Path, layout: str) -> None:
    for split in ("train", "val"):
        stacked(root, split, layout=layout)


ROWS = np.array([[1], [2]], np.uint16)
DEFECTS = {
    "a gap in the numbers": (
        "mtan",
        lambda r: (r / "train/image/1.npy").unlink(),
        "0.npy to 1.npy, as there are 2, got no 1",
    ),
    "no depth": ("mtan", lambda r: (r / "val/depth/1.npy").unlink(), "got none for 1. Copy what is missing"),
    "image from 0 to 255": ("mtan", lambda r: scaled(r / "train/image/0.npy", 255, "f4"), "Divide 8-bit values by 255"),
    "axes of torch": (
        "mtan",
        lambda r: save(r / "train/image/0.npy", np.zeros((3, 24, 32), "f4")),
        "24, 32.. Its axes are those of torch",
    ),
    "axes swapped": ("mtan", lambda r: save(r / "train/label/0.npy", np.zeros((32, 24))), "width are swapped"),
    "a class between": (
        "mtan",
        lambda r: save(r / "train/label/0.npy", np.full((24, 32), 0.5)),
        "whole numbers, got 0.5",
    ),
    "a class beyond": (
        "mtan",
        lambda r: save(r / "train/label/0.npy", np.full((24, 32), 13)),
        "class from 0 to 12, got 13",
    ),
    "NaN in the classes": (
        "mtan",
        lambda r: save(r / "train/label/0.npy", np.full((24, 32), np.nan)),
        "whole numbers, got nan",
    ),
    "255 in the classes": ("mtan", lambda r: save(r / "train/label/0.npy", np.full((24, 32), 255)), "0 to 12, got 255"),
    "millimetres": (
        "mtan",
        lambda r: scaled(r / "train/depth/0.npy", 1000, "f4"),
        "at most 20 m, got 1686.* millimetres, for example",
    ),
    "integer depth": ("mtan", lambda r: scaled(r / "train/depth/0.npy", 1000, "u2"), "have a factor, got uint16"),
    "negative depth": ("mtan", lambda r: scaled(r / "train/depth/0.npy", -1, "f4"), "above 0 and at most 20 m, got -"),
    "NaN depth": ("mtan", lambda r: scaled(r / "train/depth/0.npy", np.nan, "f4"), "finite, got nan"),
    "bytes as normals": ("mtan", lambda r: scaled(r / "train/normal/0.npy", 1, "u1"), "float in .-1, 1., got uint8"),
    "normals not centred": (
        "mtan",
        lambda r: scaled(r / "train/normal/0.npy", 127, "f4"),
        "norm 1 .* Divide bytes by 127.5",
    ),
    "infinite normals": ("mtan", lambda r: save(r / "train/normal/0.npy", np.full((24, 32, 3), np.inf)), "finite"),
    "two components": ("mtan", lambda r: save(r / "train/normal/0.npy", np.zeros((24, 32, 2))), "height, width, 3"),
    "objects": ("mtan", lambda r: as_objects(r / "train/label/0.npy"), "pickled objects are never read"),
    "cut off": (
        "mtan",
        lambda r: (r / "train/depth/0.npy").write_bytes((r / "train/depth/0.npy").read_bytes()[:-8]),
        "cut off",
    ),
    "a name twice": (
        "nyud_mt",
        lambda r: write(r / "gt_sets/val.txt", "0004\n0004\n"),
        "different from each other, got 0004",
    ),
    "an empty list": ("nyud_mt", lambda r: write(r / "gt_sets/val.txt", " \n"), "got none at all"),
    "a name of nobody": (
        "nyud_mt",
        lambda r: write(r / "gt_sets/val.txt", "9999\n"),
        "none for 9999, the first of 5 findings in val",
    ),
    "an image cut off": (
        "nyud_mt",
        lambda r: (r / "images/0001.jpg").write_bytes((r / "images/0001.jpg").read_bytes()[:700]),
        "complete PNG, JPEG",
    ),
    "class 41": ("nyud_mt", lambda r: save(r / "segmentation/0001.png", np.full((24, 32), 41, np.uint8)), "got 41"),
    "grey normals": ("atrc", lambda r: save(r / "normals/0001.png", np.zeros((24, 32), np.uint8)), "an RGB picture"),
    "edges in between": (
        "atrc",
        lambda r: save(r / "edge/0001.png", np.full((24, 32), 9, np.uint8)),
        "one of 0, 255, got 9",
    ),
    "no json": ("adashare", lambda r: write(r / "nyu_v2_3task.json", "{"), "JSON with a list 'train'"),
    "no test in the json": ("adashare", lambda r: in_json(r, '"test"', '"tset"'), "JSON with a list 'test'"),
    "a row of three": (
        "adashare",
        lambda r: write(r / "nyu_v2_3task.json", json.dumps({"train": [["a", "b", "c"]]})),
        "4 paths",
    ),
    "a path outside": ("adashare", lambda r: in_json(r, "img/0000.png", "../0000.png"), "below the folder"),
    "a file that is not there": (
        "adashare",
        lambda r: in_json(r, "img/0000.png", "img/9.png"),
        "files that are there, got no img/9",
    ),
    "normals without their mask": (
        "adashare",
        lambda r: save(r / "normal_mask/0000.png", np.full((24, 32, 3), 254, np.uint8)),
        "norm 1",
    ),
    "an image in both splits": (
        "official",
        lambda r: savemat(r / "splits.mat", {"trainNdxs": ROWS, "testNdxs": ROWS[1:]}),
        "without the images of trainNdxs, got 2 in both",
    ),
    "a number beyond": (
        "official",
        lambda r: savemat(r / "splits.mat", {"trainNdxs": ROWS, "testNdxs": ROWS + 8}),
        "from 1 to 5, got 10",
    ),
    "no mapClass": (
        "official",
        lambda r: savemat(r / "classMapping40.mat", {"map": ROWS}),
        "`variable` must be mapClass",
    ),
    "a short mapping": (
        "official",
        lambda r: savemat(r / "classMapping40.mat", {"mapClass": ROWS}),
        "894 numbers from 1 to 40",
    ),
    "splits cut off": (
        "official",
        lambda r: (r / "splits.mat").write_bytes((r / "splits.mat").read_bytes()[:200]),
        "complete MATLAB file",
    ),
    "the large file cut off": (
        "official",
        lambda r: (r / "nyu_depth_v2_labeled.mat").write_bytes(bytes(9000)),
        "MATLAB 7.3 file .HDF5.",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_named_in_one_line(tmp_path: Path, defect: str):
    layout, plant, says = DEFECTS[defect]
    root = WRITERS[layout](tmp_path / "nyu")
    plant(root)
    with pytest.raises(DataError, match=says) as caught:
        both(root, layout)
    assert len(str(caught.value).splitlines()) == 1
    assert str(root) in str(caught.value) or "nyu[0]" in str(caught.value)


def test_a_folder_in_no_layout_is_told_what_there_is(tmp_path: Path):
    nyu_files.mtan(tmp_path / "below")
    with pytest.raises(
        ValueError, match="with the files of a layout .mtan: train/image/0.npy.* none of them. Give its folder below"
    ):
        NyuData(root=str(tmp_path))
    with pytest.raises(ValueError, match="`layout` must be one of mtan, nyud_mt, atrc, adashare, official, got 'coco'"):
        NyuData(root=str(tmp_path), layout="coco")
    with pytest.raises(ValueError, match="`height` and `width` must be given together, got 8 and 0"):
        NyuData(root=str(tmp_path / "below"), height=8)


def test_without_h5py_the_official_file_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = NyuData(root=str(nyu_files.official(tmp_path / "nyu")))
    monkeypatch.setattr("winnow.data.layouts.nyu_official.find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"no package h5py. Run pip install 'winnow-mtl\[data\]'"):
        spec.load("train")
