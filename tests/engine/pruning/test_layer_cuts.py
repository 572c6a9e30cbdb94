"""One layer at a time: only its channels go, one stays, and what costs least goes first."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from tests.engine.graph.zoo import build
from winnow.engine.pruning.budget import choose_up_to
from winnow.engine.pruning.layer_cuts import LayerCut, layer_cuts, scores_by_cost
from winnow.engine.pruning.scores import norm_scores
from winnow.engine.pruning.units import Units, units

SHARES = (25.0, 50.0, 99.0)


def cut(net: nn.Module, found: Units, x: torch.Tensor) -> list[LayerCut]:
    before = net(x)

    def evaluate(model: nn.Module) -> dict[str, dict[str, float]]:
        with torch.no_grad():
            return {"any": {"change": max(float((y - before[task]).abs().max()) for task, y in model(x).items())}}

    return list(layer_cuts(found, norm_scores(found), evaluate, SHARES))


def test_layer_cuts():
    net, x = build("ours basic")
    state = copy.deepcopy(net.state_dict())
    found = units(net, x)
    rows = cut(net, found, x)
    assert [row.layer for row in rows[:: len(SHARES)]] == list(found.names)
    for row in rows:
        assert row.unused <= row.cut < row.channels
        assert row.cut == min(round(row.share / 100 * row.channels), row.channels - 1)
        assert (row.parameters > 0) == (row.cut > row.unused)
        assert row.cut > row.unused or row.macs == row.metrics["any"]["change"] == 0
    assert all(row.metrics["any"]["change"] > 0 for row in rows if row.share > 90)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_a_cut_of_what_nothing_uses_costs_nothing():
    net, x = build("ours basic")
    found = units(net, x)
    with torch.no_grad():  # all but one channel of the first class at zero
        for axis in found.groups[0].members:
            view = axis.parameter.movedim(axis.axis, 0)
            view[axis.start : axis.start + (axis.length - 1) * axis.repeat] = 0
    found = units(net, x)
    first = [row for row in cut(net, found, x) if row.layer == found.names[0]]
    assert {row.cut for row in first} == {first[0].unused} == {first[0].channels - 1}
    assert all(row.macs == 0 and row.metrics["any"]["change"] == 0 for row in first)


def test_scores_by_cost():
    net, x = build("ours basic")
    found = units(net, x)
    base = norm_scores(found)
    costs = {(name, share): place + share / 10 for place, name in enumerate(found.names) for share in SHARES}
    scores = scores_by_cost(found, base, costs)
    for kind, name in enumerate(found.names):
        own = found.classes == kind
        best = np.flatnonzero(own)[base[own].argmax()]
        assert np.isinf(scores[best])  # no cut takes the best of a layer
        low = np.argsort(base[own])[: round(0.25 * own.sum())]
        assert scores[own][low] == pytest.approx(costs[name, 25.0], abs=1e-6)
    order = np.argsort(scores, kind="stable")
    assert (np.diff(np.round(scores[order][np.isfinite(scores[order])], 6)) >= 0).all()
    with pytest.raises(ValueError, match="every layer"):
        scores_by_cost(found, base, {(found.names[0], 25.0): 1.0})


def test_choose_up_to():
    net, x = build("ours basic")
    found = units(net, x)
    scores = np.where(found.classes == 0, 1.0, np.where(found.classes == 1, 5.0, np.inf))
    gone = choose_up_to(found, scores, 1.0).gone
    assert gone.sum() == (found.classes == 0).sum() - 1
    assert not gone[found.classes != 0].any()
    assert choose_up_to(found, scores, 0.5).count == 0
    assert choose_up_to(found, scores, 9.0, floor=0.5).count < choose_up_to(found, scores, 9.0).count
