"""What if more went: costs only grow, the model is never touched, the rows are tidy."""

import copy

import pandas as pd
import pytest
import torch
from torch import nn

from tests.engine.graph.zoo import build
from winnow.engine.pruning.scores import norm_scores
from winnow.engine.pruning.sweep import COLUMNS, sweep_steps
from winnow.engine.pruning.units import units


def test_costs_grow_and_metrics_belong_to_what_is_left():
    net, x = build("ours basic")
    state = copy.deepcopy(net.state_dict())
    found = units(net, x)
    before = net(x)["depth"]

    def evaluate(model: nn.Module) -> dict[str, dict[str, float]]:
        with torch.no_grad():
            return {"depth": {"change": float((model(x)["depth"] - before).abs().max()), "one": 1.0}}

    frame = pd.concat(sweep_steps(found, norm_scores(found), evaluate, (0, 30, 60, 90)), ignore_index=True)
    assert frame.columns.tolist() == COLUMNS
    assert frame["share"].tolist() == [0, 0, 30, 30, 60, 60, 90, 90]
    change = frame[frame.metric == "change"]
    for column in ("threshold", "groups", "parameters", "macs"):
        assert change[column].is_monotonic_increasing
    assert change["macs"].iloc[0] == 0
    assert change["value"].iloc[0] == 0
    assert (change["value"].iloc[1:] > 0).all()
    assert change["groups"].iloc[-1] < 90  # the best of each class stays
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    with pytest.raises(ValueError, match="`shares` must be"):
        next(sweep_steps(found, norm_scores(found), evaluate, (100,)))
