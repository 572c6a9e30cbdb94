from hypothesis import given
from hypothesis import strategies as st

from winnow.dashboard.figures.style import shortened


@given(name=st.text(max_size=60), length=st.integers(2, 60))
def test_a_name_keeps_its_end_and_no_more_than_the_length(name: str, length: int) -> None:
    said = shortened(name, length)
    assert said == name if len(name) <= length else len(said) == length
    assert name.endswith(said.removeprefix("…"))


def test_a_name_that_lost_its_start_says_so() -> None:
    assert shortened("trunk.layer4.conv2", 12) == "…ayer4.conv2"
