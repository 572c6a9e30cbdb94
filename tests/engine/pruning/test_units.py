"""Units: every channel that can go, once; silenced in a copy, so that their removal is exact."""

import copy

import numpy as np
import pytest
import torch

from tests.engine.graph.zoo import ZOO, build
from winnow.engine.pruning import compact
from winnow.engine.pruning.masking import silence
from winnow.engine.pruning.units import Units, units
from winnow.engine.pruning.what_if import WhatIf
from winnow.engine.sparsity.groups import coupled_groups


def half(found: Units) -> np.ndarray:
    """Mark half of each class at random, never all of it."""
    gone = np.random.default_rng(0).random(len(found)) < 0.5
    for kind in range(len(found.names)):
        gone[np.flatnonzero(found.classes == kind)[0]] = False
    return gone


@pytest.mark.parametrize("name", ZOO)
def test_what_if_tells_what_compact_saves(name: str):
    net, x = build(name)
    state = copy.deepcopy(net.state_dict())
    found = units(net, x)
    gone = half(found)
    silent = silence(net, found.chosen(gone))
    small = compact(silent, x, gather="never")
    shares = WhatIf(found).shares(gone)
    left = sum(p.numel() for p in small.model.parameters()) / sum(p.numel() for p in net.parameters())
    assert small.certificate.relative_error_float64 <= 1e-10
    if not small.certificate.folded:  # a reader that takes over a constant may get a bias for it
        assert shares.parameter == pytest.approx(100 * (1 - left))
    assert shares.group >= 100 * gone.mean() - 1e-9
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_units_are_the_coupled_groups_in_order():
    net, x = build("ours basic")
    found = units(net, x)
    expected = [(group.layer, group.channel) for group in coupled_groups(net, x)]
    assert list(found.frame()[["layer", "channel"]].itertuples(index=False, name=None)) == expected
    inside = units(net, x, within=("trunk",))
    assert set(inside.names) == {name for name in found.names if name.startswith("trunk")}
    assert len(inside) < len(found)


def test_the_copy_of_what_if_comes_back_to_life():
    net, x = build("ours basic")
    what_if = WhatIf(units(net, x))
    none = np.zeros(len(what_if.units), bool)
    what_if.without(half(what_if.units))
    for name, value in what_if.without(none).state_dict().items():
        assert torch.equal(value, net.state_dict()[name])


def test_idle_are_those_that_the_tasks_do_not_need():
    net, x = build("ours basic")
    found = units(net, x)
    assert not found.idle().any()
    table = found.frame(idle=found.idle(["depth"]))
    assert set(table[table.idle].layer) == {"heads.seg.mix.0.0", "heads.kind.hidden.0"}
    with pytest.raises(ValueError, match="`tasks` must be among the model's outputs"):
        found.idle(["taste"])


def test_groups_of_another_model_are_refused():
    (one, x), (other, _) = build("mlp"), build("mlp")
    with pytest.raises(ValueError, match="`groups` must be groups of `model`"):
        silence(other, coupled_groups(one, x)[:1])
