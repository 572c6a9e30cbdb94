"""The proximal operators are the minimisers that they claim to be, and the conditions hold where they should."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from winnow.engine.sparsity.groups import Axis, Bank, Group, Joint, banks, input_groups
from winnow.engine.sparsity.penalties import L1, GroupLasso, GroupMCP, SparseGroupLasso

SEEDS = st.integers(0, 10_000)
CONVEX = {
    "group_lasso": lambda strength, rule: GroupLasso(strength, rule),
    "sparse_group_lasso": lambda strength, rule: SparseGroupLasso(strength, rule, 0.3),
    "l1": lambda strength, rule: L1(strength, rule),
}
ALL = {**CONVEX, "group_mcp": lambda strength, rule: GroupMCP(strength, rule, 2.0)}


def layer_of(seed: int) -> nn.Conv2d:
    torch.manual_seed(seed)
    return nn.Conv2d(5, 3, 3, dtype=torch.float64)


def bank_of(layer: nn.Conv2d) -> Bank:
    (bank,) = banks(input_groups(layer))
    return bank


def two_members(seed: int) -> Bank:
    """Five channels, each written by a convolution and read by a linear layer."""
    torch.manual_seed(seed)
    writer, reader = nn.Conv2d(2, 5, 3, dtype=torch.float64), nn.Linear(5, 4, dtype=torch.float64)
    members = (Axis(writer.weight, 0), Axis(reader.weight, 1))
    (bank,) = banks([Group("both", channel, "coupled", members) for channel in range(5)])
    return bank


def distance(bank: Bank, start: list[torch.Tensor], step: torch.Tensor) -> float:
    """½ Σ_m ‖z_m − w_m‖²/s_m."""
    lengths = step.expand(len(bank.members), bank.channels) if step.dim() < 2 else step
    squares = [
        axis.sums((p.detach() - w).square()) / length
        for axis, p, w, length in zip(bank.members, bank.parameters, start, lengths, strict=True)
    ]
    return float(torch.stack(squares).sum() / 2)


def assert_no_better_point(penalty, bank: Bank, start: list[torch.Tensor], step: torch.Tensor) -> None:
    found = [p.detach().clone() for p in bank.parameters]
    best = distance(bank, start, step) + float(penalty.value(bank))
    for scale in (1e-3, 1e-1, 1.0):
        for _ in range(6):
            for parameter, point in zip(bank.parameters, found, strict=True):
                parameter.data = point + scale * torch.randn_like(point) * (torch.rand_like(point) < 0.4)
            assert distance(bank, start, step) + float(penalty.value(bank)) >= best - 1e-12
    for parameter in bank.parameters:
        parameter.data = torch.zeros_like(parameter)
    assert distance(bank, start, step) + float(penalty.value(bank)) >= best - 1e-12


@settings(max_examples=40)
@given(SEEDS, st.floats(0.01, 2), st.floats(0.01, 0.5), st.sampled_from(["size", "none"]), st.sampled_from([*ALL]))
def test_prox_is_the_minimiser(seed: int, strength: float, step: float, rule: str, name: str):
    """No point near the result is better: ½‖z − w‖²/step + value(z) is convex here, so it is the minimum."""
    layer, penalty = layer_of(seed), ALL[name](strength, rule)
    bank, start = bank_of(layer), [layer.weight.detach().clone()]
    norms = penalty.prox_(bank, torch.tensor(step))
    torch.testing.assert_close(bank.norms(), norms, rtol=1e-9, atol=1e-12, check_dtype=False)
    assert_no_better_point(penalty, bank, start, torch.tensor(step))


@settings(max_examples=25)
@given(SEEDS, st.floats(0.005, 0.5), st.floats(0.05, 1), st.floats(0.05, 1), st.sampled_from([*CONVEX]))
def test_prox_is_the_minimiser_in_a_metric_that_differs_between_members(
    seed: int, strength: float, one: float, other: float, name: str
):
    bank, penalty = two_members(seed), CONVEX[name](strength, "size")
    start = [p.detach().clone() for p in bank.parameters]
    step = torch.tensor([[one], [other]], dtype=torch.float64).expand(2, 5)
    norms = penalty.prox_(bank, step)
    torch.testing.assert_close(bank.norms(), norms, rtol=1e-6, atol=1e-9)
    assert_no_better_point(penalty, bank, start, step)


def test_group_mcp_beyond_its_concavity_is_a_hard_threshold():
    layer = layer_of(3)
    bank, before = bank_of(layer), bank_of(layer).norms()
    penalty = GroupMCP(float(before.median()) / 2, "none", concavity=2.0)
    after = penalty.prox_(bank, torch.tensor(2.0))  # threshold λ √(s γ) = 2 λ, the median
    assert torch.equal(after, torch.where(before > before.median(), before, 0.0))


def test_group_mcp_leaves_large_groups_alone():
    layer = layer_of(0)
    before = layer.weight.detach().clone()
    GroupMCP(1e-3, "none", concavity=2.0).prox_(bank_of(layer), torch.tensor(0.5))
    assert torch.equal(layer.weight.detach(), before)


@pytest.mark.parametrize("name", ALL)
def test_prox_makes_exact_zeros(name: str):
    layer = layer_of(0)
    norms = ALL[name](100.0, "size").prox_(bank_of(layer), torch.tensor(1.0))
    assert (norms == 0).all()
    assert (layer.weight == 0).all()


@settings(max_examples=25)
@given(SEEDS, SEEDS, st.floats(0.01, 5), st.sampled_from([*CONVEX]))
def test_prox_is_non_expansive(one: int, other: int, step: float, name: str):
    layers = [layer_of(one), layer_of(other)]
    apart = float((layers[0].weight - layers[1].weight).detach().norm())
    for layer in layers:
        CONVEX[name](0.1, "size").prox_(bank_of(layer), torch.tensor(step))
    assert float((layers[0].weight - layers[1].weight).detach().norm()) <= apart + 1e-12


@pytest.mark.parametrize("name", ALL)
def test_prox_keeps_the_floor(name: str):
    bank = bank_of(layer_of(0))
    bank.floor = 2
    before = bank.norms()
    after = ALL[name](100.0, "size").prox_(bank, torch.tensor(1.0))
    strongest = before.topk(2).indices
    assert set(after.nonzero().flatten().tolist()) == set(strongest.tolist())
    torch.testing.assert_close(after[strongest], before[strongest])


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_a_channel_that_is_no_group_fills_no_floor(name: str, joined: bool):
    torch.manual_seed(0)
    first, second = (banks(input_groups(nn.Linear(6, 4))[:3])[0] for _ in range(2))
    for bank in (first, second):
        bank.floor = 2
        bank.scale_(torch.tensor([1.0, 1, 1, 9, 9, 9]))  # the others are larger
    whole = Joint([first, second]) if joined else first
    wanted = [int(place) for place in first.norms()[:3].topk(2).indices]
    after = ALL[name](100.0, "size").prox_(whole, torch.tensor(1.0))[:6]
    assert sorted(after[:3].nonzero().flatten().tolist()) == sorted(wanted)


@pytest.mark.parametrize("name", ALL)
def test_prox_keeps_the_radius(name: str):
    bank = bank_of(layer_of(0))
    bank.radius = float(bank.norms().norm())
    after = ALL[name](0.02, "size").prox_(bank, torch.tensor(1.0))
    assert float(bank.norms().norm()) == pytest.approx(bank.radius, rel=1e-12)
    torch.testing.assert_close(after, bank.norms())


@pytest.mark.parametrize("name", ALL)
def test_violation_is_the_distance_to_the_subdifferential(name: str):
    """Checked against the definition: with d the violation, value(w + εv) ≥ value(w) − ε⟨∇, v⟩ − ε d ‖v‖ for all v."""
    layer, penalty = layer_of(1), ALL[name](0.3, "size")
    bank = bank_of(layer)
    layer.weight.data[:, 2] = 0
    layer.weight.data[0, 1] = 0
    layer.weight.grad = 3 * torch.randn_like(layer.weight)
    found, point = penalty.violation(bank), layer.weight.detach().clone()
    value = float(penalty.value(bank))
    tightest = torch.full((5,), -torch.inf, dtype=torch.float64)
    for _ in range(3000):
        direction = torch.zeros_like(point)
        channel = int(torch.randint(5, ()))
        direction[:, channel] = -layer.weight.grad[:, channel] + 2 * torch.randn(3, 3, 3, dtype=torch.float64)
        direction /= direction.norm()
        layer.weight.data = point + 1e-7 * direction
        slope = (float(penalty.value(bank)) - value) / 1e-7 + float((layer.weight.grad * direction).sum())
        assert slope >= -float(found[channel]) - 1e-5
        tightest[channel] = max(tightest[channel], -slope)
    assert (tightest >= 0.6 * found - 1e-5).all()


@pytest.mark.parametrize("name", ALL)
def test_firmness_below_one_is_a_group_that_stays_dead(name: str):
    layer, penalty = layer_of(1), ALL[name](0.3, "size")
    bank = bank_of(layer)
    layer.weight.data.zero_()
    gradient = torch.randn_like(layer.weight) * torch.tensor([0.05, 0.2, 0.3, 0.5, 3.0])[:, None, None]
    firmness = penalty.firmness(bank, [gradient])
    layer.weight.data = -0.01 * gradient
    after = penalty.prox_(bank, torch.tensor(0.01))
    assert torch.equal(after == 0, firmness <= 1)
    assert 0 < int((after == 0).sum()) < 5


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("strength", [-1.0, float("nan"), float("inf")])
def test_a_strength_that_is_no_strength_is_refused(name: str, strength: float):
    with pytest.raises(ValueError, match="`strength` must be"):
        ALL[name](strength, "size")


def test_a_strength_of_torch_or_numpy_is_a_number():
    for number in (torch.tensor(0.5), torch.tensor([0.5]), np.float64(0.5)):
        assert type(GroupLasso(number).strength) is float
    with pytest.raises(ValueError, match="`strength` must be a finite number"):
        GroupLasso(torch.ones(2))


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="`mix` must be in"):
        SparseGroupLasso(1.0, mix=1.5)
    with pytest.raises(ValueError, match="`concavity` must be"):
        GroupMCP(1.0, concavity=0.0)
    with pytest.raises(ValueError, match="`weights` must be"):
        L1(1.0, weights="some")
