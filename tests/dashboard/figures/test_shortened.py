from hypothesis import given
from hypothesis import strategies as st

from winnow.dashboard.figures.style import middled, shortened


@given(name=st.text(max_size=60), length=st.integers(2, 60))
def test_a_name_keeps_its_end_and_no_more_than_the_length(name: str, length: int) -> None:
    said = shortened(name, length)
    assert said == name if len(name) <= length else len(said) == length
    assert name.endswith(said.removeprefix("…"))


@given(name=st.text(st.characters(max_codepoint=0x2000), max_size=60), length=st.integers(4, 60))
def test_the_name_of_a_task_keeps_both_ends(name: str, length: int) -> None:
    said = middled(name, length)
    assert said == name if len(name) <= length else len(said) == length
    first, _, last = said.partition("…") if said != name else (name, "", "")
    assert name.startswith(first)
    assert name.endswith(last)


def test_a_name_that_lost_its_start_says_so() -> None:
    assert shortened("trunk.layer4.conv2", 12) == "…ayer4.conv2"
