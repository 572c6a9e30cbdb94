import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.dashboard.figures import pictures
from winnow.dashboard.shared.targets import target_shown
from winnow.data.sample import Field


def test_images_of_one_and_three_channels_and_of_floats_are_pictures() -> None:
    grey = pictures.image(np.full((2, 3, 1), 0.5, np.float32))
    assert grey.shape == (2, 3, 3)
    assert grey.dtype == np.uint8
    assert (grey == 128).all()
    assert (pictures.image(np.full((2, 2, 3), 7, np.uint8)) == 7).all()


def test_every_class_has_a_colour_and_what_is_missing_is_grey() -> None:
    field = Field(kind="segmentation", classes=tuple(map(str, range(13))))
    shown = pictures.dense(np.arange(-1, 13).reshape(2, 7), field)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 14
    assert (shown[0, 0] == pictures.MISSING).all()


def test_depth_is_on_a_scale_that_can_be_shared_by_target_and_prediction() -> None:
    field = Field(kind="depth", unit="m")
    values = np.array([[0.0, 1.0, 2.0]], np.float32)
    assert (pictures.dense(values, field)[0, 0] == pictures.MISSING).all()
    alone, shared = pictures.dense(values, field), pictures.dense(values, field, (1.0, 4.0))
    assert (alone[0, 1] == shared[0, 1]).all()
    assert (alone[0, 2] != shared[0, 2]).any()


def test_a_map_of_numbers_may_be_negative_and_is_grey_where_it_is_missing() -> None:
    values = np.array([[-2.0, 4.0], [np.nan, -2.0]], np.float32)
    shown = pictures.dense(values, Field(kind="map", unit="°C"))
    assert (shown[0, 0] == shown[1, 1]).all()
    assert (shown[0, 0] != shown[0, 1]).any()
    assert (shown[1, 0] == pictures.MISSING).all()


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        (Field(kind="multilabel", classes=("dog", "cat", "tree")), np.array([1, -1, 1]), "dog, tree"),
        (Field(kind="multilabel", classes=("dog", "cat", "tree")), np.array([0.2, 0.4, 0.1]), "none"),
        (Field(kind="vector", classes=("yaw", "pitch"), unit="°"), np.array([1.5, np.nan]), "yaw 1.5°"),
        (Field(kind="regression", unit="m"), np.array(np.nan), "not known"),
        (Field(kind="vector", classes=("yaw", "pitch"), unit="°"), np.array([np.nan, np.nan]), "not known"),
        (Field(kind="multilabel", classes=("dog", "cat", "tree")), np.array([-1, -1, -1]), "not known"),
        (Field(kind="classification", classes=("a", "b")), np.array(-1), "not known"),
    ],
)
def test_what_is_no_picture_is_said_in_words(field: Field, value: np.ndarray, text: str) -> None:
    assert target_shown(value, field, None, (8, 8)) == text


def test_normals_and_edges_are_pictures_too() -> None:
    normals = np.array([[[0, 0, 0], [0, 0, -1.0]]], np.float32)
    shown = pictures.dense(normals, Field(kind="normals"))
    assert shown.tolist() == [[pictures.MISSING.tolist(), [128, 128, 0]]]
    edges = pictures.dense(np.array([[0, 1, -1]]), Field(kind="edges"))
    assert edges[0, :, 0].tolist() == [0, 255, pictures.MISSING[0]]


def test_a_map_leaves_the_image_where_it_is_zero_and_covers_it_where_it_is_largest() -> None:
    picture = np.full((4, 4, 3), 200, np.uint8)
    shown = pictures.overlaid(picture, np.array([[0.0, 2.0]]), 2.0)
    assert (shown[:, :2] == 185).all()
    assert shown[0, 3].tolist() == [254, 232, 56]
    assert (pictures.overlaid(picture, np.zeros((2, 2)), 0.0) == 185).all()


def test_strokes_lie_only_where_a_channel_is_silent() -> None:
    picture = np.full((64, 64, 3), 200, np.uint8)
    shown = pictures.struck(picture, np.array([[True, False]]))
    assert (shown[:, 32:] == 200).all()
    assert (shown[:, :32] != 200).all()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
def test_a_map_keeps_its_corners_at_any_size(h: int, w: int, height: int, width: int) -> None:
    values = np.arange(h * w, dtype=float).reshape(h, w)
    found = pictures.resized(values, (height, width))
    assert found.shape == (height, width)
    assert set(found.ravel()) <= set(values.ravel())
    if height >= h and width >= w:
        assert (found[0, 0], found[-1, -1]) == (values[0, 0], values[-1, -1])


@pytest.mark.parametrize(("side", "factor"), [(8, 32), (64, 4), (224, 1), (512, 1)])
def test_small_pictures_are_enlarged_by_whole_factors(side: int, factor: int) -> None:
    shown = pictures.enlarged(np.zeros((side, side, 3), np.uint8))
    assert shown.shape == (side * factor, side * factor, 3)
