"""Budgets are met by the fewest units, in the order of their scores, and no layer dies."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.graph.zoo import build
from winnow.engine.pruning import compact
from winnow.engine.pruning.budget import Budget, choose
from winnow.engine.pruning.latency_budget import Timed
from winnow.engine.pruning.masking import silence
from winnow.engine.pruning.ranking import Ranking
from winnow.engine.pruning.scores import norm_scores
from winnow.engine.pruning.units import Units, units
from winnow.engine.pruning.what_if import WhatIf

NETS = ("ours basic", "vgg", "densenet", "mobilenet v3", "splits", "grouped")
FOUND = {name: units(*build(name)) for name in NETS}


@settings(max_examples=16)
@given(
    st.sampled_from(NETS),
    st.sampled_from(["group", "parameter", "mac"]),
    st.floats(5, 60),
    st.integers(0, 1000),
    st.sampled_from([0.0, 0.3]),
)
def test_a_budget_is_met_within_one_unit_and_every_class_keeps_its_floor(name, of, percent, seed, floor):
    found = FOUND[name]
    scores = np.random.default_rng(seed).random(len(found))
    what_if, ranking = WhatIf(found), Ranking(found, scores, floor)
    most = what_if.shares(ranking.first(len(ranking))).of(of)
    if most < percent:
        with pytest.raises(ValueError, match=f"at most {math.floor(10 * most) / 10:g} % of {of}"):
            choose(found, scores, Budget(percent, of, floor))
        return
    choice = choose(found, scores, Budget(percent, of, floor))
    assert choice.shares.of(of) >= percent
    assert what_if.shares(ranking.first(choice.count - 1)).of(of) < percent
    assert choose(found, scores, Budget(percent, of, floor, "most")).shares.of(of) <= percent
    for kind in range(len(found.names)):
        own = ~choice.gone[found.classes == kind]
        assert own.sum() >= max(1, math.ceil(floor * len(own)))
        lost = scores[(found.classes == kind) & choice.gone]
        assert lost.max(initial=-1) < scores[(found.classes == kind) & ~choice.gone].min()
    assert choice.threshold == scores[choice.gone].max()


def test_units_go_in_the_order_of_their_scores():
    found = FOUND["ours basic"]
    scores = norm_scores(found)
    gone = [choose(found, scores, Budget(percent, "mac")).gone for percent in (20, 40, 60)]
    assert (gone[0] <= gone[1]).all()
    assert (gone[1] <= gone[2]).all()
    for marked in gone:
        left = Ranking(found, scores).order[int(marked.sum()) :]
        assert scores[marked].max() <= scores[left].min(initial=np.inf)


def test_what_was_chosen_is_removed_with_a_certificate():
    found = FOUND["ours basic"]
    net, x = found.graph.model, build("ours basic")[1]
    choice = choose(found, norm_scores(found), Budget(50, "parameter"))
    small = compact(silence(net, found.chosen(choice.gone)), x, gather="never")
    before, after = (sum(p.numel() for p in model.parameters()) for model in (net, small.model))
    assert 100 * (1 - after / before) == pytest.approx(choice.shares.parameter)
    assert small.certificate.relative_error_float64 <= 1e-10


def test_the_dead_go_first_and_may_be_enough():
    net, x = build("ours basic")
    whole = units(net, x)
    net = silence(net, [group for group in whole.groups if group.channel < 3])
    found = units(net, x)
    ranking = Ranking(found, norm_scores(found))
    assert set(ranking.order[: ranking.dead]) == set(np.flatnonzero(found.places < 3))
    dead = WhatIf(found).shares(np.zeros(len(found), bool))
    choice = choose(found, norm_scores(found), Budget(dead.mac - 1, "mac"))
    assert choice.gone.tolist() == found.idle().tolist()
    assert choice.threshold == -math.inf
    assert choose(found, norm_scores(found), Budget(dead.mac - 1, "mac", at="most")).count == choice.count


def test_dropped_tasks_count_as_saved():
    found = FOUND["ours basic"]
    alone = choose(found, norm_scores(found), Budget(60, "parameter"), tasks=["depth"])
    both = choose(found, norm_scores(found), Budget(60, "parameter"))
    assert (alone.gone & ~found.idle(["depth"])).sum() < both.count
    assert alone.shares.parameter >= 60


def test_units_of_infinite_worth_stay():
    found = FOUND["ours basic"]
    scores = np.where(found.classes == 0, np.inf, norm_scores(found))
    most = choose(found, scores, Budget(30, "parameter"))
    assert not most.gone[found.classes == 0].any()
    with pytest.raises(ValueError, match="`budget` must be at most"):
        choose(found, np.full(len(found), np.inf), Budget(30, "parameter"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"percent": 0.0}, "`budget` must be above 0 and below 100"),
        ({"percent": 100.0}, "got 100"),
        ({"percent": 50.0, "floor": 1.0}, "`floor` must be"),
        ({"percent": 50.0, "of": "watt"}, "`of` must be group"),
        ({"percent": 50.0, "at": "last"}, "`at` must be"),
    ],
)
def test_a_senseless_budget_is_refused(wrong: dict, words: str):
    with pytest.raises(ValueError, match=words):
        Budget(**wrong)


@pytest.mark.parametrize("scores", [np.zeros(3), np.full(len(FOUND["vgg"]), np.nan)])
def test_scores_that_are_not_one_number_per_unit_are_refused(scores: np.ndarray):
    with pytest.raises(ValueError, match="one per unit"):
        choose(FOUND["vgg"], scores, Budget(50))


def test_a_budget_of_latency_is_timed():
    net, x = build("vgg")
    found: Units = units(net, x)
    with pytest.raises(ValueError, match="`timed` must be given"):
        choose(found, norm_scores(found), Budget(10, "latency"))
    timed = Timed({"x": x.repeat(8, 1, 2, 2)}, rounds=5, tries=4)
    with pytest.raises(ValueError, match="`budget` must be at most .* % of latency"):
        choose(found, norm_scores(found), Budget(99.9, "latency"), timed=timed)
    with pytest.raises(ValueError, match="`rounds` must be at least 3"):
        Timed({"x": x}, rounds=1)
