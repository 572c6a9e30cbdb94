"""The proximal operator is the minimiser that it claims to be."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from engine.groups import banks, input_groups
from engine.penalties import GroupLasso

SEEDS = st.integers(0, 10_000)


def layer_of(seed: int) -> nn.Conv2d:
    torch.manual_seed(seed)
    return nn.Conv2d(5, 3, 3, dtype=torch.float64)


def objective(penalty, bank, start, step):
    (weight,) = bank.parameters
    return float(((weight.detach() - start) ** 2).sum() / 2 + step * penalty.value(bank))


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(0.01, 2), st.floats(0.01, 0.5), st.sampled_from(["size", "none"]))
def test_prox_is_the_minimiser(seed: int, strength: float, step: float, rule: str):
    """No point near the result is better: ½‖z − w‖² + step · value(z) is strictly convex, so it is the minimum."""
    layer, penalty = layer_of(seed), GroupLasso(strength, weights=rule)
    (bank,) = banks(input_groups(layer))
    start = layer.weight.detach().clone()
    penalty.prox_(bank, torch.tensor(step))
    best, found = objective(penalty, bank, start, step), layer.weight.detach().clone()
    for scale in (1e-3, 1e-1, 1.0):
        for _ in range(5):
            layer.weight.data = found + scale * torch.randn_like(found)
            assert objective(penalty, bank, start, step) >= best - 1e-12


def test_prox_makes_exact_zeros_below_the_threshold_and_returns_the_norms():
    layer = layer_of(0)
    (bank,) = banks(input_groups(layer))
    middle = float(bank.norms().median())
    norms = GroupLasso(middle, weights="none").prox_(bank, torch.tensor(1.0))
    assert int((norms == 0).sum()) == 3
    assert (layer.weight[:, norms == 0] == 0).all()
    torch.testing.assert_close(bank.norms(), norms)


@settings(max_examples=25, deadline=None)
@given(SEEDS, SEEDS, st.floats(0.01, 5))
def test_prox_is_non_expansive(one: int, other: int, step: float):
    layers = [layer_of(one), layer_of(other)]
    apart = float((layers[0].weight - layers[1].weight).detach().norm())
    for layer in layers:
        GroupLasso(1.0).prox_(banks(input_groups(layer))[0], torch.tensor(step))
    assert float((layers[0].weight - layers[1].weight).detach().norm()) <= apart + 1e-12


def test_violation_is_the_distance_to_the_subdifferential():
    layer, penalty = layer_of(1), GroupLasso(0.3)
    (bank,) = banks(input_groups(layer))
    layer.weight.data[:, 2] = 0
    layer.weight.grad = torch.randn_like(layer.weight)
    bound = 0.3 * 27**0.5
    expected = [
        float((layer.weight.grad[:, i] + bound * w / w.norm()).norm()) if i != 2 else None
        for i, w in enumerate(layer.weight.detach().unbind(1))
    ]
    expected[2] = max(0.0, float(layer.weight.grad[:, 2].norm()) - bound)
    torch.testing.assert_close(penalty.violation(bank), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("strength", [-1.0, float("nan"), float("inf")])
def test_a_strength_that_is_no_strength_is_refused(strength: float):
    with pytest.raises(ValueError, match="`strength` should be"):
        GroupLasso(strength)
