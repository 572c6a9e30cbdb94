"""A plane before a camera, zoomed into or mirrored, has the depth and the normals of the plane where it then is."""

import numpy as np
import pytest
import torch

from winnow.data.disk.geometry import Frame
from winnow.data.sample import Field
from winnow.data.stacking import Stacked
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.train import parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.zooming import Window, window_at, zoomed, zoomed_target

HEIGHT, WIDTH, FOCAL = 60, 80, 70.0
FIELDS = {
    "seg": Field(kind="segmentation", classes=("left", "right")),
    "depth": Field(kind="depth", unit="m"),
    "normals": Field(kind="normals"),
}
NORMAL, DISTANCE = np.array([0.5, -0.3, -0.81]), -3.0


def plane(normal: np.ndarray, distance: float, centre: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return depth (H, W) and normals (H, W, 3) of n · X = d, seen with the principal point at `centre` (x, y)."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(x - centre[0]) / FOCAL, (y - centre[1]) / FOCAL, np.ones_like(x)], 2)
    depth = distance / (rays @ normal)
    unit = np.broadcast_to(normal / np.linalg.norm(normal), (HEIGHT, WIDTH, 3)).astype(np.float32)
    return torch.from_numpy(depth.astype(np.float32)), torch.from_numpy(unit.copy())


@pytest.mark.parametrize("part", [Window(0, 0, 30, 40), Window(10, 27, 40, 53), Window(0, 0, 60, 80)])
def test_the_part_is_the_plane_brought_nearer(part: Window):
    depth, normals = plane(NORMAL, DISTANCE, (40, 30))
    s = part.factor(HEIGHT, WIDTH)
    centre = ((40 - part.left) * WIDTH / part.columns, (30 - part.top) * HEIGHT / part.rows)
    expected_depth, expected_normals = plane(NORMAL * (1, 1, s), DISTANCE, centre)
    torch.testing.assert_close(zoomed_target(depth, FIELDS["depth"], part), expected_depth, rtol=0.03, atol=0)
    found = zoomed_target(normals, FIELDS["normals"], part)
    torch.testing.assert_close(found, expected_normals, rtol=0, atol=1e-6)


def test_depth_and_normals_agree_after_a_zoom():
    """The normal that neighbouring depths span is the normal that is stored."""
    part = Window(10, 15, 30, 40)
    depth, normals = (
        zoomed_target(own, FIELDS[name], part)
        for name, own in zip(("depth", "normals"), plane(NORMAL, DISTANCE, (40, 30)), strict=True)
    )
    x, y = np.meshgrid((np.arange(WIDTH) + 0.5) - (40 - 15) * 2, (np.arange(HEIGHT) + 0.5) - (30 - 10) * 2)
    points = np.stack([x / FOCAL, y / FOCAL, np.ones_like(x)], 2) * depth.numpy()[:, :, None]
    span = np.cross(points[50, 1] - points[2, 1], points[2, 70] - points[2, 1])
    span /= np.linalg.norm(span)
    assert abs(span @ normals.numpy()[5, 5]) > 0.999


def test_missing_stays_missing():
    part = Window(5, 5, 40, 50)
    for name, empty in (("depth", torch.zeros(HEIGHT, WIDTH)), ("normals", torch.zeros(HEIGHT, WIDTH, 3))):
        assert not zoomed_target(empty, FIELDS[name], part).any()
    assert (zoomed_target(torch.full((HEIGHT, WIDTH), -1), FIELDS["seg"], part) == -1).all()


def test_images_and_targets_show_the_same_part():
    image = torch.arange(HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH).float() / (HEIGHT * WIDTH)
    target = (image[0] * HEIGHT * WIDTH).long()
    part = window_at(HEIGHT, WIDTH, 1.7, (0.3, 0.9))
    images, found = zoomed(image[None], {"seg": target[None]}, FIELDS, [part])
    assert (found["seg"][0] / (HEIGHT * WIDTH) - images[0, 0]).abs().max() < 1.1 / HEIGHT
    assert images.shape == (1, 1, HEIGHT, WIDTH)


@pytest.mark.parametrize("factor", [1.0, 1.3, 2.0, 4.0])
def test_every_window_lies_in_the_image(factor: float):
    for place in ((0.0, 0.0), (0.5, 0.999999), (0.999999, 1.0)):
        part = window_at(13, 17, factor, place)
        assert 0 <= part.top <= 13 - part.rows
        assert 0 <= part.left <= 17 - part.columns


def test_a_mirrored_plane_has_the_normals_of_the_mirrored_scene():
    depth, normals = plane(NORMAL, DISTANCE, (40, 30))
    tasks = build_tasks(FIELDS, ["depth", "normals"])
    expected_depth, expected_normals = plane(NORMAL * (-1, 1, 1), DISTANCE, (40, 30))
    torch.testing.assert_close(tasks["depth"].mirror(depth[None])[0], expected_depth)
    torch.testing.assert_close(tasks["normals"].mirror(normals[None])[0], expected_normals)


def test_resizing_and_cropping_change_no_depth_and_no_normal():
    depth, normals = plane(NORMAL, DISTANCE, (40, 30))
    frame = Frame((30, 30), crop=True)
    small = frame.of_target(depth.numpy())
    assert small.shape == (30, 30)
    np.testing.assert_allclose(small[15, 15], depth[30, 40], rtol=0.02)
    np.testing.assert_allclose(frame.of_target(normals.numpy())[3, 4], normals[0, 0])


def batches() -> Batches:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (8, 12, 16, 3), np.uint8)
    targets = {"seg": generator.integers(0, 2, (8, 12, 16)), "depth": np.full((8, 12, 16), 2.0, np.float32)}
    tasks = build_tasks(FIELDS, ["seg", "depth"])
    return Batches(Stacked(images, targets), tasks, 4, torch.device("cpu"))


def test_batches_are_zoomed_when_asked_and_replayed_from_the_seed():
    plain, first, again = (list(batches().shuffled(3, 1, False, zoom=zoom)) for zoom in (1.0, 2.0, 2.0))
    for one, two, three in zip(plain, first, again, strict=True):
        assert torch.equal(two.images, three.images)
        assert not torch.equal(one.images, two.images)
        depths = two.targets["depth"].flatten(1)
        assert ((depths >= 0.99) & (depths <= 2)).all()
        assert (depths == depths[:, :1]).all()
        assert len(depths[:, 0].unique()) > 1


def test_a_zoom_of_a_task_that_it_would_falsify_is_refused():
    assert parse({"zoom": 1.5}).zoom == 1.5
    with pytest.raises(SpecError, match="`zoom` must be 1 for tasks of other kinds than .*, got 1.5 with digit, class"):
        parse({"zoom": 1.5, "data": {"dataset": "digits"}})
    with pytest.raises(ValueError, match="`zoom` must be 1 for a task of kind map"):
        zoomed_target(torch.zeros(4, 4), Field(kind="map"), Window(0, 0, 2, 2))
