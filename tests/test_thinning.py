"""A matrix of cases that is spread keeps each value, and leaves the others to the studies."""

import pytest

from tests.thinning import spread


def test_spread_keeps_each_value_and_drops_no_case():
    cases = spread(3, "abcde", [("x", 1), ("x", 2), ("y", 1), ("y", 2)])
    assert len({case.values for case in cases}) == 20
    kept = [case.values for case in cases if not case.marks]
    assert len(kept) == 7
    assert {name for name, *_ in kept} == set("abcde")
    assert {tuple(pair) for _, *pair in kept} == {("x", 1), ("x", 2), ("y", 1), ("y", 2)}
    assert all([mark.name for mark in case.marks] == ["study"] for case in cases if case.values not in kept)


def test_a_value_that_would_be_in_no_case_is_refused():
    with pytest.raises(ValueError, match="`every` must leave each value in a case, got 5"):
        spread(5, "ab", "xy")
