import pytest

from winnow.data.sample import DataError, Field


@pytest.mark.parametrize("kind", ["segmentation", "depth", "normals", "edges"])
def test_a_field_with_a_value_at_every_pixel_is_dense(kind):
    assert Field(kind=kind).dense


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_field_with_one_value_per_image_is_not_dense(kind):
    assert not Field(kind=kind).dense


def test_a_data_error_says_where_what_was_expected_and_what_was_found():
    error = DataError("scenes[3]", "seg", "integers from -1 to 12", "13 at (4, 7)")
    assert str(error) == "scenes[3]: `seg` must be integers from -1 to 12, got 13 at (4, 7)."


@pytest.mark.parametrize("found", ["a\nb", "a \r\n b", "a\x1b[31mb", "\u202eab", "\x00", "  "])
def test_a_data_error_is_one_line_without_control_characters(found):
    assert str(DataError("x.png", "content", "whole", found)).isprintable()


def test_a_data_error_is_a_value_error():
    assert issubclass(DataError, ValueError)


def test_bytes_of_a_damaged_file_show_as_replacement_characters():
    assert "got a\ufffdb \U0001f469\u200d\U0001f52c." in str(
        DataError("x", "y", "whole", "a\x1bb\n\U0001f469\u200d\U0001f52c")
    )
