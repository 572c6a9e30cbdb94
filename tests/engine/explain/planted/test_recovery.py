"""The figures are 1 for the truth itself, and at chance for channels dealt out anew."""

import numpy as np
import pandas as pd
import pytest

from tests.engine.explain.planted.recovery import recovery, relabelled
from tests.engine.explain.planted.wiring import TASKS, truth, wiring


@pytest.fixture(scope="module")
def known() -> pd.DataFrame:
    plan = wiring(3)
    return pd.concat([truth(s, f"l{i}") for i, s in enumerate(plan.stages)], ignore_index=True)


def frame(known: pd.DataFrame, noise: float) -> pd.DataFrame:
    """Return relevances that are 1 where a task uses a channel, plus noise."""
    chance = np.random.default_rng(0)
    rows = [
        (task, layer, channel, float(task in tasks.split("+")) + noise * chance.random())
        for task in TASKS
        for layer, channel, tasks in zip(known["layer"], known["channel"], known["used_by"], strict=True)
    ]
    return pd.DataFrame(rows, columns=["task", "layer", "channel", "relevance"])


def value(found: pd.DataFrame, figure: str, layer: str = "") -> float:
    return found[(found["layer"] == layer) & (found["figure"] == figure)]["value"].item()


def test_the_truth_is_recovered_from_itself(known: pd.DataFrame):
    found = recovery(known, frame(known, 0.1), known)
    assert found["value"].eq(1).all()
    assert found["layer"].unique().tolist() == ["", "l0", "l1", "l2"]


def test_dealt_out_anew_it_is_met_by_chance(known: pd.DataFrame):
    figures = [recovery(known, frame(known, 0.1), relabelled(known, seed)) for seed in range(20)]
    expected = known.groupby("layer")["label"].apply(lambda own: own.value_counts(normalize=True).pow(2).sum()).mean()
    assert np.mean([value(found, "label_accuracy") for found in figures]) == pytest.approx(expected, abs=0.03)
    assert np.mean([value(found, "use_auroc") for found in figures]) == pytest.approx(0.5, abs=0.05)


def test_dealing_keeps_every_layers_channels(known: pd.DataFrame):
    dealt = relabelled(known, 0)
    for column in ("label", "used_by"):
        one, other = (f.groupby("layer")[column].value_counts().sort_index() for f in (dealt, known))
        assert one.equals(other)
    assert dealt[["layer", "channel"]].equals(known[["layer", "channel"]])


def test_a_layer_that_all_tasks_use_has_no_area(known: pd.DataFrame):
    every = known[known["layer"] == "l1"].assign(used_by="+".join(TASKS))
    found = recovery(every, frame(every, 0.1), every)
    assert np.isnan(value(found, "use_auroc", "l1"))


def test_a_channel_without_a_label_is_refused(known: pd.DataFrame):
    with pytest.raises(ValueError, match="must hold all .* channels of the truth"):
        recovery(known.iloc[1:], frame(known, 0.0), known)
