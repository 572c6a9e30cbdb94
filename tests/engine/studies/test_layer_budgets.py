"""What a layer alone can lose: falls have the sign of worse, costs never shrink, suggestions keep within what costs."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.engine.studies.layer_budgets import SUGGESTED, cut_costs, suggested_budgets, with_falls

SHARES = (10.0, 50.0, 90.0)


def table(values: dict[str, dict[str, list[float]]], higher: dict[str, bool] | None = None) -> pd.DataFrame:
    """Return a table of {layer: {task: its metric at each of SHARES}}, the dense metric being 50."""
    better = higher or {}
    better = higher or {}
    rows = [
        [layer, 10, 2, share, max(2, int(share / 10)), share / 10, share / 5, task, "m", "%", *judged]
        for layer, by_task in values.items()
        for place, share in enumerate(SHARES)
        for task, own in by_task.items()
        for judged in [(better.get(task, True), 50.0, own[place])]
    ]
    names = ["layer", "channels", "unused", "share", "cut", "parameters", "macs", "task", "metric", "unit"]
    return with_falls(pd.DataFrame(rows, columns=[*names, "higher_is_better", "dense", "value"]))


def test_with_falls():
    found = table({"a": {"up": [49.0, 55.0, math.nan], "down": [49.0, 55.0, 100.0]}}, {"up": True, "down": False})
    assert found.loc[found.task == "up", "fall"].tolist() == pytest.approx([2.0, -10.0, math.inf])
    assert found.loc[found.task == "down", "fall"].tolist() == pytest.approx([-2.0, 10.0, 100.0])
    unknown = with_falls(found.drop(columns="fall").assign(dense=0.0))
    assert unknown["fall"].isna().all()


def test_cut_costs():
    found = cut_costs(table({"a": {"x": [49.5, 40.0, 45.0], "y": [50.0, 49.0, 10.0]}}))
    assert found.columns.tolist() == list(SUGGESTED)
    assert found["cost"].tolist() == pytest.approx([1.0, 20.0, 80.0])
    assert found["task"].tolist() == ["x", "x", "y"]
    assert cut_costs(table({"a": {"x": [49.5, 40.0, 45.0]}}))["cost"].tolist() == pytest.approx([1, 20, 20])  # no less
    assert cut_costs(table({"a": {"x": [60.0] * 3}}))["cost"].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="not 0 before the cut"):
        cut_costs(table({"a": {"x": [1.0] * 3}}).assign(fall=math.nan))


def test_suggested_budgets():
    found = suggested_budgets(
        table({"late": {"x": [49.9, 49.6, 10.0]}, "early": {"x": [40.0, 50.0, 50.0]}, "free": {"x": [50.0] * 3}}), 1.0
    ).set_index("layer")
    assert found.index.tolist() == ["late", "early", "free"]
    assert found["share"].tolist() == [50, 0, 90]  # beyond a share that costs too much none is suggested
    assert found.loc["early", ["cut", "macs", "cost"]].tolist() == [2, 0, 20]
    only = suggested_budgets(table({"a": {"x": [50.0] * 3, "y": [10.0] * 3}}), 1.0, ["x"])
    assert only["share"].tolist() == [90]


@given(st.lists(st.lists(st.floats(1, 100), min_size=3, max_size=3), min_size=1, max_size=4), st.floats(0, 50))
def test_more_tolerance_never_suggests_less(values: list[list[float]], tolerance: float):
    known = table({f"layer {place}": {"x": own} for place, own in enumerate(values)})
    less, more = (suggested_budgets(known, limit) for limit in (tolerance, 2 * tolerance + 1))
    assert (more["share"] >= less["share"]).all()
    tried = less[less["share"] > 0]
    assert (tried["cost"] <= tolerance).all()
