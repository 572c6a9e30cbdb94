"""Intersections against the definition: a point of the ray is inside between near and far, and only there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.data.scenes.parts import Shape
from winnow.data.scenes.solids import Body, beam, rotated, span, spans

SIDE = 24


def inside(solid, point):
    x, y, z = ((point[k] - solid.centre[k]) / solid.half[k] for k in range(3))
    if solid.shape == Shape.BOX:
        return np.maximum(np.maximum(abs(x), abs(y)), abs(z)) - 1
    if solid.shape == Shape.ELLIPSOID:
        return np.sqrt(x * x + y * y + z * z) - 1
    return np.maximum(np.sqrt(x * x + z * z) - (1 + solid.taper * y), abs(y) - 1)


@settings(max_examples=60)
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
    place = np.array((0.1, -0.2, 0.3), np.float32)[:, None, None]
    solid = Body(shape, place, np.array(half, np.float32)[:, None, None], np.float32(taper))
    near, far = span(solid._replace(centre=place - origin), beam(direction))
    for t in np.linspace(-3, 3, 41):
        away = inside(solid, origin + np.float32(t) * direction)
        within = (near < t) & (t < far)
        clear = np.abs(away) > 0.01
        assert np.array_equal(within[clear], (away < 0)[clear])


@given(seed=st.integers(0, 1000), counts=st.tuples(*[st.integers(0, 3)] * 3))
def test_many_solids_at_once_are_met_where_each_is_met_alone(seed, counts):
    generator = np.random.default_rng(seed)
    shapes = np.repeat([Shape.BOX, Shape.ELLIPSOID, Shape.FRUSTUM], counts)
    centre, direction = generator.uniform(-1, 1, (2, 3, len(shapes))).astype(np.float32)
    half = generator.uniform(0.2, 0.9, (3, len(shapes))).astype(np.float32)
    taper = generator.uniform(-0.9, 0.9, len(shapes)).astype(np.float32)
    near, far = spans(shapes, centre, half, taper, beam(direction))
    for k, shape in enumerate(shapes):
        only = slice(k, k + 1)
        alone = span(Body(shape, centre[:, only], half[:, only], taper[only]), beam(direction[:, only]))
        assert (near[k], far[k]) == pytest.approx((alone[0][0], alone[1][0]), rel=1e-4)


@given(yaw=st.floats(-0.8, 0.8), vector=st.tuples(*[st.floats(-5, 5, width=32)] * 3))
def test_turning_keeps_lengths_and_heights_and_can_be_undone(yaw, vector):
    vector = np.array(vector, np.float32)
    cosine, sine = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    out = rotated(vector, cosine, sine)
    assert out[1] == vector[1]
    assert np.linalg.norm(out) == pytest.approx(np.linalg.norm(vector), abs=1e-4)
    assert rotated(out, cosine, -sine) == pytest.approx(vector, abs=1e-4)
