"""The map of deaths: every group once, the longest alive first, no epoch where a group lives."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.dashboard.figures.death_map import death_map

GROUP = st.tuples(st.sampled_from(["a", "<b>b</b>"]), st.sampled_from(["alive", "near", "dead"]), st.integers(-1, 9))


def frame(groups: list[tuple[str, str, int]]) -> pd.DataFrame:
    known = pd.DataFrame(groups, columns=["layer", "state", "last_alive"])
    last = known["last_alive"].where(known["state"] == "dead", 9).astype("Int64")
    return known.assign(channel=known.groupby("layer").cumcount(), last_alive=last.where(last >= 0))


@settings(max_examples=25, deadline=None)
@given(st.lists(GROUP, min_size=1, max_size=12))
def test_death_map(groups: list[tuple[str, str, int]]) -> None:
    known = frame(groups)
    figure = death_map(known)
    cells = [np.array(trace.z, float) for trace in figure.data]
    dead = known["state"] == "dead"
    assert np.isfinite(cells[0]).sum() == (~dead).sum()
    assert np.nansum(cells[0]) == (known["state"] == "near").sum()
    if dead.any():
        assert np.isfinite(cells[1]).sum() == dead.sum()
        assert not (np.isfinite(cells[0]) & np.isfinite(cells[1])).any()
        for row in cells[1]:
            died = row[np.isfinite(row)]
            assert (np.diff(died) <= 0).all()
    for name, row in zip(dict.fromkeys(known["layer"]), np.array(figure.data[0].customdata, float), strict=True):
        assert sorted(row[np.isfinite(row)]) == sorted(known.loc[known["layer"] == name, "channel"])
    assert figure.layout.yaxis.ticktext[0] in ("a", "&lt;b&gt;b&lt;/b&gt;")


def test_nothing_is_said_where_there_is_nothing() -> None:
    assert not death_map(frame([("a", "dead", 1)]).iloc[:0]).data
