import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from winnow.data.sample import DataError, Field, Sample
from winnow.data.validation import validate

FIELDS = {
    "seg": Field(kind="segmentation", classes=tuple("abc")),
    "depth": Field(kind="depth", unit="m"),
    "normals": Field(kind="normals"),
    "edges": Field(kind="edges"),
    "kind": Field(kind="classification", classes=("even", "odd")),
    "ink": Field(kind="regression"),
}


def sample(**changes):
    normals = np.zeros((4, 5, 3), np.float32)
    normals[1:, :, 2] = -1
    targets = {
        "seg": np.full((4, 5), -1, np.int8),
        "depth": np.ones((4, 5), np.float32),
        "normals": normals,
        "edges": np.ones((4, 5), np.uint8),
        "kind": np.asarray(1),
        "ink": np.asarray(0.5, np.float32),
    }
    image = changes.pop("image", np.zeros((4, 5, 3), np.uint8))
    return Sample(image, targets | changes)


def put(shape, dtype, value):
    out = np.zeros(shape, dtype)
    out[(2, 3) + (0,) * (len(shape) - 2)] = value
    return out


def test_a_sample_that_keeps_its_promise_comes_back_itself():
    good = sample()
    assert validate(good, FIELDS, "here") is good


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01])
def test_a_real_image_lies_in_the_unit_interval(value):
    with pytest.raises(DataError, match=r"here: `image` must be finite and in \[0, 1\]"):
        validate(sample(image=put((4, 5, 3), np.float32, value)), FIELDS, "here")


@pytest.mark.parametrize(
    ("part", "wrong", "message"),
    [
        ("image", np.zeros((4, 5), np.uint8), r"channels\), none of them 0, got shape \(4, 5\)"),
        ("image", np.zeros((0, 5, 3), np.uint8), r"got shape \(0, 5, 3\)"),
        ("image", np.zeros((4, 5, 3), np.float64), "uint8, or float32 .*, got float64"),
        ("image", None, "a numpy array, got NoneType"),
        ("seg", put((4, 5), np.int64, 3), r"`seg` must be integers from -1 to 2, got 3 at \(2, 3\)"),
        ("seg", put((4, 5), np.int64, -2), r"got -2 at \(2, 3\)"),
        ("seg", np.zeros((4, 5), np.float32), "integers from -1 to 2, got float32"),
        ("seg", np.zeros((5, 4), np.int8), r"of shape \(4, 5\), got shape \(5, 4\)"),
        ("depth", put((4, 5), np.float32, -1), r"at least 0 m, got -1 at \(2, 3\)"),
        ("depth", put((4, 5), np.float32, np.nan), r"finite, got nan at \(2, 3\)"),
        ("depth", np.zeros((4, 5), np.float64), "float32, got float64"),
        ("normals", put((4, 5, 3), np.float32, 0.9), r"vectors of norm 1 or 0, got 0.9 at \(2, 3\)"),
        ("normals", put((4, 5, 3), np.float32, 3e38), "norm 1 or 0"),
        ("edges", put((4, 5), np.uint8, 2), r"integers from -1 to 1, got 2 at \(2, 3\)"),
        ("kind", np.asarray(2), r"integers from -1 to 1, got 2\."),
        ("kind", np.zeros(1, np.int64), r"of shape \(\)"),
        ("ink", np.asarray(np.inf, np.float32), "finite, or NaN where it is missing, got inf"),
        ("ink", 2**70, "float32, got object"),
        ("ink", "much", "a numpy array, got str"),
    ],
)
def test_the_message_names_the_field_the_promise_and_the_culprit(part, wrong, message):
    with pytest.raises(DataError, match=message) as caught:
        validate(sample(**{part: wrong}), FIELDS, "scenes[3]")
    assert str(caught.value).startswith(f"scenes[3]: `{part}` must be ")


def test_a_missing_target_is_named():
    bare = Sample(np.zeros((4, 5, 3), np.uint8), {"seg": np.zeros((4, 5), np.int8)})
    with pytest.raises(DataError, match="`depth` must be among the targets, got seg"):
        validate(bare, FIELDS, "here")


def test_targets_that_are_no_field_are_left_alone():
    odd = sample(other="anything")
    assert validate(odd, FIELDS, "here") is odd


ANY_ARRAY = hnp.arrays(
    st.one_of(hnp.integer_dtypes(), hnp.floating_dtypes(), hnp.boolean_dtypes(), hnp.complex_number_dtypes()),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)
ANY_VALUE = st.one_of(
    ANY_ARRAY,
    st.none(),
    st.text(max_size=3),
    st.integers(),
    st.floats(),
    st.lists(st.lists(st.integers(), max_size=2), max_size=2),
)


@given(part=st.sampled_from(["image", *FIELDS]), value=ANY_VALUE)
def test_whatever_comes_in_nothing_but_a_data_error_comes_out(part, value):
    tried = sample(**{part: value})
    try:
        message = "" if validate(tried, FIELDS, "here") is tried else "another sample"
    except DataError as error:
        message = re.sub(r"^here: `\w+`", "", str(error))  # an image of another size makes a target wrong
    assert message == "" or message.startswith(" must be ")


@given(targets=st.one_of(st.none(), st.integers(), st.lists(st.text(max_size=2), max_size=3)))
def test_targets_are_a_mapping(targets):
    with pytest.raises(DataError, match="`targets` must be a mapping"):
        validate(Sample(np.zeros((4, 5, 3), np.uint8), targets), FIELDS, "here")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (
            np.zeros((3, 8, 9), np.uint8),
            r"got shape \(3, 8, 9\). Where channels come first: image.transpose\(1, 2, 0\)",
        ),
        (np.zeros((1, 28, 28), np.uint8), "Where channels come first"),
        (np.zeros((8, 9), np.uint8), r"Of a grey image: image\[:, :, None\]"),
        (np.zeros((8, 9, 3), np.uint16), r"got uint16. Give \(image / 65535\).astype\(np.float32\)"),
        (np.full((8, 9, 3), 200, np.float32), "Divide 8-bit values by 255"),
        ([[[0]]], "got list. Convert it with np.asarray"),
    ],
)
def test_an_image_of_another_form_is_refused_with_what_to_give(image: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        validate(Sample(image), {}, "mine[0]")


@pytest.mark.parametrize("shape", [(1, 1, 103), (1, 20, 6), (5, 8, 9), (3, 3, 3), (28, 28, 1)])
def test_small_images_and_sequences_are_no_channels_first(shape: tuple[int, ...]) -> None:
    assert validate(Sample(np.zeros(shape, np.uint8)), {}, "mine[0]").image.shape == shape


def test_depth_in_millimetres_and_labels_that_are_unknown_are_refused_with_what_to_give() -> None:
    fields = {"depth": Field(kind="depth", unit="m"), "seg": Field(kind="segmentation", classes=("a", "b"))}
    image, depth, seg = np.zeros((8, 9, 3), np.uint8), np.ones((8, 9), np.float32), np.zeros((8, 9), np.uint8)
    with pytest.raises(DataError, match=r"got uint16. Where it is in millimetres: \(depth / 1000\)"):
        validate(Sample(image, {"depth": depth.astype(np.uint16), "seg": seg}), fields, "mine[0]")
    with pytest.raises(DataError, match="got 255 .* Mark what is not labelled as -1"):
        validate(Sample(image, {"depth": depth, "seg": seg + 255}), fields, "mine[0]")
