"""A penalty that only the weakest groups carry: which they are, an exact prox, survivors that do not shrink."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.engine.sparsity.test_penalties import assert_no_better_point, bank_of, layer_of, two_members
from winnow.engine.pruning.scores import lamp
from winnow.engine.sparsity.counts import Counts, living
from winnow.engine.sparsity.groups import Bank, Joint, coupled_groups, input_groups
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Kept, Proximal
from winnow.engine.sparsity.strength import Targeted, strength_max
from winnow.engine.sparsity.trimming import TrimmedGroupLasso, lamp_scores

SEEDS = st.integers(0, 10_000)
WEAKEST = st.sampled_from([0.0, 20.0, 40.0, 60.0, 80.0, 100.0])


def chosen_on(bank: Bank, penalty: TrimmedGroupLasso) -> torch.Tensor:
    """Let the penalty choose; return which groups carry it."""
    penalty.choose([bank], [bank.norms()])
    assert bank.free is not None
    return ~bank.free


def three_layers(penalty: GroupLasso, floor: float = 0.0) -> tuple[nn.Sequential, Proximal]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(40, 60), nn.ReLU(), nn.Linear(60, 50), nn.ReLU(), nn.Linear(50, 4))
    return net, Proximal(torch.optim.AdamW(net.parameters(), lr=1e-2), input_groups(net), penalty, Kept(floor))


@settings(max_examples=40)
@given(SEEDS, st.floats(0.01, 2), st.floats(0.01, 0.5), st.sampled_from(["size", "none"]), WEAKEST)
def test_prox_is_the_minimiser_and_leaves_the_others_their_bits(
    seed: int, strength: float, step: float, rule: str, weakest: float
):
    layer, penalty = layer_of(seed), TrimmedGroupLasso(strength, rule, weakest=weakest)
    bank, before = bank_of(layer), layer.weight.detach().clone()
    weak = chosen_on(bank, penalty)
    assert int(weak.sum()) == round(weakest / 100 * 5)
    norms = penalty.prox_(bank, torch.tensor(step))
    torch.testing.assert_close(bank.norms(), norms, rtol=1e-9, atol=1e-12, check_dtype=False)
    assert torch.equal(layer.weight[:, ~weak], before[:, ~weak])
    assert (norms[weak] < before.square().sum((0, 2, 3)).sqrt()[weak]).all()
    assert_no_better_point(penalty, bank, [before], torch.tensor(step))


@settings(max_examples=25)
@given(SEEDS, st.floats(0.005, 0.5), st.floats(0.05, 1), st.floats(0.05, 1), WEAKEST)
def test_prox_is_the_minimiser_in_a_metric_that_differs_between_members(
    seed: int, strength: float, one: float, other: float, weakest: float
):
    bank, penalty = two_members(seed), TrimmedGroupLasso(strength, weakest=weakest)
    chosen_on(bank, penalty)
    start = [p.detach().clone() for p in bank.parameters]
    step = torch.tensor([[one], [other]], dtype=torch.float64).expand(2, 5)
    penalty.prox_(bank, step)
    assert_no_better_point(penalty, bank, start, step)


@given(SEEDS)
def test_the_minimiser_violates_nothing(seed: int):
    """The prox solves ½‖z − w‖²/s + R(z): at z, the penalty meets the gradient (z − w)/s."""
    layer, penalty = layer_of(seed), TrimmedGroupLasso(0.2, weakest=60.0)
    bank, before = bank_of(layer), layer.weight.detach().clone()
    weak = chosen_on(bank, penalty)
    penalty.prox_(bank, torch.tensor(0.5))
    layer.weight.grad = (layer.weight.detach() - before) / 0.5
    assert float(penalty.violation(bank).max()) < 1e-12
    layer.weight.grad = torch.ones_like(before)
    torch.testing.assert_close(penalty.violation(bank)[~weak], torch.full((2,), 27**0.5, dtype=torch.float64))


def test_value_counts_the_weakest_alone():
    layer = layer_of(0)
    bank, penalty = bank_of(layer), TrimmedGroupLasso(0.5, "none", weakest=40.0)
    chosen_on(bank, penalty)
    assert float(penalty.value(bank)) == pytest.approx(0.5 * float(bank.norms().sort().values[:2].sum()))


def test_without_a_choice_and_with_all_groups_it_is_the_group_lasso():
    plain, unchosen, whole = layer_of(0), layer_of(0), layer_of(0)
    GroupLasso(0.3).prox_(bank_of(plain), torch.tensor(0.5))
    TrimmedGroupLasso(0.3, weakest=40.0).prox_(bank_of(unchosen), torch.tensor(0.5))
    bank, penalty = bank_of(whole), TrimmedGroupLasso(0.3, weakest=100.0)
    chosen_on(bank, penalty)
    penalty.prox_(bank, torch.tensor(0.5))
    assert torch.equal(plain.weight, unchosen.weight)
    assert torch.equal(plain.weight, whole.weight)


def test_scores_are_those_of_lamp_and_do_not_see_the_scale_of_a_layer():
    layer = layer_of(3)
    layer.weight.data[:, 2] = 0
    bank = bank_of(layer)
    found = lamp_scores(bank, bank.norms())
    wanted = lamp(bank.norms().square().numpy(), np.zeros(5, np.int64))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)
    torch.testing.assert_close(lamp_scores(bank, 1e-6 * bank.norms()), found)
    assert float(found[2]) == 0
    assert float(found.max()) == 1


def test_the_weakest_of_all_layers_are_chosen_and_no_floor():
    _, proximal = three_layers(TrimmedGroupLasso(0.1, weakest=90.0), floor=0.2)
    proximal.penalty.choose(proximal.banks, proximal.norms)
    floors = [8, 12, 10]
    free = [bank.free for bank in proximal.banks]
    assert [int(own.sum()) for own in free] == floors  # 30 of 150 live by the floors, 135 were asked for
    for own, norms, floor in zip(free, proximal.norms, floors, strict=True):
        assert set(own.nonzero().flatten().tolist()) == set(norms.topk(floor).indices.tolist())


def test_what_was_removed_counts_among_the_weakest():
    layer = layer_of(0)
    bank, penalty = bank_of(layer), TrimmedGroupLasso(0.1, weakest=60.0)
    penalty.choose([bank], [bank.norms()], gone=5)  # 6 of 10 are the weakest, and 5 of them are gone
    assert int((~bank.free).sum()) == 1


def test_a_norm_that_is_nan_is_no_weak_group():
    layer = layer_of(0)
    layer.weight.data[:, 1] = torch.nan
    weak = chosen_on(bank_of(layer), TrimmedGroupLasso(0.1, weakest=100.0))
    assert not weak[1]


def test_joined_banks_are_trimmed_as_single_ones():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
    proximal = Proximal(torch.optim.SGD(net.parameters(), 0.1), input_groups(net), TrimmedGroupLasso(0.5, weakest=50.0))
    penalty, banks = proximal.penalty, proximal.banks
    penalty.choose(banks, proximal.norms)
    wanted = [bank.norms() - 0.1 * 0.5 * bank.size**0.5 * ~bank.free for bank in banks]
    found = penalty.prox_(Joint(banks), torch.tensor(0.1))
    torch.testing.assert_close(found, torch.cat(wanted).clamp(min=0))


@pytest.mark.parametrize("of", ["group", "parameter", "mac"])
@pytest.mark.parametrize("percent", [30.0, 70.0])
def test_a_target_is_met_and_survivors_keep_their_norm_without_a_loss(of: str, percent: float):
    net, proximal = three_layers(TrimmedGroupLasso(1e-3))
    counts = Counts(net, proximal.banks, {"0": 2400.0, "2": 3000.0, "4": 200.0})
    controller = Targeted(proximal, 1e-3, counts, of, percent, warm_up=5, refit_from=150)
    before = [norms.clone() for norms in proximal.norms]
    for step in range(160):
        controller.before(step)
        proximal.zero_grad()
        (0 * net(torch.ones(1, 40))).sum().backward()
        proximal.step()
    largest = max(100 / 150, 100 * 60 / 5600, 100 * 50 / 5600)
    assert counts.percent(of, living(proximal.norms)) == pytest.approx(percent, abs=largest)
    alive = [norms != 0 for norms in proximal.norms]
    kept = [
        float((norms[own] / old[own]).mean()) for norms, own, old in zip(proximal.norms, alive, before, strict=True)
    ]
    assert kept == pytest.approx([1.0] * 3, abs=0.02)


def test_a_group_that_grows_is_free_again():
    torch.manual_seed(0)
    layer = nn.Linear(4, 1, bias=False)
    layer.weight.data[:] = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    penalty = TrimmedGroupLasso(0.01, weakest=50.0)
    proximal = Proximal(torch.optim.SGD(layer.parameters(), lr=1.0), input_groups(layer), penalty)
    layer.weight.grad = torch.tensor([[-9.0, 0.0, 0.0, 0.0]])
    proximal.step()
    proximal.step()
    assert (~proximal.banks[0].free).tolist() == [False, True, True, False]


def test_firmness_and_the_unit_of_strengths_are_those_of_the_group_lasso():
    net, proximal = three_layers(TrimmedGroupLasso(0.1, weakest=10.0))
    net(torch.ones(2, 40)).square().sum().backward()
    plain = strength_max(proximal.banks, GroupLasso(0.1))
    proximal.penalty.choose(proximal.banks, proximal.norms)
    assert strength_max(proximal.banks, proximal.penalty) == plain


def test_coupled_groups_are_trimmed_too():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    penalty = TrimmedGroupLasso(50.0, weakest=50.0)
    proximal = Proximal(torch.optim.Adam(net.parameters(), lr=0.1), coupled_groups(net, torch.ones(1, 5)), penalty)
    net(torch.randn(4, 5)).square().sum().backward()
    proximal.step()
    assert sum(int((norms == 0).sum()) for norms in proximal.norms) == round(sum(b.count for b in proximal.banks) / 2)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"`weakest` must be in \[0, 100\], got 101"):
        TrimmedGroupLasso(0.1, weakest=101.0)
    net, proximal = three_layers(TrimmedGroupLasso(0.1))
    with pytest.raises(ValueError, match="`of` must be group, parameter or mac where the penalty is TrimmedGroupLasso"):
        Targeted(proximal, 1e-3, Counts(net, proximal.banks, {}), "latency", 50.0, warm_up=0, refit_from=10)
