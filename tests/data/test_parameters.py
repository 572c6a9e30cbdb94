import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.data.parameters import check_split, check_whole, checked_index


@pytest.mark.parametrize("split", ["all", "", None, 1])
def test_an_unknown_split_is_named(split):
    with pytest.raises(ValueError, match=f"`split` must be one of train, val, test, got {split!r}"):
        check_split(split)


@pytest.mark.parametrize("value", [2, 1.0, 4.5, True, "3", None, np.float32(4)])
def test_what_is_no_integer_or_too_small_is_refused(value):
    with pytest.raises(ValueError, match=r"`size` must be an integer, at least 3, got"):
        check_whole("size", value, 3)


@given(value=st.integers(3, 2**63 - 1))
def test_integers_of_every_kind_are_taken(value):
    check_whole("size", value, 3)
    check_whole("size", np.int64(value), 3)
    check_split("val")


@given(index=st.integers(-10, 10), length=st.integers(0, 8))
def test_an_index_is_within_the_length_and_never_counts_from_the_end(index, length):
    if 0 <= index < length:
        assert checked_index(np.int64(index), length) == index
        assert type(checked_index(np.int64(index), length)) is int
    else:
        with pytest.raises(IndexError, match=f"`index` must be from 0 to {length - 1}, got {index}"):
            checked_index(index, length)


def test_an_index_is_an_integer():
    with pytest.raises(TypeError):
        checked_index(1.0, 3)
