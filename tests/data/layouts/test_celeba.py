"""CelebAMask-HQ in its layouts: recognised, read as it was written, and every planted defect named in a line."""

import functools
import operator
from pathlib import Path

import numpy as np
import pytest

from tests.data.disk.making import save, write
from tests.data.layouts import celeba_files
from tests.data.layouts.celeba_files import ORIGINAL, SIZE, WRITERS, mask_of
from winnow.data.layouts.celeba import ATTRIBUTES, MAPPING, OF_ATTRIBUTES, OF_POSE, PARTS, CelebaData, numbers_at_random
from winnow.data.sample import DataError
from winnow.data.stacking import stack

MASKS = "CelebAMask-HQ-mask-anno/0/00001"


def test_parts_are_painted_in_the_official_order(tmp_path: Path):
    spec = CelebaData(root=str(celeba_files.raw(tmp_path / "faces")), height=2 * SIZE, width=2 * SIZE)
    assert spec.layout == "raw"
    data = spec.load("train")
    assert [record.name for record in data.records] == ["0", "1", "1999"]
    for index, number in enumerate((0, 1, 1999)):
        expected = np.zeros((SIZE, SIZE), int)
        for place, part in enumerate(PARTS, 1):
            mask = mask_of(number, part)
            if mask is not None:
                expected[mask] = place
        found = data.sample(index).targets["seg"]
        assert np.array_equal(found, expected.repeat(2, 0).repeat(2, 1))


def test_three_classes_are_taken_from_the_parts_when_asked(tmp_path: Path):
    root = celeba_files.raw(tmp_path / "faces")
    spec = CelebaData(root=str(root), layout="raw3", height=SIZE, width=SIZE)
    assert spec.fields["seg"].classes == ("background", "hair", "skin")
    found = spec.load("train").sample(0).targets["seg"]
    hair, skin = mask_of(0, "hair"), mask_of(0, "skin")
    assert skin is not None
    assert np.array_equal(found, np.where(hair, 1, np.where(skin, 2, 0)))


def test_masks_of_three_classes_have_two_codes_of_background(tmp_path: Path):
    spec = CelebaData(root=str(celeba_files.masks3(tmp_path / "faces")))
    assert spec.layout == "masks3"
    found = stack(spec.load("train"), ["seg", "attributes", "pose"])
    assert found.images.shape == (3, 256, 256, 3)
    assert set(np.unique(found.targets["seg"])) == {0, 1, 2}


@pytest.mark.parametrize("layout", ["raw", "masks3"])
def test_splits_are_those_of_celeba_with_and_without_a_header(tmp_path: Path, layout: str):
    spec = CelebaData(root=str(WRITERS[layout](tmp_path / "faces")))
    found = {split: [record.name for record in spec.load(split).records] for split in spec.splits}
    assert found == {"train": ["0", "1", "1999"], "val": ["2", "2000"], "test": ["3"]}


def test_a_random_split_is_of_all_faces_and_always_the_same(tmp_path: Path):
    plain = CelebaData(root=str(celeba_files.raw(tmp_path / "faces")))
    spec = plain.model_copy(update={"split_by": "random"})
    found = {split: [int(record.name) for record in spec.load(split).records] for split in spec.splits}
    assert [len(own) for own in found.values()] == [4, 1, 1]
    assert sorted(functools.reduce(operator.iadd, found.values(), [])) == [0, 1, 2, 3, 1999, 2000]
    assert found == {split: [int(record.name) for record in spec.load(split).records] for split in spec.splits}
    assert (plain.counts["test"], dict(spec.counts)) == (2824, {})
    numbers = {name: set(numbers_at_random(mapping_of(tmp_path, 200), name)) for name in spec.splits}
    assert [len(own) for own in numbers.values()] == [140, 30, 30]
    assert set().union(*numbers.values()) == set(range(200))


def mapping_of(folder: Path, count: int) -> Path:
    return write(folder / "mapping.txt", "".join(f"{k} {k} {k:06d}.jpg\n" for k in range(count)))


@pytest.mark.parametrize("layout", ["raw", "masks3"])
def test_attributes_and_pose_are_those_of_the_face(tmp_path: Path, layout: str):
    spec = CelebaData(root=str(WRITERS[layout](tmp_path / "faces")))
    targets = spec.load("val").sample(0).targets
    assert targets["attributes"].tolist() == [int((k + 2) % 3 != 0) for k in range(40)]
    assert targets["pose"].tolist() == [-1.5, 2, -0.25]
    assert spec.fields["attributes"].classes == ATTRIBUTES
    assert len(ATTRIBUTES) == 40


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


GREY = np.zeros((SIZE, SIZE), np.uint8)
DEFECTS = {
    "no image": (
        "raw",
        lambda r: (r / "CelebA-HQ-img/1.jpg").unlink(),
        "a file for every image, got none for 1.jpg",
    ),
    "an image cut off": (
        "raw",
        lambda r: (r / "CelebA-HQ-img/1.jpg").write_bytes((r / "CelebA-HQ-img/1.jpg").read_bytes()[:400]),
        "complete PNG, JPEG",
    ),
    "no masks of a face": (
        "raw",
        lambda r: [path.unlink() for path in r.glob(f"{MASKS}_*.png")],
        "a file for every image, got none for 00001_….png",
    ),
    "no folder of masks": (
        "raw",
        lambda r: (r / "CelebAMask-HQ-mask-anno/1").rename(r / "gone"),
        "none for 02000_….png",
    ),
    "a blurred mask": ("raw", lambda r: save(r / f"{MASKS}_nose.png", GREY + 128), "one of 0, 255, got 128"),
    "a mask of another size": ("raw", lambda r: save(r / f"{MASKS}_nose.png", GREY[:8]), "the size of the others"),
    "a wide mask": (
        "masks3",
        lambda r: save(r / "CelebA-HQ-segmask/00001_mask.npy", np.zeros((32, 16), np.uint8)),
        "the proportions of its image",
    ),
    "no mask": ("masks3", lambda r: (r / "CelebA-HQ-segmask/00001_mask.npy").unlink(), "got none for 00001_mask.npy"),
    "class 3": (
        "masks3",
        lambda r: save(r / "CelebA-HQ-segmask/00001_mask.npy", np.full((32, 32), 3, np.uint8)),
        "a class from 0 to 2, got 3",
    ),
    "a mask of objects": (
        "masks3",
        lambda r: np.save(r / "CelebA-HQ-segmask/00001_mask.npy", np.array([None])),
        "pickled objects are never read",
    ),
    "a mapping cut off": ("raw", lambda r: edit(r / MAPPING, "001001.jpg", ""), "3 cells"),
    "a face twice": ("raw", lambda r: edit(r / MAPPING, "1999 ", "1    "), "a name that occurs once, got 1 again"),
    "an original number beyond": (
        "raw",
        lambda r: edit(r / MAPPING, "190000 ", "990000 "),
        "one below 202,600, got 3 990000",
    ),
    "a mapping of words": ("raw", lambda r: edit(r / MAPPING, "190000 ", "many   "), "got 3 many"),
    "attributes cut off": (
        "raw",
        lambda r: (r / OF_ATTRIBUTES).write_text("\n".join((r / OF_ATTRIBUTES).read_text().splitlines()[:-1])),
        "`rows` must be 6, as the first line says, got 5",
    ),
    "a short row": (
        "raw",
        lambda r: edit(r / OF_ATTRIBUTES, "1.jpg  1 ", "1.jpg  "),
        "41 cells, one for each column, got 40",
    ),
    "an attribute 0": ("raw", lambda r: edit(r / OF_ATTRIBUTES, "1.jpg  1 ", "1.jpg  0 "), "-1 or 1, got 0"),
    "39 attributes": ("raw", lambda r: edit(r / OF_ATTRIBUTES, "Bald ", ""), "40 different names, got 39"),
    "another attribute": (
        "raw",
        lambda r: edit(r / OF_ATTRIBUTES, "Bald", "Bold"),
        "the 40 attributes of CelebA, got Bold",
    ),
    "no attributes of a face": (
        "masks3",
        lambda r: edit(r / OF_ATTRIBUTES, "1999.jpg", "1998.jpg"),
        "no row of this face",
    ),
    "an infinite pose": (
        "raw",
        lambda r: edit(r / OF_POSE, "1.jpg -2.5", "1.jpg inf"),
        "three finite numbers, got 1.jpg inf",
    ),
    "no pose": (
        "raw",
        lambda r: (r / OF_POSE).unlink(),
        "`pose` must be in a file, got no such file. Leave the task out",
    ),
}


def all_splits(root: Path, layout: str) -> None:
    spec = CelebaData(root=str(root), layout=layout)
    for split in spec.splits:
        stack(spec.load(split), list(spec.fields))


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_named_in_one_line(tmp_path: Path, defect: str):
    layout, plant, says = DEFECTS[defect]
    root = WRITERS[layout](tmp_path / "faces")
    plant(root)
    with pytest.raises(DataError, match=says) as caught:
        all_splits(root, layout)
    assert len(str(caught.value).splitlines()) == 1
    assert str(root) in str(caught.value)


def test_without_a_mapping_the_layout_says_what_it_needs(tmp_path: Path):
    root = celeba_files.raw(tmp_path / "faces")
    (root / MAPPING).unlink()
    with pytest.raises(ValueError, match=r"raw: CelebA-HQ-img, .*, CelebA-HQ-to-CelebA-mapping.txt.* none of them"):
        CelebaData(root=str(root))
    write(root / MAPPING, "")
    with pytest.raises(DataError, match="an empty one"):
        CelebaData(root=str(root)).load("train")
    assert ORIGINAL
