"""Two real items on a canvas: what is seen is what the targets say."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.data.fashion.test_idx import packed
from winnow.data.fashion.dataset import CANVAS, SHIFT, THRESHOLD, Fashion, FashionData
from winnow.data.fashion.items import CLASSES, SUBSET, items
from winnow.data.sample import DataError
from winnow.data.validation import validate

SPLITS = ("train", "val", "test")


@pytest.mark.parametrize("split", SPLITS)
def test_every_sample_keeps_the_promise_of_its_fields(split):
    dataset = Fashion(split, length=40)
    for i in range(len(dataset)):
        sample = validate(dataset.sample(i), dataset.fields, f"fashion[{i}]")
        assert sample.image.shape == (CANVAS, CANVAS, 1)


def test_the_subset_is_small_and_whole():
    assert SUBSET.stat().st_size <= 4_000_000
    assert SUBSET.with_name("LICENSE.txt").read_text().count("Zalando") == 1
    assert [len(items(split).labels) for split in SPLITS] == [6000, 1000, 1000]
    found = hashlib.sha256(b"".join(items(split).images.tobytes() for split in SPLITS)).hexdigest()
    assert found == "8f50fa699893ad2f4298dd2f2be4e504a2f507f774a3e62df2ff81b7efe99983"


def test_no_item_is_in_two_splits():
    seen = [{image.tobytes() for image in items(split).images} for split in SPLITS]
    assert not seen[0] & (seen[1] | seen[2])
    assert not seen[1] & seen[2]


def test_pixels_that_one_item_alone_can_reach_carry_its_class():
    for i in range(30):
        sample = Fashion("val", length=30).sample(i)
        items_map, image = sample.targets["seg"], sample.image[:, :, 0]
        corner, other = items_map[:SHIFT, :SHIFT], items_map[-SHIFT:, -SHIFT:]
        assert set(np.unique(corner)) <= {0, int(sample.targets["upper"]) + 1}
        assert set(np.unique(other)) <= {0, int(sample.targets["lower"]) + 1}
        assert np.array_equal(items_map == 0, image <= THRESHOLD)
        assert set(np.unique(items_map)) <= {0, int(sample.targets["upper"]) + 1, int(sample.targets["lower"]) + 1}


def test_an_image_depends_on_seed_split_and_index_alone():
    first, again = Fashion("train", 10), Fashion("train", 5)
    assert np.array_equal(first.sample(3).image, again.sample(3).image)
    assert not np.array_equal(first.sample(3).image, Fashion("train", 10, seed=1).sample(3).image)
    assert not np.array_equal(first.sample(3).image, first.sample(4).image)


def test_the_two_classes_are_independent_and_all_there():
    pairs = np.array(
        [[int(s.targets[n]) for n in ("upper", "lower")] for s in map(Fashion("train", 2000).sample, range(2000))]
    )
    counts = np.zeros((10, 10))
    np.add.at(counts, (pairs[:, 0], pairs[:, 1]), 1)
    assert len(CLASSES) == 10
    assert counts.sum(0).min() > 120
    assert counts.sum(1).min() > 120
    expected = counts.sum(0)[None] * counts.sum(1)[:, None] / 2000
    assert ((counts - expected) ** 2 / expected).sum() < 140  # χ² with 81 degrees of freedom: 0.9999


def test_a_folder_of_idx_files_takes_the_place_of_the_subset(tmp_path: Path):
    rng = np.random.default_rng(0)
    for name in ("train", "t10k"):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(packed(rng.integers(0, 256, (8, 28, 28), np.uint8)))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(packed(np.arange(8, dtype=np.uint8)))
    spec = FashionData(root=str(tmp_path), train_length=5)
    assert len(spec.load("train")) == 5
    assert set(items("val", str(tmp_path)).labels) == {0, 1, 2, 3}
    assert spec.fingerprint() != FashionData().fingerprint() == ""


@pytest.mark.parametrize(
    ("images", "labels", "part"),
    [
        (np.zeros((8, 28, 27), np.uint8), np.zeros(8, np.uint8), "images"),
        (np.zeros((8, 28, 28), np.uint8), np.zeros(7, np.uint8), "labels"),
        (np.zeros((8, 28, 28), np.uint8), np.full(8, 10, np.uint8), "labels"),
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8), "images"),
    ],
)
def test_files_that_do_not_fit_are_named(images, labels, part, tmp_path: Path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(packed(images))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(packed(labels))
    with pytest.raises(DataError, match=f"`{part}`"):
        Fashion("train", root=str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "name"), [(("all",), "split"), (("val", -1), "length"), (("val", 1, -1), "seed")]
)
def test_a_wrong_parameter_is_named(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}` must be .*, got"):
        Fashion(*arguments)
