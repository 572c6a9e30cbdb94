"""The targets against each other: each is checked by what another one implies."""

import numpy as np
import pytest

from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import Label
from winnow.data.scenes.render import render
from winnow.data.scenes.rooms import draw_room

SIZE = 96


def pictures(count):
    for i in range(count):
        scene = draw_room(Dice(np.random.default_rng([11, i])))
        yield scene, render(scene, SIZE, np.random.default_rng([11, i, 1])).targets


@pytest.fixture(scope="module")
def rendered():
    return list(pictures(20))


def points(scene, targets):
    ramp = ((2 * np.arange(SIZE) + 1) / SIZE - 1) * scene.camera.spread
    x, y = np.meshgrid(ramp, ramp)
    return targets["depth"][..., None] * np.stack([x, y, np.ones_like(x)], -1)


def neighbours(mask):
    """Return where the mask holds at a pixel and its eight neighbours, without the border."""
    views = [mask[i : SIZE - 2 + i, j : SIZE - 2 + j] for i in range(3) for j in range(3)]
    return np.logical_and.reduce(views)


def test_normals_are_those_of_the_surface_that_depth_describes(rendered):
    angles = []
    for scene, targets in rendered:
        p = points(scene, targets)
        plane = np.cross(p[2:, 1:-1] - p[:-2, 1:-1], p[1:-1, 2:] - p[1:-1, :-2])
        smooth = neighbours((targets["depth"] > 0) & (targets["edges"] == 0))
        plane = plane[smooth] / np.linalg.norm(plane[smooth], axis=-1, keepdims=True)
        cosine = (plane * targets["normals"][1:-1, 1:-1][smooth]).sum(-1)
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    angles = np.concatenate(angles)
    assert np.median(angles) < 0.1
    assert (angles < 2).mean() > 0.97


def test_normals_face_the_camera(rendered):
    for scene, targets in rendered:
        assert ((targets["normals"] * points(scene, targets)).sum(-1) <= 1e-5).all()


def test_the_normals_of_floors_point_up_and_those_of_ceilings_down(rendered):
    heights = {Label.FLOOR: [], Label.CEILING: []}
    for scene, targets in rendered:
        camera = scene.camera
        height = targets["normals"] @ np.array([axis[1] for axis in (camera.right, camera.down, camera.forward)])
        for label, found in heights.items():
            found.append(height[(targets["depth"] > 0) & (targets["seg"] == label)])
    floors, ceilings = (np.concatenate(found) for found in heights.values())
    assert (floors > 0.999).mean() > 0.98  # the rest are the sides of rugs
    assert floors.min() > -0.01
    assert ceilings.max() < -0.999


def test_every_boundary_between_classes_is_an_edge(rendered):
    for _, targets in rendered:
        seg, edges = targets["seg"], targets["edges"]
        for a, b, e in ((seg[:-1], seg[1:], edges[:-1]), (seg[:, :-1], seg[:, 1:], edges[:, :-1])):
            assert e[(a != b) & (a >= 0) & (b >= 0)].all()


def test_every_edge_divides_classes_planes_or_depths(rendered):
    for scene, targets in rendered:
        seg, normals, p = targets["seg"], targets["normals"], points(scene, targets)
        known = (targets["depth"] > 0) & (seg >= 0)
        apart, measured = np.zeros((2, SIZE, SIZE), bool)
        measured[:-1, :-1] = known[:-1, :-1] & known[1:, :-1] & known[:-1, 1:]
        for a, b in ((np.s_[:-1, :-1], np.s_[1:, :-1]), (np.s_[:-1, :-1], np.s_[:-1, 1:])):
            step = np.abs((normals[a] * (p[b] - p[a])).sum(-1))
            turn = (normals[a] * normals[b]).sum(-1) < np.cos(np.pi / 6) + 1e-4
            apart[a] |= (seg[a] != seg[b]) | turn | (step > 0.04)
        assert apart[measured & (targets["edges"] > 0)].all()


def test_edges_are_thin_and_neither_rare_nor_everywhere(rendered):
    share = np.mean([targets["edges"].mean() for _, targets in rendered])
    solid = np.mean([neighbours(targets["edges"] > 0).mean() for _, targets in rendered])
    assert 0.03 < share < 0.25
    assert solid < 0.01


def test_points_lie_inside_the_room(rendered):
    for scene, targets in rendered:
        c = scene.camera
        p = points(scene, targets) @ np.array([c.right, c.down, c.forward]) + np.array(c.position)
        p = p[targets["depth"] > 0]
        assert (p > -1e-3).all()
        assert (p < np.array(scene.extent) + 1e-3).all()
