"""One photograph with measured depth: windows are parts of it, normals those of its surfaces; it needs a package."""

import numpy as np
import pytest

from winnow.data import motorcycle as module
from winnow.data.catalog import load
from winnow.data.motorcycle import (
    BORDER,
    CENTRE_X,
    CENTRE_Y,
    FOCAL,
    MotorcycleData,
    motorcycle_photograph,
    normals_of_depth,
)
from winnow.data.sample import DataError
from winnow.data.validation import validate

pytest.importorskip("skimage", reason="carries the photograph")


def test_motorcycle_photograph():
    image, depth, normals = motorcycle_photograph()
    assert image.shape == (500, 741, 3)
    known = depth[depth > 0]
    assert 0.7 < (depth > 0).mean() < 1
    assert 1.5 < known.min() < known.max() < 7  # a motorcycle in a workshop
    norm = np.linalg.norm(normals, axis=2)
    assert 0.5 < (norm > 0).mean() < 1
    assert (depth[norm > 0] > 0).all()
    rows, columns = np.indices(depth.shape)
    rays = np.stack([(columns - CENTRE_X) / FOCAL, (rows - CENTRE_Y) / FOCAL, np.ones(depth.shape)], axis=2)
    assert ((normals * rays).sum(2)[norm > 0] < 0).mean() > 0.99  # towards the camera


@pytest.mark.parametrize("normal", [(0, 0, -1), (0.3, 0.2, -1), (0, -1, -0.4)])
def test_normals_of_depth(normal: tuple[float, float, float]):
    """The normals of a plane n · P = c are n at every pixel inside."""
    unit = np.array(normal) / np.linalg.norm(normal)
    rows, columns = np.indices((40, 60))
    rays = np.stack([(columns - CENTRE_X) / FOCAL, (rows - CENTRE_Y) / FOCAL, np.ones((40, 60))], axis=2)
    depth = -2 / (rays @ unit)
    depth = np.where(depth > 0, depth, 0)
    depth[20, 30] = 0
    found = normals_of_depth(depth)
    known = (found != 0).any(2)
    assert not known[19:22, 30].any()
    assert not known[0].any()
    assert known[2:18, 2:-2].all()
    np.testing.assert_allclose(found[known], np.broadcast_to(unit, found[known].shape), atol=1e-4)


def test_windows_are_valid_and_no_pixel_is_in_both_splits(monkeypatch: pytest.MonkeyPatch):
    image, depth, normals = motorcycle_photograph()
    place = np.indices(depth.shape)[1].astype(np.float32) + 1  # the column, in the place of the depth
    for split in ("train", "val"):
        data = load("motorcycle", split=split, length=6, size=32)
        for k in range(6):
            validate(data.sample(k), data.fields, f"{split}[{k}]")
            assert np.array_equal(data.sample(k).image, data.sample(k).image)
    monkeypatch.setattr(module, "motorcycle_photograph", lambda: (image, place, normals))
    columns = {
        s: [load("motorcycle", split=s, length=40, size=32).sample(k).targets["depth"] for k in range(40)]
        for s in ("train", "val")
    }
    assert max(own.max() for own in columns["train"]) <= BORDER < min(own.min() for own in columns["val"])


def test_without_the_package_or_its_files_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    motorcycle_photograph.cache_clear()
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"winnow-mtl\[samples\]"):
        MotorcycleData().load("val").sample(0)
    monkeypatch.undo()
    monkeypatch.setattr(module, "LEFT", "nothing.png")
    with pytest.raises(DataError, match="a version that carries nothing.png"):
        MotorcycleData().load("val").sample(0)
    assert MotorcycleData().splits == ("train", "val")
    with pytest.raises(ValueError, match="`split` must be train or val"):
        load("motorcycle", split="test")
