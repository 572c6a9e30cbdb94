import numpy as np

from data.scenes import sensor
from data.scenes.camera import look
from data.scenes.dice import Dice
from data.scenes.rooms import draw
from data.scenes.scene import table
from data.scenes.visibility import seen

SIZE = 64


def seen_scene(seed):
    scene = draw(Dice(np.random.default_rng(seed)))
    solids = table(scene)
    return scene, solids, seen(scene, solids, SIZE)


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


def test_labels_are_missing_on_outlines_and_the_border_only():
    outline = np.zeros((SIZE, SIZE), np.uint8)
    outline[10:50, 10:50:3] = 1
    missing = sensor.missing_labels(outline, np.random.default_rng(0))
    assert not missing[1:-1, 1:-1][outline[1:-1, 1:-1] == 0].any()
    assert 0.05 < missing[10:50, 10:50:3].mean() < 0.3
    assert missing[0].all()
