"""Intersections against the definition: a point of the ray is inside between near and far, and only there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.scenes.parts import Shape
from data.scenes.solids import Body, beam, span, turned

SIDE = 24


def body(shape, centre, half, taper):
    low = np.array(centre, np.float32) - np.array(half, np.float32)
    high = np.array(centre, np.float32) + np.array(half, np.float32)
    return Body(shape, low[:, None, None], high[:, None, None], list(centre), list(half), taper)


def inside(solid, point):
    x, y, z = ((point[k] - solid.centre[k]) / solid.half[k] for k in range(3))
    if solid.shape == Shape.BOX:
        return np.maximum(np.maximum(abs(x), abs(y)), abs(z)) - 1
    if solid.shape == Shape.ELLIPSOID:
        return np.sqrt(x * x + y * y + z * z) - 1
    return np.maximum(np.sqrt(x * x + z * z) - (1 + solid.taper * y), abs(y) - 1)


@settings(deadline=None, max_examples=60)
@given(
    shape=st.sampled_from([Shape.BOX, Shape.ELLIPSOID, Shape.FRUSTUM]),
    half=st.tuples(*[st.floats(0.05, 0.8)] * 3),
    taper=st.floats(-0.9, 0.9),
    seed=st.integers(0, 1000),
)
def test_a_ray_is_inside_a_solid_between_near_and_far(shape, half, taper, seed):
    half = (half[0], half[1], half[0]) if shape == Shape.FRUSTUM else half
    generator = np.random.default_rng(seed)
    origin = generator.uniform(-2, 2, (3, SIDE, SIDE)).astype(np.float32)
    direction = generator.uniform(-1, 1, (3, SIDE, SIDE)).astype(np.float32)
    solid = body(shape, (0.1, -0.2, 0.3), half, taper)
    near, far = span(solid, beam(origin, direction), [0, SIDE, 0, SIDE])
    for t in np.linspace(-3, 3, 41):
        away = inside(solid, origin + np.float32(t) * direction)
        within = (near < t) & (t < far)
        clear = np.abs(away) > 0.01
        assert np.array_equal(within[clear], (away < 0)[clear])


@given(yaw=st.floats(-0.8, 0.8), vector=st.tuples(*[st.floats(-5, 5, width=32)] * 3))
def test_turning_keeps_lengths_and_heights(yaw, vector):
    vector = np.array(vector, np.float32)
    out = turned(vector, yaw)
    assert out[1] == vector[1]
    assert np.linalg.norm(out) == pytest.approx(np.linalg.norm(vector), abs=1e-4)
