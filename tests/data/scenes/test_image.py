import numpy as np

from winnow.data.scenes.image import _noise, photograph


def test_noise_has_mean_0_and_variance_1():
    noise = _noise(np.random.default_rng(0), (3, 200, 200))
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.01
    assert abs(noise.var() - 1) < 0.01


def test_exposure_makes_up_for_the_strength_of_the_light():
    light = np.random.default_rng(0).random((3, 32, 32), dtype=np.float32)
    dim = photograph(light * np.float32(0.1), np.random.default_rng(1)).astype(int)
    bright = photograph(light * np.float32(10), np.random.default_rng(1)).astype(int)
    assert np.abs(dim - bright).max() <= 1


def test_more_light_is_brighter_and_black_stays_dark():
    light = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[None, None], 3, 0).repeat(64, 1)
    means = photograph(light, np.random.default_rng(2)).mean((0, 2)).reshape(8, 8).mean(1)
    assert (np.diff(means) > 0).all()
    assert means[0] < 80
