from dataclasses import replace

import numpy as np
import pytest

from winnow.data.scenes import sensor
from winnow.data.scenes.camera import look
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.rooms import draw_room
from winnow.data.scenes.scene import scene_table
from winnow.data.scenes.visibility import visible_surface

SIZE = 64


def seen_scene(seed):
    scene = draw_room(Dice(np.random.default_rng(seed)))
    solids = scene_table(scene)
    return scene, solids, visible_surface(scene, solids, SIZE)


def test_the_projector_leaves_a_stripe_left_of_what_is_nearer():
    camera = look((0, 0, 0), (0, 0, 1), 0.0, 0.6)
    depth = np.full((SIZE, SIZE), 3.0, np.float32)
    depth[:, 30:40] = 1.0
    unlit = sensor._unlit(camera, depth)
    width = int(SIZE / 1.2 * sensor.BASELINE * (1 - 1 / 3) - 0.25)
    assert width >= 1
    assert unlit[:, 30 - width : 30].all()
    assert not unlit[:, : 30 - width - 1].any()
    assert not unlit[:, 30:].any()
    _, solids, surface = seen_scene(0)
    hole = sensor.missing_depth(
        camera, replace(surface, depth=depth), solids, np.full_like(surface.view, 0.5), np.random.default_rng(0)
    )
    assert hole[unlit].all()


def test_a_smooth_wall_is_measured_whole():
    camera = look((0, 0, 0), (0, 0, 1), 0.0, 0.6)
    depth = np.broadcast_to(np.linspace(1, 4, SIZE, dtype=np.float32), (SIZE, SIZE))
    assert not sensor._unlit(camera, depth).any()


def test_blotches_are_about_uniform():
    share = np.mean([sensor._blotches(np.random.default_rng(k), 100) < 0.3 for k in range(10)])
    assert abs(share - 0.3) < 0.02


def test_black_and_shiny_surfaces_lose_more_depth_than_others():
    lost = {True: [], False: []}
    for seed in range(10):
        scene, solids, surface = seen_scene(seed)
        for black in (True, False):
            colour = np.full((3, SIZE, SIZE), 0.0 if black else 0.5, np.float32)
            hole = sensor.missing_depth(scene.camera, surface, solids, colour, np.random.default_rng(seed))
            lost[black].append(hole.mean())
    assert np.mean(lost[True]) > 0.3 + np.mean(lost[False])


def test_what_is_too_near_or_too_far_is_not_measured():
    scene, solids, surface = seen_scene(0)
    colour = np.full((3, SIZE, SIZE), 0.5, np.float32)
    for metres, missing in ((0.3, 1.0), (0.4, 0.0), (7.4, 0.0), (7.6, 1.0)):
        flat = replace(surface, depth=np.full((SIZE, SIZE), metres, np.float32), normal=-surface.view)
        hole = sensor.missing_depth(scene.camera, flat, solids, colour, np.random.default_rng(0))
        assert abs(hole.mean() - missing) < 0.1


def test_labels_are_missing_in_part_of_the_outlines():
    outline = np.zeros((SIZE, SIZE), np.int64)
    outline[10:50, 10:50:3] = 1
    missing = np.mean([sensor.missing_labels(outline, np.random.default_rng(k)) for k in range(50)], axis=0)
    assert missing[5:-5, 5:-5][outline[5:-5, 5:-5] == 0].max() == 0
    assert abs(missing[outline == 1].mean() - 0.11) < 0.02


@pytest.mark.parametrize("size", [16, 64, 400])
def test_the_unlabelled_border_has_the_same_share_of_the_side_at_every_size(size):
    blank = np.zeros((size, size), np.int64)
    widths = []
    for k in range(400):
        missing = sensor.missing_labels(blank, np.random.default_rng(k))
        lines = missing.all(1), missing.all(1)[::-1], missing.all(0), missing.all(0)[::-1]
        widths += [int(np.argmin(line)) for line in lines]
        assert missing.sum() == size**2 - (size - widths[-4] - widths[-3]) * (size - widths[-2] - widths[-1])
    assert abs(np.mean(widths) / size - sensor.BORDER) < 0.1 * sensor.BORDER + 0.03 / size
    assert np.ptp(widths) == 1
