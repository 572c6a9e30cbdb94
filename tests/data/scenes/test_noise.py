import numpy as np

from winnow.data.scenes.noise import cell, cloud, white

GRID = np.meshgrid(np.arange(64), np.arange(64))
SEED = np.asarray(5)


def test_a_cell_is_the_whole_number_below():
    assert cell(np.array([-1.5, -0.0, 0.99, 2.0])).tolist() == [-2, 0, 0, 2]


def test_white_noise_is_uniform_and_neighbours_are_unrelated():
    values = white(*GRID, SEED)
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(values.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1]) < 0.05


def test_clouds_change_little_between_neighbours():
    values = cloud(*(axis.astype(np.float32) for axis in GRID), SEED)
    assert values.min() >= 0
    assert values.max() <= 1
    assert np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1] > 0.7


def test_another_seed_gives_other_noise():
    assert not np.array_equal(white(*GRID, SEED), white(*GRID, SEED + 1))
