from dataclasses import replace

import numpy as np

from winnow.data.scenes.camera import look
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import Label
from winnow.data.scenes.light import radiance
from winnow.data.scenes.paints import uniform
from winnow.data.scenes.parts import box, placed
from winnow.data.scenes.rooms import draw_room
from winnow.data.scenes.scene import Light, scene_table
from winnow.data.scenes.visibility import visible_surface

SIZE = 40


def bright(scene):
    solids = scene_table(scene)
    surface = visible_surface(scene, solids, SIZE)
    return solids.glow[surface.ids] == 0, surface, radiance(scene, solids, surface, np.full((3, SIZE, SIZE), 0.5))


def scaled(scene, factor):
    lights = [light._replace(colour=tuple(factor * c for c in light.colour)) for light in scene.lights]
    return replace(scene, lights=tuple(lights), ambient=tuple(factor * c for c in scene.ambient))


def test_light_adds():
    for seed in range(5):
        scene = draw_room(Dice(np.random.default_rng(seed)))
        dull, _, once = bright(scene)
        _, _, thrice = bright(scaled(scene, 3))
        assert np.allclose(thrice[:, dull], 3 * once[:, dull], rtol=1e-4)


def test_every_point_gets_some_light_and_a_lamp_takes_none_away():
    for seed in range(5):
        scene = draw_room(Dice(np.random.default_rng(seed)))
        _, _, dark = bright(replace(scene, lights=()))
        _, _, lit = bright(scene)
        assert dark.min() > 0
        assert (lit >= dark - 1e-6).all()
        assert lit.mean() > dark.mean() or not scene.lights


def test_shadows_only_darken():
    changed = 0
    for seed in range(5):
        scene = draw_room(Dice(np.random.default_rng(seed)))
        bare = replace(scene, lights=tuple(light._replace(shadows=False) for light in scene.lights))
        _, _, with_shadows = bright(scene)
        _, _, without = bright(bare)
        assert (with_shadows <= without + 1e-6).all()
        changed += (with_shadows < 0.9 * without).any()
    assert changed >= 4


def test_a_lamp_lights_the_faces_that_are_turned_to_it():
    scene = draw_room(Dice(np.random.default_rng(0)))
    lamp = Light((scene.extent[0] / 2, 0.2, scene.extent[2] / 2), (1.0, 1.0, 1.0), 2.0, None, False)
    dull, surface, lit = bright(replace(scene, lights=(lamp,)))
    _, _, dark = bright(replace(scene, lights=()))
    toward = ((np.array(lamp.position)[:, None, None] - surface.point) * surface.normal).sum(0)
    gain = (lit - dark).min(0)
    assert (gain[dull & (toward > 0.1)] > 0.001).all()
    assert np.abs(gain[dull & (toward < -0.01)]).max() < 1e-6
    assert (dull & (toward < -0.01)).sum() > 10


def empty_room():
    scene, grey = draw_room(Dice(np.random.default_rng(0))), uniform((0.5, 0.5, 0.5))
    camera = look((2.0, 1.6, 0.3), (2.0, 0.6, 3.5), 0.0, 0.7)
    return replace(scene, extent=(4.0, 2.5, 5.0), surfaces=(grey,) * 6, pieces=(), lights=(), camera=camera)


def test_a_window_lights_nothing_behind_it():
    window = Light((2.0, 1.2, 2.5), (1.0, 1.0, 1.0), 2.0, (0.0, 0.0, -1.0), False)
    _, surface, lit = bright(replace(empty_room(), lights=(window,)))
    _, _, dark = bright(empty_room())
    gain, (x, _, z) = (lit - dark).min(0), surface.point
    behind = (z > 3.3) & (np.abs(x - 2.0) < 0.5)
    assert behind.sum() > 10
    assert np.abs(gain[behind]).max() < 1e-6
    assert gain[z < 2.2].mean() > 0.01


def test_the_floor_is_darker_beside_furniture():
    shelf = box((-0.4, 0.4), (0, 0.5), (-0.2, 0.2), Label.FURNITURE, uniform((0.5, 0.5, 0.5)))
    _, _, before = bright(empty_room())
    _, surface, after = bright(replace(empty_room(), pieces=(placed([shelf], 2.0, 2.5, 0.0),)))
    x, _, z = surface.point
    gap = np.maximum(np.abs(x - 2.0) - 0.4, np.abs(z - 2.5) - 0.2)
    beside, far = (surface.ids == 2) & (gap < 0.1), (surface.ids == 2) & (gap > 0.8)
    assert beside.sum() > 5
    assert (after[:, beside] < 0.9 * before[:, beside]).all()
    assert np.allclose(after[:, far], before[:, far], rtol=1e-3)


def test_the_floor_is_darker_along_the_walls():
    _, surface, dark = bright(empty_room())
    floor, (x, _, z) = surface.ids == 2, surface.point
    aside, middle = floor & (x < 0.5) & (z > 1), floor & (np.abs(x - 2) < 0.5) & (np.abs(z - 2.5) < 0.5)
    assert aside.sum() > 5
    assert middle.sum() > 5
    assert dark[1, aside].max() < 0.95 * dark[1, middle].min()
