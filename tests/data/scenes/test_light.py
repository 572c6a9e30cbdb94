from dataclasses import replace

import numpy as np

from data.scenes.dice import Dice
from data.scenes.light import radiance
from data.scenes.rooms import draw
from data.scenes.scene import Light, table
from data.scenes.visibility import seen

SIZE = 40


def bright(scene):
    solids = table(scene)
    surface = seen(scene, solids, SIZE)
    return solids.glow[surface.ids] == 0, surface, radiance(scene, solids, surface, np.full((3, SIZE, SIZE), 0.5))


def scaled(scene, factor):
    lights = [light._replace(colour=tuple(factor * c for c in light.colour)) for light in scene.lights]
    return replace(scene, lights=tuple(lights), ambient=tuple(factor * c for c in scene.ambient))


def test_light_adds():
    for seed in range(5):
        scene = draw(Dice(np.random.default_rng(seed)))
        dull, _, once = bright(scene)
        _, _, thrice = bright(scaled(scene, 3))
        assert np.allclose(thrice[:, dull], 3 * once[:, dull], rtol=1e-4)


def test_every_point_gets_some_light_and_a_lamp_takes_none_away():
    for seed in range(5):
        scene = draw(Dice(np.random.default_rng(seed)))
        _, _, dark = bright(replace(scene, lights=()))
        _, _, lit = bright(scene)
        assert dark.min() > 0
        assert (lit >= dark - 1e-6).all()
        assert lit.mean() > dark.mean() or not scene.lights


def test_shadows_only_darken():
    changed = 0
    for seed in range(5):
        scene = draw(Dice(np.random.default_rng(seed)))
        bare = replace(scene, lights=tuple(light._replace(shadows=False) for light in scene.lights))
        _, _, with_shadows = bright(scene)
        _, _, without = bright(bare)
        assert (with_shadows <= without + 1e-6).all()
        changed += (with_shadows < 0.9 * without).any()
    assert changed >= 4


def test_a_lamp_lights_the_faces_that_are_turned_to_it():
    scene = draw(Dice(np.random.default_rng(0)))
    lamp = Light((scene.extent[0] / 2, 0.2, scene.extent[2] / 2), (1.0, 1.0, 1.0), 2.0, None, False)
    dull, surface, lit = bright(replace(scene, lights=(lamp,)))
    _, _, dark = bright(replace(scene, lights=()))
    toward = ((np.array(lamp.position)[:, None, None] - surface.point) * surface.normal).sum(0)
    gain = (lit - dark).min(0)
    assert (gain[dull & (toward > 0.1)] > 0.001).all()
    assert np.abs(gain[dull & (toward < -0.01)]).max() < 1e-6
    assert (dull & (toward < -0.01)).sum() > 10
