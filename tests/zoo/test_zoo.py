"""Public architectures: grouped, compacted exactly, never silently wrong; the rest pinned or refused by name."""

import pytest

from tests.zoo.catalogue import QUICK, ZOO
from tests.zoo.hugging import hugging
from tests.zoo.measuring import measure


@pytest.mark.parametrize("name", QUICK)
def test_all_that_is_zero_goes_and_the_rest_is_exact(name: str):
    row = measure(name)
    assert row.exact
    assert row.removed == row.zero
    assert row.zero.total() >= 0.3 * row.groups.total() > 0
    assert row.after < 0.75 * row.before
    assert row.compared >= 3


@pytest.mark.study
def test_the_zoo(monkeypatch: pytest.MonkeyPatch):
    for name, architecture in hugging().items():
        monkeypatch.setitem(ZOO, name, architecture)
    rows = [measure(name) for name in ZOO]
    assert len(rows) >= 80
    assert sum(row.traced for row in rows) >= 0.95 * len(rows)
    assert sum(row.exact for row in rows) >= 0.9 * len(rows)
    assert all(row.refused or row.removed == row.zero or row.pinned for row in rows)
