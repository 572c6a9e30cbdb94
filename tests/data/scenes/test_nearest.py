"""The fast ways to the nearest solid against the slow one, which tries every solid in every pixel."""

import numpy as np
import pytest

from winnow.data.scenes.camera import NEAR, look, rays
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import Label
from winnow.data.scenes.nearest import SMALL, around, met, nearest
from winnow.data.scenes.paints import uniform
from winnow.data.scenes.parts import box, placed
from winnow.data.scenes.rooms import draw_room
from winnow.data.scenes.scene import FACES, Scene, scene_table


def slow(scene, solids, view):
    """Return the depth (S, S) of the nearest solid and, per solid, its own."""
    direction = view.reshape(3, -1)
    point = np.array(scene.camera.position)[:, None]
    walls = np.where(direction > 0, np.array(scene.extent)[:, None] - point, -point) / direction
    depths = [walls.min(0)]
    for k in range(FACES, len(solids.shape)):
        ids = np.full(direction.shape[1], k)
        centre = np.repeat(around(solids, np.array([k]), scene.camera.position), len(ids), 1)
        near, far = met(solids, ids, centre, direction)
        depths.append(np.where((near < far) & (near > NEAR), near, np.inf))
    return np.array(depths)


@pytest.mark.parametrize("size", [16, 64])
def test_no_solid_is_missed_and_none_is_seen_through_another(size):
    kinds = set()
    for seed in range(12):
        scene = draw_room(Dice(np.random.default_rng(seed)))
        solids = scene_table(scene)
        view = rays(scene.camera, size)
        depth, ids = nearest(scene, solids, view)
        every = slow(scene, solids, view)
        assert np.allclose(depth.ravel(), every.min(0), rtol=1e-5)
        own = np.take_along_axis(every, np.maximum(ids.ravel() - FACES + 1, 0)[None], 0)[0]
        assert np.allclose(own, depth.ravel(), rtol=1e-5)
        areas = np.bincount(ids.ravel(), minlength=len(solids.shape))[FACES:]
        kinds |= {"large"} if (areas > SMALL).any() else set()
        kinds |= {"small"} if ((areas > 0) & (areas < SMALL // 8)).any() else set()
    assert kinds == {"large", "small"} or size == 16


def test_the_face_of_the_room_is_the_one_that_the_point_lies_on():
    scene = draw_room(Dice(np.random.default_rng(3)))
    view = rays(scene.camera, 32)
    depth, ids = nearest(scene, scene_table(scene), view)
    point = np.array(scene.camera.position)[:, None, None] + depth * view
    for face in range(FACES):
        axis, side = divmod(face, 2)
        assert np.allclose(point[axis][ids == face], side * scene.extent[axis], atol=1e-4)
    assert len(set(ids[ids < FACES].tolist())) > 2


def test_what_reaches_behind_the_camera_is_not_seen_in_front_of_it():
    grey = uniform((0.5, 0.5, 0.5))
    beside = box((-0.2, 0.2), (0, 2), (-3, 3), Label.FURNITURE, grey)
    camera = look((2.0, 1.2, 0.5), (2.0, 1.2, 4.0), 0.0, 0.7)
    scene = Scene((4.0, 2.5, 5.0), (grey,) * 6, (placed([beside], 1.2, 0.3, 0.0),), (), (0.2, 0.2, 0.2), camera)
    depth, ids = nearest(scene, scene_table(scene), rays(camera, 32))
    assert (ids[:, :3] == FACES).any()
    assert (ids[:, 16:] < FACES).all()
    assert depth.min() > NEAR
