"""What stored circuits say: the badge, the sentence, sets of edges, and two explanations compared. No torch."""

import numpy as np
import pandas as pd
import pytest

from winnow.engine.explain.circuits.tables import (
    FIGURES,
    OVERLAPS,
    circuit_agreement,
    circuit_verdict,
    circuits_answer,
    task_sets_of_edges,
)


def figures(**changed: float) -> pd.DataFrame:
    own = dict.fromkeys(FIGURES, 0.0) | {"task": "depth", "level": 0.95, "edges": 100, "kept": 14, "share": 0.14}
    own |= {"faithfulness": 0.94, "low": 0.9, "high": 0.97, "completeness": 0.9, "random": 0.1, "images": 16}
    return pd.DataFrame([own | {"task": "seg", "share": 0.2}, own | changed])


@pytest.mark.parametrize(
    ("changed", "colour"),
    [
        ({}, "green"),
        ({"faithfulness": 0.85}, "amber"),
        ({"faithfulness": 0.6}, "red"),
        ({"random": 0.6}, "amber"),
        ({"completeness": 0.4}, "amber"),
        ({"missed": 0.2}, "amber"),
    ],
)
def test_the_badge_is_that_of_the_weakest_task(changed: dict[str, float], colour: str):
    found, said = circuit_verdict(figures(**changed))
    assert found == colour
    assert "95 % wanted" in said


def test_without_circuits_nothing_is_claimed():
    assert circuit_verdict(pd.DataFrame(columns=FIGURES))[0] == "grey"
    empty = pd.DataFrame(columns=FIGURES), pd.DataFrame(columns=OVERLAPS)
    assert circuits_answer(*empty, ["seg"]) == "No circuits were requested in this explanation."


def test_the_answer_says_how_few_edges_and_who_shares():
    rows = [(0.95, "", "seg", "depth", 0.61, 0.55, 0.67, 0.1, 0.7, 0.8), (0.95, "a", "seg", "depth", *[0.9] * 6)]
    said = circuits_answer(figures(), pd.DataFrame(rows, columns=OVERLAPS), ["seg", "depth"])
    assert "20 % for seg and 14 % for depth" in said
    assert "seg and depth: 61 % of the edges that either keeps (55 % to 67 %; 10 % by chance)" in said
    alone = circuits_answer(figures(), pd.DataFrame(columns=OVERLAPS), ["depth"])
    assert alone == "95 % of the loss change of depth runs over 14 % of the edges."


def table(kept: dict[str, list[int]], alive: int = 4, layer: str = "a") -> pd.DataFrame:
    rows = [
        (task, layer, source, 0, 0.1 * source, source in own, source in own, True)
        for task, own in kept.items()
        for source in range(alive)
    ]
    return pd.DataFrame(
        rows, columns=["task", "layer", "source", "destination", "score", "kept_90", "kept_95", "shared"]
    )


def test_sets_of_edges_name_exactly_the_tasks_that_keep_them():
    found = task_sets_of_edges(table({"seg": [0, 1], "depth": [1, 2]}), "kept_95")
    assert found.set_index("source")["tasks"].to_dict() == {0: "seg", 1: "seg+depth", 2: "depth"}
    assert found["size"].tolist() == [1, 2, 1]


def test_before_and_after_zeros_are_compared_edge_by_edge():
    dense, sparse = table({"seg": [0, 1, 3]}), table({"seg": [1, 2]}, alive=3)
    found = circuit_agreement(dense, sparse, same_channels=True, level=0.95).set_index("layer")
    whole = found.loc[""]
    assert whole["jaccard"] == pytest.approx(1 / 4)
    assert (whole["one_in_other"], whole["other_in_one"]) == pytest.approx((1 / 3, 1 / 2))
    assert whole["dead_in_other"] == pytest.approx(1 / 3)
    assert list(found.index) == ["", "a"]


def test_two_seeds_are_compared_by_shares_only():
    found = circuit_agreement(table({"seg": [0]}), table({"seg": [1, 2]}), same_channels=False, level=0.95)
    assert found["one_share"].tolist() == [0.25, 0.25]
    assert found["other_share"].tolist() == [0.5, 0.5]
    assert np.isnan(found["jaccard"]).all()


def test_what_cannot_be_compared_is_refused_by_name():
    one, two = table({"seg": [0]}), table({"seg": [0]}, layer="b")
    with pytest.raises(ValueError, match="other layers: a, b"):
        circuit_agreement(one, two, same_channels=False, level=0.95)
    with pytest.raises(ValueError, match="must have a task of `one`, seg, got none"):
        circuit_agreement(one, table({"depth": [0]}), same_channels=False, level=0.95)
    with pytest.raises(ValueError, match="`one` must be a table `circuits` with kept_50"):
        circuit_agreement(one, one, same_channels=True, level=0.5)
    with pytest.raises(ValueError, match="`same_channels` must be False where channels do not correspond"):
        circuit_agreement(one[one["source"] > 0], one[one["source"] < 3], same_channels=True, level=0.95)
