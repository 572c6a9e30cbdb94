from dataclasses import fields, replace

import numpy as np
import pytest

from winnow.data.scenes.dice import Dice
from winnow.data.scenes.paints import Texture
from winnow.data.scenes.rooms import draw_room
from winnow.data.scenes.scene import scene_table
from winnow.data.scenes.textures import reflectance
from winnow.data.scenes.visibility import visible_surface


def look(seed, size=48):
    scene = draw_room(Dice(np.random.default_rng(seed)))
    solids = scene_table(scene)
    return solids, visible_surface(scene, solids, size)


@pytest.fixture(scope="module")
def looks():
    return [look(seed) for seed in range(60)]


def test_every_texture_occurs_and_reflects_neither_less_than_nothing_nor_much_more_than_all(looks):
    found = set()
    for solids, surface in looks:
        colour = reflectance(solids, surface, surface.depth * np.float32(0.02))
        glow = solids.glow[surface.ids]
        assert colour.min() >= 0
        assert colour[:, glow == 0].max() <= 1.2
        found |= set(solids.texture[surface.ids].ravel().tolist())
    assert found == set(Texture)


def test_the_colour_of_a_point_does_not_depend_on_its_neighbours(looks):
    for solids, surface in looks[:5]:
        size = surface.depth * np.float32(0.02)
        mirrored = replace(surface, **{f.name: getattr(surface, f.name)[..., ::-1] for f in fields(surface)})
        assert np.array_equal(
            reflectance(solids, mirrored, size[:, ::-1]), reflectance(solids, surface, size)[..., ::-1]
        )


def test_patterns_fade_where_pixels_are_larger_than_they_are(looks):
    near, far = [], []
    for solids, surface in looks[:20]:
        walls = surface.ids < 2
        if walls.sum() > 100:
            fine = reflectance(solids, surface, np.full_like(surface.depth, 1e-3))[:, walls]
            coarse = reflectance(solids, surface, np.full_like(surface.depth, 1.0))[:, walls]
            near.append(fine.std(1).mean())
            far.append(coarse.std(1).mean())
    assert np.mean(far) < np.mean(near)
