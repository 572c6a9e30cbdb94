"""A strength that means something: schedules, targets that are met, the unit for grids."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from winnow.engine.sparsity.counts import Counts, living
from winnow.engine.sparsity.groups import input_groups
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Kept, Proximal
from winnow.engine.sparsity.strength import Scheduled, Targeted, settled_support, strength_max


def proximal_of(*widths: int, strength: float = 1e-3, floor: float = 0.05) -> tuple[nn.Module, Proximal]:
    torch.manual_seed(0)
    layers = [nn.Linear(one, other) for one, other in pairwise(widths)]
    net = nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    return net, Proximal(optimizer, input_groups(net), GroupLasso(strength), Kept(floor))


def test_scheduled_warms_up_ramps_and_ends():
    _, proximal = proximal_of(8, 8)
    controller = Scheduled(proximal, base=0.4, warm_up=10, ramp=4, refit_from=20)
    strengths = []
    for step in range(24):
        controller.before(step)
        strengths.append(proximal.strength)
    assert strengths == pytest.approx([0.0] * 11 + [0.1, 0.2, 0.3] + [0.4] * 6 + [0.0] * 4)
    assert proximal.support is not None


def test_scheduled_takes_another_base_at_any_time():
    _, proximal = proximal_of(8, 8)
    controller = Scheduled(proximal, base=0.4, warm_up=0, ramp=0, refit_from=20)
    controller.before(0)
    controller.base = 0.1
    controller.before(1)
    assert proximal.strength == 0.1


@pytest.mark.parametrize("of", ["group", "parameter", "mac"])
@pytest.mark.parametrize("percent", [30.0, 50.0, 70.0, 90.0])
def test_targeted_meets_the_target_and_no_layer_dies(of: str, percent: float):
    net, proximal = proximal_of(40, 60, 50, 4)
    counts = Counts(net, proximal.banks, {"0": 2400.0, "1": 3000.0, "2": 200.0})
    controller = Targeted(proximal, 1e-3, counts, of, percent, warm_up=5, refit_from=150)
    generator = torch.Generator().manual_seed(1)
    for step in range(200):
        controller.before(step)
        x = torch.randn(32, 40, generator=generator)
        proximal.zero_grad()
        (net(x) - x[:, :4]).square().mean().backward()
        proximal.step()
    group = max(float(100 / sum(bank.channels for bank in proximal.banks)), 100 * 60 / 5600)
    assert counts.percent(of, living(proximal.norms)) == pytest.approx(percent, abs=group)
    assert all((norms > 0).any() for norms in proximal.norms)
    assert proximal.strength == 0


def test_settled_support_drops_the_weakest_and_lets_the_readiest_live():
    net, proximal = proximal_of(10, 1, strength=1.0, floor=0.0)
    counts = Counts(net, proximal.banks, {"0": 10.0})
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[10.0, 9, 8, 7, 6, 0, 0, 0, 0, 0]]))
    proximal.norms = [bank.norms() for bank in proximal.banks]
    net[0].weight.grad = torch.tensor([[0.0, 0, 0, 0, 0, 0.1, 0.5, 0.2, 0.3, 0.4]])
    (alive,) = settled_support(proximal, counts, "group", 70.0)
    assert alive.nonzero().flatten().tolist() == [0, 1, 2]
    (alive,) = settled_support(proximal, counts, "group", 30.0)
    assert alive.nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 6, 9]


def test_settled_support_keeps_the_floor_of_each_layer():
    net, proximal = proximal_of(10, 10, 2, floor=0.2)
    counts = Counts(net, proximal.banks, {"0": 100.0, "1": 20.0})
    for alive in settled_support(proximal, counts, "group", 99.0):
        assert int(alive.sum()) == 2


def test_a_frozen_support_stays_and_the_others_are_free():
    net, proximal = proximal_of(6, 3)
    with torch.no_grad():
        net[0].weight[:, :3] = 0
    proximal.norms = [bank.norms() for bank in proximal.banks]
    proximal.freeze()
    proximal.strength = 0.0
    for _ in range(3):
        proximal.zero_grad()
        net(torch.randn(4, 6)).square().sum().backward()
        proximal.step()
    assert (net[0].weight[:, :3] == 0).all()
    assert (net[0].weight[:, 3:] != 0).all()


def test_strength_max_is_the_smallest_strength_at_which_the_start_is_a_fixed_point():
    rng = np.random.default_rng(0)
    x, y = torch.tensor(rng.standard_normal((50, 12))), torch.tensor(rng.standard_normal((50, 3)))

    def after_a_step(strength: float) -> torch.Tensor:
        layer = nn.Linear(12, 3, bias=False, dtype=torch.float64)
        nn.init.zeros_(layer.weight)
        proximal = Proximal(torch.optim.SGD(layer.parameters(), 0.1), input_groups(layer), GroupLasso(strength))
        (layer(x) - y).square().mean().backward()
        if not strength:
            return torch.tensor(strength_max(proximal.banks, proximal.penalty))
        proximal.step()
        return layer.weight.detach()

    largest = float(after_a_step(0.0))
    assert (after_a_step(largest * 1.0001) == 0).all()
    assert int((after_a_step(largest * 0.999).norm(dim=0) > 0).sum()) == 1


@pytest.mark.parametrize(("of", "percent"), [("mass", 50.0), ("group", float("nan")), ("group", 101.0), ("mac", "50")])
def test_a_target_that_is_none_is_refused_by_name(of: str, percent: float):
    net, proximal = proximal_of(4, 3)
    counts = Counts(net, proximal.banks, {"0": 12.0})
    with pytest.raises(ValueError, match="`of` must be one of group" if of == "mass" else "`percent` must be a number"):
        Targeted(proximal, 1e-3, counts, of, percent, warm_up=0, refit_from=10)
    with pytest.raises(ValueError, match="got 'mass'"):
        counts.percent("mass", living(proximal.norms))
