from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.dashboard.figures.style import COLOURS, LETTER, NEUTRAL, empty, evenly, mark, panels, styles, thinned, xy


@given(st.integers(1, 5000), st.integers(0, 2**31))
def test_thinning_keeps_peaks_order_and_the_last_row(rows: int, seed: int) -> None:
    frame = pd.DataFrame({"at": np.arange(rows), "v": np.random.default_rng(seed).normal(size=rows)})
    kept = thinned(frame, "v", 200)
    assert len(kept) <= 200
    assert kept["at"].is_monotonic_increasing
    assert kept["at"].iloc[-1] == rows - 1
    assert (kept["v"].min(), kept["v"].max()) == (frame["v"].min(), frame["v"].max())


def test_a_long_gap_is_thinned_too() -> None:
    frame = pd.DataFrame({"at": np.arange(4000), "v": np.nan})
    assert len(thinned(frame, "v", 100)) <= 100


def test_curves_travel_in_four_bytes_a_number() -> None:
    drawn = xy(pd.DataFrame({"at": [0.0, 1.0], "v": [1.0, 2.0]}), "v")
    assert {values.dtype for values in drawn.values()} == {np.dtype(np.float32)}


def test_a_task_looks_the_same_whichever_others_are_trained() -> None:
    looks = styles([f"task {i}" for i in range(16)])
    assert [looks[f"task {i}"].colour for i in range(4)] == list(COLOURS)
    assert len({(look.colour, look.dash, look.marker) for look in looks.values()}) == 16


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#FFFFFF", "#0E1117"])
@pytest.mark.parametrize("colour", [*COLOURS, NEUTRAL])
def test_colours_of_data_read_on_both_themes(colour: str, page: str) -> None:
    assert _contrast(colour, page) >= 3.0


def test_an_empty_figure_says_why() -> None:
    assert empty("no <data> yet").layout.annotations[0].text == "no &lt;data&gt; yet"


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_names_of_events_never_lie_on_one_another_and_none_is_lost_silently(moments: list[float]) -> None:
    figure = panels()
    mark(figure, [(at, "λ = 1e-3") for at in moments], (0.0, 10.0))
    notes = [note for note in figure.layout.annotations if note.xref == "x"]
    width = len("λ = 1e-3") * LETTER * 10
    for one, other in combinations(notes, 2):
        assert one.yshift != other.yshift or abs(one.x - other.x) >= width - 1e-9
    said = [int(note.text.split()[0]) for note in figure.layout.annotations if note.xref == "paper"]
    assert len(notes) + sum(said) == len(moments)
    assert len(figure.layout.shapes) == len(moments)


@pytest.mark.parametrize(
    ("whole", "most", "places"), [(1, 12, [0]), (3, 12, [0, 1, 2]), (9, 3, [0, 4, 8]), (12, 5, [0, 3, 6, 8, 11])]
)
def test_evenly_takes_the_first_the_last_and_as_many_between_as_there_may_be(
    whole: int, most: int, places: list[int]
) -> None:
    assert evenly(whole, most).tolist() == places
