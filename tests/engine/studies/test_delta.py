"""Δ_m in its three definitions by numbers worked out by hand, and intervals against scipy."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from winnow.engine.studies.delta import DEFINITIONS, delta, delta_table, relative_gains
from winnow.engine.studies.intervals import mean_of

# task, metric, higher is better, main, baseline, value → gain
HAND = [
    ("seg", "miou", True, True, 40.0, 44.0, 10.0),
    ("seg", "pixel_accuracy", True, False, 80.0, 76.0, -5.0),
    ("depth", "abs_error", False, True, 0.5, 0.4, 20.0),
    ("depth", "rmse", False, False, 1.0, 1.3, -30.0),
    ("depth", "delta_1", True, False, 50.0, 60.0, 20.0),
    ("normals", "mean_angle", False, True, 20.0, 25.0, -25.0),
]
EXPECTED = {"main": (10 + 20 - 25) / 3, "task": (2.5 + 10 / 3 - 25) / 3, "metric": (10 - 5 + 20 - 30 + 20 - 25) / 6}


def hand() -> pd.DataFrame:
    columns = ["task", "metric", "higher_is_better", "main", "baseline", "value", "gain"]
    return pd.DataFrame(HAND, columns=columns)


def results() -> pd.DataFrame:
    """A multi-task run, and the single-task ones that it is held against."""
    rows = []
    for task, metric, higher, main, baseline, value, _ in HAND:
        cell = {"task": task, "metric": metric, "higher_is_better": higher, "main": main, "split": "test", "seed": 3}
        place = {"balancing": "equal", "level_of": "", "level": 0.0, "arm": "dense"}
        rows.append({**cell, **place, "subset": task, "run": f"run-{task}", "value": baseline})
        rows.append({**cell, **place, "subset": "seg+depth+normals", "run": "run-all", "value": value})
    return pd.DataFrame(rows)


def test_gains_by_hand():
    frame = hand()
    np.testing.assert_allclose(relative_gains(frame), frame["gain"])


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_delta_by_hand(definition: str):
    assert delta(hand(), definition) == pytest.approx(EXPECTED[definition])


def test_the_definitions_disagree_here():
    assert EXPECTED["main"] > 0 > EXPECTED["metric"]


def test_the_table_has_all_definitions_and_names_the_baselines():
    table = delta_table(results(), "task")
    own = table.query("run == 'run-all' and against == 'single'").set_index("definition")
    assert own["delta"].to_dict() == pytest.approx(EXPECTED)
    assert own["shown"].to_dict() == {"main": False, "task": True, "metric": False}
    assert set(own["baselines"]) == {"run-seg,run-depth,run-normals"}
    assert table.query("run == 'run-all' and against == 'dense'")["delta"].tolist() == [0.0] * 3


def test_without_a_baseline_there_is_no_delta():
    incomplete = results().query("subset != 'depth'")
    assert not len(delta_table(incomplete, "main").query("run == 'run-all' and against == 'single'"))
    other_seed = results().assign(seed=lambda frame: np.where(frame["subset"] == "seg", 4, 3))
    assert not len(delta_table(other_seed, "main").query("run == 'run-all' and against == 'single'"))


def test_a_baseline_of_zero_has_no_gain():
    frame = hand().assign(baseline=0.0)
    assert relative_gains(frame).isna().all()
    assert math.isnan(delta(frame.assign(gain=relative_gains(frame)), "main"))


def test_an_unknown_definition_is_refused():
    with pytest.raises(ValueError, match="`definition`"):
        delta(hand(), "best")


@settings(max_examples=50)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8), st.floats(0.5, 0.99))
def test_intervals_are_those_of_scipy(values: list[float], confidence: float):
    found = mean_of(values, confidence)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.std == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    if found.std > 1e-6:
        low, high = stats.t.interval(confidence, len(values) - 1, np.mean(values), stats.sem(values))
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-9)


def test_paired_differences_have_the_interval_of_the_paired_t_test():
    one, other = [1.0, 2.5, 2.0, 4.0], [0.5, 2.6, 1.0, 2.0]
    found = mean_of([a - b for a, b in zip(one, other, strict=True)])
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_one_value_has_a_mean_and_no_limits():
    found = mean_of([2.0])
    assert (found.mean, found.n, found.low, found.high) == (2.0, 1, -math.inf, math.inf)
    assert math.isnan(found.std)


@pytest.mark.parametrize(("values", "confidence"), [([], 0.95), ([1.0], 0.0), ([1.0], 1.0)])
def test_no_interval_of_nothing(values: list[float], confidence: float):
    with pytest.raises(ValueError, match="`values` must|`confidence` must"):
        mean_of(values, confidence)
