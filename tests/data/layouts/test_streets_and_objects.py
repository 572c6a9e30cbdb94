"""Cityscapes, PASCAL-Context, Taskonomy: recognised, read as they were written, planted defects named in a line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.disk.making import depth_of, generator, image_of, normals_of, save, write
from tests.data.layouts import street_files
from tests.data.layouts.nyu_files import labels_of
from tests.data.layouts.street_files import CITY, disparity_of
from winnow.data.checking.doctor import examine
from winnow.data.checking.recognising import spec_for
from winnow.data.layouts.cityscapes import NINETEEN, CityscapesData
from winnow.data.layouts.pascal import PascalData
from winnow.data.layouts.taskonomy import TaskonomyData
from winnow.data.sample import DataError
from winnow.data.stacking import stack

WRITERS: dict[str, Callable[[Path], Path]] = {
    "cityscapes/mtan": street_files.mtan,
    "cityscapes/raw": street_files.raw,
    "pascal/pascal_mt": street_files.pascal_mt,
    "taskonomy/tiny": street_files.taskonomy,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_layout_is_recognised_among_all_and_nothing_is_wrong(tmp_path: Path, name: str):
    spec = spec_for(str(WRITERS[name](tmp_path / "data")))
    assert f"{spec.dataset}/{spec.layout}" == name
    report = examine(spec)
    assert [str(finding) for finding in report.findings] == []
    assert any("images differ in size" in note for note in report.notes) == (name == "pascal/pascal_mt")


def test_numbered_streets_are_read_as_they_were_written(tmp_path: Path):
    spec = CityscapesData(root=str(street_files.mtan(tmp_path)))
    found = stack(spec.load("val"), ["seg", "disparity"])
    assert np.array_equal(found.targets["seg"][1], labels_of(4, 7, CITY))
    np.testing.assert_allclose(found.targets["disparity"][1][1:], disparity_of(4)[1:] / 500, rtol=1e-6)
    assert np.isnan(found.targets["disparity"][1][0]).all()


def test_official_streets_are_read_as_they_were_written(tmp_path: Path):
    spec = CityscapesData(root=str(street_files.raw(tmp_path)))
    data = spec.load("train")
    assert [record.name for record in data.records] == [f"zürich/zürich_{k:06d}_000019" for k in range(3)]
    found = stack(data, ["seg", "disparity"])
    ids = list(NINETEEN.values())
    expected = [[ids.index(own) if own in ids else -1 for own in row] for row in generator(1).integers(0, 34, CITY)]
    assert found.targets["seg"][1].tolist() == expected
    np.testing.assert_allclose(found.targets["disparity"][1], disparity_of(1), rtol=1e-6)


def test_objects_are_read_as_they_were_written(tmp_path: Path):
    spec = PascalData(root=str(street_files.pascal_mt(tmp_path)))
    targets = spec.load("train").sample(1).targets
    assert np.array_equal(targets["seg"], labels_of(1, 21, (21, 30)))
    assert np.array_equal(targets["saliency"], image_of(1, (21, 30), 1) > 127)
    assert (targets["normals"] * normals_of(1, (21, 30))).sum(2)[1:].min() > 0.9999
    sized = PascalData(root=str(tmp_path), height=16, width=16, crop=True)
    assert stack(sized.load("train"), list(sized.fields)).images.shape == (3, 16, 16, 3)


@pytest.mark.parametrize("validation", ["test_small", "test"])
def test_taskonomy_is_read_as_it_was_written(tmp_path: Path, validation: str):
    spec = TaskonomyData(root=str(street_files.taskonomy(tmp_path, validation)))
    found = stack(spec.load("val"), list(spec.fields)).targets
    assert np.array_equal(found["seg"][1], labels_of(4, 17, CITY))
    depth = np.round(depth_of(4, CITY) * 512) / 512
    np.testing.assert_allclose(found["depth"][1], depth, rtol=1e-6)
    known = (normals_of(13, CITY) != 0).any(2) & (depth > 0)
    assert np.array_equal((found["normals"][1] != 0).any(2), known)
    assert (found["normals"][1] * normals_of(13, CITY)).sum(2)[known].min() > 0.999
    units = generator(4).integers(0, 2**16, CITY)
    np.testing.assert_allclose(found["keypoints"][1], np.minimum(units // 200 / 2**16, 0.005) / 0.005, rtol=1e-6)
    np.testing.assert_allclose(found["edges"][1], np.minimum(units // 10 / 2**16, 0.08) / 0.08, rtol=1e-6)


def without_a_path(root: Path) -> None:
    rows = json.loads((root / "taskonomy.json").read_text("utf-8"))
    rows["train"][1].pop()
    write(root / "taskonomy.json", json.dumps(rows))


def rows_as_an_object(root: Path) -> None:
    write(root / "taskonomy.json", json.dumps({"train": {}, "test": []}))


HANGERS = "train/hängers/{0}/point_0_view_0_domain_{0}.png"
ZURICH = "train/zürich/zürich_000000_000019"
NONE = np.zeros(CITY, np.uint8)
DEFECTS = {
    "no labels": (
        "cityscapes/raw",
        lambda r: (r / f"gtFine/{ZURICH}_gtFine_labelIds.png").unlink(),
        "none for zürich/zürich_000000_000019_gtFine_labelIds",
    ),
    "trainIds as labelIds": (
        "cityscapes/raw",
        lambda r: save(r / f"gtFine/{ZURICH}_gtFine_labelIds.png", NONE + 254),
        "one of 7, 8, .* got 254",
    ),
    "disparity of 8 bits": (
        "cityscapes/raw",
        lambda r: save(r / f"disparity/{ZURICH}_disparity.png", NONE),
        "a picture of 16 bits, got uint8",
    ),
    "class 7": ("cityscapes/mtan", lambda r: save(r / "val/label/0.npy", np.full(CITY, 7)), "from 0 to 6, got 7"),
    "negative": ("cityscapes/mtan", lambda r: save(r / "val/depth/0.npy", np.full(CITY, -0.5)), "above 0 .* got -0.5"),
    "no classes": (
        "pascal/pascal_mt",
        lambda r: (r / "semseg/VOC12/2008_000001.png").unlink(),
        "a file for every image, got none for 2008_000001. Copy",
    ),
    "class 21": (
        "pascal/pascal_mt",
        lambda r: save(r / "semseg/VOC12/2008_000001.png", np.full((21, 30), 21, np.uint8)),
        "from 0 to 20, got 21",
    ),
    "an empty list": ("pascal/pascal_mt", lambda r: write(r / "ImageSets/Context/val.txt", "\n"), "none at all"),
    "depth of 8 bits": (
        "taskonomy/tiny",
        lambda r: save(r / HANGERS.format("depth_zbuffer"), NONE + 9),
        "a picture of 16 bits, got uint8",
    ),
    "class 18": (
        "taskonomy/tiny",
        lambda r: save(r / HANGERS.format("segmentsemantic"), NONE + 18),
        "one of 1, 2, .* got 18",
    ),
    "grey normals": (
        "taskonomy/tiny",
        lambda r: save(r / HANGERS.format("normal"), NONE),
        "RGB picture of 8 bits",
    ),
    "bright normals": (
        "taskonomy/tiny",
        lambda r: save(r / HANGERS.format("normal"), np.full((*CITY, 3), 255, np.uint8)),
        "vectors of norm 1 .* got 1.73",
    ),
    "smaller normals": (
        "taskonomy/tiny",
        lambda r: save(r / HANGERS.format("normal"), np.full((8, 8, 3), 127, np.uint8)),
        "of the size of the depth",
    ),
    "no edges": (
        "taskonomy/tiny",
        lambda r: (r / HANGERS.format("edge_texture")).unlink(),
        "files that are there, got no train/hängers/edge_texture",
    ),
    "a row without a path": ("taskonomy/tiny", without_a_path, r"train\[1\].* 6 paths: image, seg"),
    "no list of rows": ("taskonomy/tiny", rows_as_an_object, "a list of rows, got dict"),
    "salient in colour": (
        "pascal/pascal_mt",
        lambda r: save(r / "sal_distill/2008_000001.png", image_of(1, (21, 30))),
        "of one channel, got RGB",
    ),
}


def read(root: Path, name: str) -> None:
    spec = spec_for(str(root), name)
    sized = type(spec).model_validate({**spec.model_dump(), "height": 16, "width": 32})
    for split in spec.splits:
        stack(sized.load(split), list(spec.fields))


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_named_in_one_line(tmp_path: Path, defect: str):
    name, plant, says = DEFECTS[defect]
    root = WRITERS[name](tmp_path / "data")
    read(root, name)
    plant(root)
    with pytest.raises(DataError, match=says) as caught:
        read(root, name)
    assert len(str(caught.value).splitlines()) == 1
    assert str(root) in str(caught.value)
