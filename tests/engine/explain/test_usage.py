"""Shares, labels and overlaps follow their rules on relevances that are known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.engine.explain.checks.overlap import survivor_overlap
from winnow.engine.explain.usage import (
    layer_usage,
    relevance_arrays,
    surely_led,
    task_overlaps,
    tasks_of,
    usage,
)

TASKS = ("a", "b", "c")


def frame(values: dict[str, list[list[float]]], width: float = 0.0) -> pd.DataFrame:
    """Return the relevances {layer: [one list per channel, one number per task]}; each ± width of itself."""
    rows = [
        (task, layer, channel, own[t], own[t] * (1 - width), own[t] * (1 + width))
        for t, task in enumerate(TASKS)
        for layer, channels in values.items()
        for channel, own in enumerate(channels)
    ]
    return pd.DataFrame(rows, columns=["task", "layer", "channel", "relevance", "low", "high"])


KNOWN = {"l": [[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0], [1e-6, 1e-6, 1e-6], [0, 1, 2]]}


def test_labels_of_known_relevances():
    used = usage(frame(KNOWN))
    assert used["label"].tolist() == ["a", "shared", "shared", "dead", "idle", "shared"]
    assert used["used_by"].tolist() == ["a", "a+b", "b+c", "", "", "b+c"]
    assert list(used.columns[:8]) == ["layer", "channel", *(f"share_{t}" for t in TASKS), "entropy", "total", "label"]
    assert used["total"].sum() == pytest.approx(1)
    assert used["entropy"][0] == 0
    assert used["entropy"][4] > 0.95
    assert used.loc[3, ["share_a", "entropy"]].isna().all()


def test_surely_led():
    assert surely_led(usage(frame(KNOWN))).tolist() == ["a", "a", "b", "", "", "c"]  # of two alike, the first
    assert surely_led(usage(frame(KNOWN, width=0.9))).tolist()[1:5] == ["", "", "", ""]  # nobody is sure to have 1/3
    alone = usage(frame({"l": [[1.0, 0, 0], [0, 0, 0]]}).query("task == 'a'"))
    assert surely_led(alone).tolist() == ["a", ""]
    assert surely_led(usage(frame(KNOWN)).iloc[:0]).tolist() == []


def test_uncertainty_counts_as_use():
    values = {"l": [[1, 0.1, 0], [1, 1, 1]]}
    assert usage(frame(values))["label"][0] == "a"
    assert usage(frame(values, width=0.6))["label"][0] == "shared"


def test_noise_decides_what_is_idle():
    quiet = {"l": [[1, 1, 1], [0.02, 0.02, 0.02], [1, 0, 0]]}
    assert usage(frame(quiet))["label"].tolist() == ["shared", "idle", "a"]
    flat = {"l": [[1, 1, 1], [1, 1, 1], [1, 1, 1]]}
    assert usage(frame({"l": [[1, 1, 1], [0.2, 0.2, 0.2], [1, 0, 0]]}), frame(flat))["label"][1] == "idle"


def test_one_task_uses_what_it_relies_on():
    own = frame(KNOWN).query("task == 'a'")
    assert usage(own)["label"].tolist() == ["a", "a", "dead", "dead", "idle", "dead"]


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.floats(0, 1e3, allow_subnormal=False), min_size=3, max_size=3), min_size=1, max_size=6),
    st.floats(0, 1, allow_subnormal=False),
)
def test_shares_are_parts_of_one_and_lie_in_their_intervals(values: list[list[float]], width: float):
    used = usage(frame({"l": values}, width)).query("label != 'dead'")
    shares = used[[f"share_{task}" for task in TASKS]]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    for task in TASKS:
        assert (used[f"low_share_{task}"] <= used[f"share_{task}"] + 1e-9).all()
        assert (used[f"share_{task}"] <= used[f"high_share_{task}"] + 1e-9).all()
    assert used["entropy"].between(0, 1 + 1e-9).all()


def test_layers_count_and_weigh():
    used = usage(frame({**KNOWN, "m": [[1, 0, 0]] * 3}))
    found = layer_usage(used)
    assert found.query("layer == 'l' and label == 'all'")["channels"].item() == 6
    assert found.query("layer == 'l' and label != 'all'")["part"].sum() == pytest.approx(1)
    assert found.query("layer == 'm' and label == 'a'")["share_a"].item() == 1
    assert found.query("label == 'all'")["total"].sum() == pytest.approx(1)
    assert found["depth"].tolist() == [0] * 7 + [1] * 7


def test_overlaps_count_every_set_of_tasks():
    found = task_overlaps(usage(frame(KNOWN)))
    whole = found[found["layer"] == ""].set_index("tasks")["channels"]
    assert whole.to_dict() == {"a": 1, "b": 0, "c": 0, "a+b": 1, "a+c": 0, "b+c": 2, "a+b+c": 0}
    assert len(found) == 2 * 7


def test_tasks_with_awkward_names_are_found():
    odd = frame(KNOWN).replace({"task": {"a": "low_b", "c": "x+y"}})
    assert tasks_of(usage(odd)) == ("low_b", "b", "x+y")


def test_a_frame_that_is_no_relevance_of_one_method_is_refused():
    with pytest.raises(ValueError, match="got none of high"):
        relevance_arrays(frame(KNOWN).drop(columns="high"))
    with pytest.raises(ValueError, match="one row for every task and cell"):
        usage(pd.concat([frame(KNOWN), frame(KNOWN)]))
    with pytest.raises(ValueError, match="one row for every task and cell"):
        usage(frame(KNOWN).iloc[:-1])


def groups(alive: dict[str, list[int]]) -> pd.DataFrame:
    rows = [(layer, c, float(on)) for layer, own in alive.items() for c, on in enumerate(own)]
    return pd.DataFrame(rows, columns=["layer", "channel", "norm"])


def test_masks_of_runs_overlap_by_depth():
    runs = {
        "a": groups({"first": [1, 1, 0, 0], "second": [1, 1, 0, 0]}),
        "b": groups({"first": [1, 1, 0, 0], "second": [0, 0, 1, 0]}),
        "both": groups({"first": [1, 1, 1, 1], "second": [1, 1, 1, 0]}),
    }
    found = survivor_overlap(runs).set_index(["layer", "one", "other"])
    assert found.loc[("first", "a", "b"), "jaccard"] == 1
    assert found.loc[("second", "a", "b"), "jaccard"] == 0
    assert found.loc[("second", "a", "both"), "one_in_other"] == 1
    assert found.loc[("second", "a", "both"), "other_in_one"] == pytest.approx(2 / 3)
    assert found.loc[("first", "a", "b"), "chance"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="the same network"):
        survivor_overlap({"a": runs["a"], "b": groups({"first": [1]})})
