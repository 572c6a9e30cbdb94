import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.data.scenes.camera import look, rays, rectangles, to_camera

CAMERA = look((1.0, 1.5, 0.3), (2.2, 0.8, 4.0), 0.02, 0.6)


@given(roll=st.floats(-0.2, 0.2), height=st.floats(0.0, 2.5), side=st.floats(-2, 4))
def test_the_axes_are_orthonormal_and_look_at_the_target(roll, height, side):
    camera = look((1.0, 1.5, 0.3), (side, height, 4.0), roll, 0.6)
    axes = np.array([camera.right, camera.down, camera.forward])
    assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    toward = np.array([side - 1.0, height - 1.5, 3.7])
    assert np.allclose(axes[2], toward / np.linalg.norm(toward))
    assert camera.down[1] < 0


def test_a_ray_has_depth_one_and_the_slope_of_its_pixel():
    x, y, z = to_camera(CAMERA, rays(CAMERA, 8))
    ramp = ((2 * np.arange(8) + 1) / 8 - 1) * 0.6
    assert np.allclose(z, 1, atol=1e-6)
    assert np.allclose(x, ramp[None, :], atol=1e-6)
    assert np.allclose(y, ramp[:, None], atol=1e-6)


@pytest.mark.parametrize("size", [9, 64])
def test_the_rectangle_of_a_point_holds_the_pixel_whose_ray_meets_it(size):
    view = rays(CAMERA, size)
    for row, column in ((0, 0), (size // 2, 3), (size - 1, size - 1)):
        point = np.array(CAMERA.position) + 2.5 * view[:, row, column]
        top, bottom, left, right = rectangles(CAMERA, point[:, None, None], size)[0]
        assert top <= row < bottom
        assert left <= column < right


def test_what_is_behind_the_camera_covers_nothing_and_what_reaches_behind_may_cover_all():
    behind = np.array(CAMERA.position) - np.array(CAMERA.forward)
    ahead = np.array(CAMERA.position) + np.array(CAMERA.forward)
    both = np.stack([behind, ahead], 1)[:, None]
    assert rectangles(CAMERA, behind[:, None, None], 16).tolist() == [[0, 0, 0, 0]]
    assert rectangles(CAMERA, both, 16).tolist() == [[0, 16, 0, 16]]


def test_the_field_of_view_is_that_of_the_spread():
    edge = to_camera(CAMERA, rays(CAMERA, 1000))[0].max()
    assert math.isclose(edge, 0.6, rel_tol=2e-3)
