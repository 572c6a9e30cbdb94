import numpy as np
import pytest

from winnow.data.scenes.camera import look
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import Label
from winnow.data.scenes.nearest import around, met
from winnow.data.scenes.paints import uniform
from winnow.data.scenes.parts import ball, box, placed
from winnow.data.scenes.rooms import draw_room
from winnow.data.scenes.scene import Scene, scene_table
from winnow.data.scenes.shadows import LARGE, SOFT, Ways, arriving
from winnow.data.scenes.visibility import visible_surface

GREY = uniform((0.5, 0.5, 0.5))
LAMP = (2.0, 2.4, 2.5)


def shares(scene, size, origin):
    """Return the points that are seen and the share of a lamp's light that arrives there, (3, S, S) and (S, S)."""
    solids = scene_table(scene)
    surface = visible_surface(scene, solids, size)
    away = surface.point - np.array(origin, np.float32)[:, None, None]
    length = np.sqrt((away * away).sum(0))
    ways = Ways(away / length, length)
    return solids, surface, ways, arriving(solids, surface, origin, ways, np.ones((size, size), bool))


def slow(solids, ways, origin):
    """Return the share without any short cut: every caster is asked at every point."""
    unit, length = ways.unit.reshape(3, -1), ways.length.ravel()
    within = np.zeros(length.size)
    for k in solids.casts.tolist():
        centre = np.repeat(around(solids, np.array([k]), origin), length.size, 1)
        near, far = met(solids, np.full(length.size, k), centre, unit)
        within += np.maximum(np.minimum(far, length) - np.maximum(near, 0), 0)
    return (1 - np.minimum(within / SOFT, 1)).reshape(ways.length.shape)


def room(parts):
    camera = look((2.0, 1.6, 0.3), (2.0, 0.4, 3.5), 0.0, 0.7)
    return Scene((4.0, 2.5, 5.0), (GREY,) * 6, (placed(parts, 2.0, 2.5, 0.0),), (), (0.2, 0.2, 0.2), camera)


@pytest.mark.parametrize("seed", range(6))
def test_no_shadow_is_lost_to_the_cones_around_solids(seed):
    scene = draw_room(Dice(np.random.default_rng(seed)))
    for light in scene.lights:
        solids, _, ways, share = shares(scene, 48, light.position)
        assert np.abs(share - slow(solids, ways, light.position)).max() < 1e-3


def test_asking_every_second_point_first_loses_next_to_nothing():
    wrong = []
    for seed in range(6):
        scene = draw_room(Dice(np.random.default_rng(seed)))
        for light in scene.lights:
            solids, _, ways, share = shares(scene, LARGE + 1, light.position)
            wrong.append(np.abs(share - slow(solids, ways, light.position)).mean())
    assert 0 < np.mean(wrong) < 0.002


def test_a_box_under_a_lamp_shades_the_floor_below_it_and_nothing_beside_it():
    shelf = box((-0.5, 0.5), (1.0, 1.2), (-0.5, 0.5), Label.TABLE, GREY)
    _, surface, _, share = shares(room([shelf]), 64, LAMP)
    x, y, z = surface.point
    floor = y < 1e-3
    reach = 0.5 * 2.4 / 1.2
    aside = np.maximum(np.abs(x - 2.0), np.abs(z - 2.5))
    assert (share[floor & (aside < 0.5 * 2.4 / 1.4 - 0.1)] == 0).all()
    assert (share[floor & (aside > reach + 0.01)] == 1).all()
    assert (floor & (aside < 0.6)).sum() > 20


def test_a_surface_does_not_shade_itself():
    globe = ball((0, 0.5, 0), (0.4, 0.4, 0.4), Label.OBJECTS, GREY)
    solids, surface, ways, share = shares(room([globe]), 64, LAMP)
    lit = (surface.ids == len(solids.shape) - 1) & ((surface.normal * ways.unit).sum(0) < -0.05)
    assert lit.sum() > 50
    assert share[lit].min() > 0.99


def test_points_that_no_light_reaches_are_not_asked():
    scene = room([box((-0.5, 0.5), (1.0, 1.2), (-0.5, 0.5), Label.TABLE, GREY)])
    for size in (32, LARGE):
        solids, surface, ways, _ = shares(scene, size, LAMP)
        lit = surface.point[0] > 2
        assert np.array_equal(np.isnan(arriving(solids, surface, LAMP, ways, lit)), ~lit)
