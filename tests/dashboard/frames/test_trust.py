from collections.abc import Callable

import pytest

from winnow.dashboard.frames import trust
from winnow.engine.runs.derived import DerivedJob

Make = Callable[..., DerivedJob]


def test_the_method_that_agrees_best_with_ablation_is_recommended(make_explained: Make) -> None:
    work = make_explained(methods=["taylor", "conductance"])
    frame = trust.method_trust(work).set_index("method")
    assert frame["recommended"].tolist() == [False, True]
    assert frame.loc["taylor", "least"] == pytest.approx(0.72)
    assert trust.recommended(work) == "conductance"


def test_without_ablation_nothing_is_recommended_and_the_badge_is_grey(make_explained: Make) -> None:
    work = make_explained(ablated=False)
    assert trust.recommended(work) is None
    assert trust.verdict(work, "taylor")[0] == "grey"


def test_the_badge_is_of_the_tasks_that_are_shown(make_explained: Make) -> None:
    work = make_explained()
    known = work.table("faithfulness")
    known.loc[(known["task"] == "seg") & (known["figure"] == "rank_correlation"), "value"] = 0.1
    known.to_parquet(work.path / "tables" / "faithfulness.parquet")
    assert trust.verdict(work, "taylor", ("seg",))[0] == "red"
    assert trust.verdict(work, "taylor", ("depth",))[0] == "green"


def test_relevance_stands_beside_the_effect_of_every_channel_switched_off(make_explained: Make) -> None:
    frame = trust.against(make_explained(), "taylor", "depth")
    assert len(frame) == 6
    assert (frame["effect"] / frame["relevance"]).tolist() == pytest.approx([0.1] * 6)


def test_random_orders_have_a_mean_and_a_range(make_explained: Make) -> None:
    frame = trust.deletion(make_explained(), "seg")
    own = frame[(frame["layer"] == "stem") & (frame["order"] == "random") & (frame["fraction"] == 0.5)].iloc[0]
    assert (own["loss_change"], own["low"], own["high"]) == pytest.approx((0.2, 0.15, 0.25))


def test_the_stages_of_shuffling_come_in_their_order(make_explained: Make) -> None:
    frame = trust.randomised(make_explained(), "taylor")
    assert frame.loc[frame["task"] == "seg", "stage"].tolist() == ["heads", "+ last quarter", "+ all shared"]
