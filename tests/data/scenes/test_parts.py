import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from winnow.data.scenes import decor, seating, storage
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import Label
from winnow.data.scenes.paints import uniform
from winnow.data.scenes.parts import ball, box, moved_part, placed, tube, turned

GREY = uniform((0.5, 0.5, 0.5))
PARTS = [
    box((-0.2, 0.6), (0, 1), (0, 0.3), Label.TABLE, GREY),
    ball((0.5, 0.2, -0.4), (0.1, 0.2, 0.3), Label.OBJECTS, GREY),
    tube((0, 0, 1), 0.5, (0.2, 0.1), Label.OBJECTS, GREY),
]


@given(quarters=st.integers(-9, 9), more=st.integers(-9, 9))
def test_quarter_turns_add_up(quarters, more):
    assert turned(turned(PARTS, quarters), more) == turned(PARTS, quarters + more)


@given(yaw=st.floats(-7, 7), x=st.floats(0, 5), z=st.floats(0, 5))
def test_a_placed_part_is_where_its_yaw_and_place_put_it(yaw, x, z):
    piece = placed(PARTS, x, z, yaw)
    assert abs(piece.yaw) <= math.pi / 4 + 1e-6
    for before, after in zip(PARTS, piece.parts, strict=True):
        a, _, c = before.centre
        expected = (x + a * math.cos(yaw) + c * math.sin(yaw), z - a * math.sin(yaw) + c * math.cos(yaw))
        u, _, w = after.centre
        cosine, sine = math.cos(piece.yaw), math.sin(piece.yaw)
        assert np.allclose((u * cosine + w * sine, w * cosine - u * sine), expected, atol=1e-4)


def test_moving_keeps_everything_but_the_place():
    for before, after in zip(PARTS, moved_part(PARTS, 1, 2, 3), strict=True):
        assert np.allclose(np.subtract(after.centre, before.centre), (1, 2, 3))
        assert after._replace(centre=before.centre) == before


@given(seed=st.integers(0, 10**6))
def test_furniture_stands_on_the_floor_in_front_of_its_back_within_its_width(seed):
    dice = Dice(np.random.default_rng(seed))
    pieces = [
        seating.bed(dice), seating.sofa(dice, 3), seating.dining_table(dice, 1.2, 0.7, 0.74), seating.desk(dice),
        storage.bookcase(dice), storage.cabinet(dice, 0.9, 0.5, 1.0), storage.refrigerator(dice),
        storage.kitchen_units(dice, 2.0), decor.floor_lamp(dice, True), decor.door(dice),
    ]  # fmt: skip
    for piece in pieces:
        low = np.min([np.subtract(p.centre, p.half) for p in piece.parts], axis=0)
        high = np.max([np.add(p.centre, p.half) for p in piece.parts], axis=0)
        assert low[1] >= -1e-9
        assert low[1] < 0.15
        assert low[2] >= -0.03
        assert high[2] <= piece.depth + 0.07
        assert max(-low[0], high[0]) <= piece.width / 2 + 0.03
