import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.timing import standard_seconds
from winnow.data.scenes.dataset import FIELDS, Scenes
from winnow.data.scenes.labels import CLASSES
from winnow.data.validation import validate

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def many():
    scenes = Scenes("train", 300, 32)
    return [scenes.sample(i) for i in range(len(scenes))]


def same(a, b):
    return np.array_equal(a.image, b.image) and all(np.array_equal(a.targets[k], b.targets[k]) for k in FIELDS)


@settings(max_examples=25)
@given(index=st.integers(0, 10**6), size=st.integers(8, 70), seed=st.integers(0, 2**63), split=st.sampled_from(SPLITS))
def test_any_size_seed_and_index_gives_a_sample_that_keeps_its_promise(index, size, seed, split):
    sample = Scenes(split, 10**6 + 1, size, seed).sample(index)
    assert validate(sample, FIELDS, "scene").image.shape == (size, size, 3)
    assert sample.image.dtype == np.uint8


@pytest.mark.parametrize("size", [17, 64, 128, 256])
def test_usual_sizes_work(size):
    assert validate(Scenes("test", 1, size).sample(0), FIELDS, "scene").image.shape == (size, size, 3)


@settings(max_examples=10)
@given(index=st.integers(0, 1000), size=st.sampled_from([8, 17, 32]), seed=st.integers(0, 100))
def test_the_same_seed_gives_the_same_scene_in_any_order(index, size, seed):
    first, again = Scenes("train", 1001, size, seed), Scenes("train", 2000, size, seed)
    again.sample(1000 - index)
    assert same(first.sample(index), again.sample(index))


def test_splits_seeds_and_indices_have_no_scene_in_common():
    sources = [Scenes(split, 20, 16, seed) for split in SPLITS for seed in (0, 1)]
    images = {source.sample(i).image.tobytes() for source in sources for i in range(20)}
    assert len(images) == 120


def test_a_scene_is_the_same_room_at_any_size():
    small, large = Scenes("train", 6, 32), Scenes("train", 6, 64)
    for i in range(6):
        coarse, fine = small.sample(i).targets["depth"], large.sample(i).targets["depth"]
        fine = fine.reshape(32, 2, 32, 2).transpose(0, 2, 1, 3).reshape(32, 32, 4)
        both = (coarse > 0) & (fine > 0).all(-1)
        near = np.abs(fine - coarse[..., None]).min(-1)[both] < 0.05 * coarse[both]
        assert near.mean() > 0.9


def test_all_classes_occur(many):
    seen = np.unique([sample.targets["seg"] for sample in many])
    assert seen.tolist() == [-1, *range(len(CLASSES))]


def test_a_set_of_scenes_knows_its_name_length_and_fields():
    scenes = Scenes("train", 5)
    assert (scenes.name, len(scenes), list(scenes.fields)) == ("scenes", 5, ["seg", "depth", "normals", "edges"])


def test_depth_is_within_the_reach_of_the_sensor_or_missing(many):
    depth = np.stack([sample.targets["depth"] for sample in many])
    known = depth[depth > 0]
    assert known.min() >= 0.35
    assert known.max() <= 7.5


def test_normals_are_unit_vectors_exactly_where_there_is_depth(many):
    for sample in many:
        norm = np.linalg.norm(sample.targets["normals"], axis=-1)
        assert np.abs(norm - (sample.targets["depth"] > 0)).max() < 1e-5


@pytest.mark.parametrize("size", [64, 128])
def test_three_to_five_percent_of_the_pixels_are_unlabelled(size):
    scenes = Scenes("val", 80, size)
    share = np.mean([scenes.sample(i).targets["seg"] < 0 for i in range(len(scenes))])
    assert 0.03 < share < 0.05


def test_the_depth_of_a_few_percent_of_the_pixels_is_missing(many):
    holes = np.mean([sample.targets["depth"] == 0 for sample in many])
    assert 0.01 < holes < 0.1


def test_a_scene_of_64_pixels_takes_some_milliseconds():
    scenes = Scenes("train", 40, 64)
    assert standard_seconds(lambda: [scenes.sample(i) for i in range(40)]) / 40 < 0.015


def test_images_are_neither_black_nor_burnt_out(many):
    means = [sample.image.mean() for sample in many]
    spread = [sample.image.std() for sample in many]
    assert min(means) > 60
    assert max(means) < 220
    assert min(spread) > 8


def test_labels_are_missing_on_edges_and_along_the_sides_only(many):
    for sample in many:
        seg, inner = sample.targets["seg"], sample.targets["edges"][1:-1, 1:-1] == 0
        assert (seg[1:-1, 1:-1][inner] >= 0).all()


def test_glass_is_often_missing_from_the_depth(many):
    seg = np.stack([sample.targets["seg"] for sample in many])
    hole = np.stack([sample.targets["depth"] for sample in many]) == 0
    assert hole[seg == CLASSES.index("window")].mean() > 3 * hole[seg == CLASSES.index("wall")].mean()


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_outside_is_an_index_error(index):
    with pytest.raises(IndexError, match=f"`index` must be from 0 to 2, got {index}"):
        Scenes("train", 3).sample(index)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(("all", 1), "split"), (("train", -1), "length"), (("train", 1.5), "length"), (("train", True), "length"),
     (("train", 1, 7), "size"), (("train", 1, 8, -1), "seed")],
)  # fmt: skip
def test_a_wrong_parameter_is_named(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}` must be .*, got"):
        Scenes(*arguments)
