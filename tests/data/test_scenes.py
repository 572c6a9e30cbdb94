import numpy as np
import pytest

from data.scenes.dataset import FIELDS, Scenes
from data.scenes.dice import Dice
from data.scenes.rooms import draw
from data.validation import validate


def same(a, b):
    pairs = [(a.image, b.image), *((a.targets[name], b.targets[name]) for name in FIELDS)]
    return all(x.shape == y.shape and np.array_equal(x, y) for x, y in pairs)


def test_the_same_seed_gives_the_same_scene():
    assert same(Scenes("train", 9, 32, 3).sample(7), Scenes("train", 9, 32, 3).sample(7))


def test_a_scene_depends_on_neither_the_order_nor_the_length():
    short, long = Scenes("val", 3, 16), Scenes("val", 50, 16)
    long.sample(40)
    assert all(same(short.sample(i), long.sample(i)) for i in (2, 0, 1))


@pytest.mark.parametrize("other", [("train", 1), ("val", 0), ("test", 0)])
def test_another_seed_or_split_gives_other_scenes(other):
    split, seed = other
    first = [Scenes("train", 10, 16).sample(i).image.tobytes() for i in range(10)]
    second = [Scenes(split, 10, 16, seed).sample(i).image.tobytes() for i in range(10)]
    assert len({*first, *second}) == 20


@pytest.mark.parametrize("size", [8, 17, 64])
def test_every_size_gives_valid_samples(size):
    for i in range(10):
        sample = validate(Scenes("test", 10, size).sample(i), FIELDS, f"scene {i}")
        assert sample.image.shape == (size, size, 3)
        assert sample.image.dtype == np.uint8
        assert [sample.targets[name].dtype for name in FIELDS] == [np.int64, np.float32, np.float32, np.int64]


def test_three_hundred_scenes_are_valid_and_show_every_class():
    scenes, counts = Scenes("train", 300, 32), np.zeros(13, int)
    for i in range(300):
        seg = validate(scenes.sample(i), FIELDS, f"scene {i}").targets["seg"]
        counts += np.bincount(seg[seg >= 0], minlength=13)
    assert (counts > 0).all(), dict(zip(FIELDS["seg"].classes, counts.tolist(), strict=True))


def test_depth_and_normals_are_missing_together_and_labels_seldom():
    for i in range(10):
        targets = Scenes("train", 10, 64).sample(i).targets
        assert np.array_equal(targets["depth"] == 0, (targets["normals"] == 0).all(-1))
        assert 0 < (targets["seg"] == -1).mean() < 0.25


def spread(index):
    """Return τ, half the width of the image at unit depth, of the camera in a validation scene."""
    return draw(Dice(np.random.default_rng([0, 1, index, 0]))).camera.spread


def test_back_projected_depth_has_the_normals_that_are_given():
    size, good, total = 64, 0, 0
    for i in range(20):
        targets = Scenes("val", 20, size).sample(i).targets
        depth, normals = targets["depth"].astype(float), targets["normals"].astype(float)
        ramp = ((2 * np.arange(size) + 1) / size - 1) * spread(i)
        points = np.stack(np.broadcast_arrays(ramp, ramp[:, None], 1.0), -1) * depth[..., None]
        here, right, below = points[:-1, :-1], points[:-1, 1:], points[1:, :-1]
        cross = np.cross(below - here, right - here)
        found = cross / np.maximum(np.linalg.norm(cross, axis=-1, keepdims=True), 1e-12)
        known = normals[:-1, :-1]
        flat = (np.abs(normals[:-1, 1:] - known).max(-1) < 0.05) & (np.abs(normals[1:, :-1] - known).max(-1) < 0.05)
        seen = (depth[:-1, :-1] > 0) & (depth[:-1, 1:] > 0) & (depth[1:, :-1] > 0)
        smooth = flat & seen & (targets["edges"][:-1, :-1] == 0)
        good += ((found * known).sum(-1)[smooth] > np.cos(np.radians(5))).sum()
        total += smooth.sum()
    assert total > 20_000
    assert good / total > 0.97


def test_normals_face_the_camera():
    for i in range(10):
        normals = Scenes("test", 10, 64).sample(i).targets["normals"]
        assert (normals[28:36, 28:36, 2] <= 0.1).all()


def test_edges_run_along_every_change_of_label():
    for i in range(10):
        targets = Scenes("train", 10, 64).sample(i).targets
        seg, edges = targets["seg"], targets["edges"]
        changes = (seg[:, :-1] != seg[:, 1:]) & (seg[:, :-1] >= 0) & (seg[:, 1:] >= 0)
        assert (edges[:, :-1][changes] == 1).all()
        assert 0 < edges.mean() < 0.5


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("valid", 3), "split"),
        (("train", -1), "length"),
        (("train", 2.5), "length"),
        (("train", 3, 7), "size"),
        (("train", 3, 64, -1), "seed"),
    ],
)
def test_a_wrong_argument_is_named(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}` should be .* Found "):
        Scenes(*arguments)


@pytest.mark.parametrize("index", [-1, 3])
def test_no_scene_lies_outside(index):
    with pytest.raises(IndexError, match=r"from 0 to 2\. Found"):
        Scenes("train", 3).sample(index)


def test_a_set_of_scenes_knows_its_name_length_and_fields():
    scenes = Scenes("train", 5)
    assert (scenes.name, len(scenes), list(scenes.fields)) == ("scenes", 5, ["seg", "depth", "normals", "edges"])
