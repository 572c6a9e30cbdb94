"""What balancing costs a whole training step of a ResNet-18-size trunk: ratios to the summed backward, in one run.

Every round takes one step of each arm, in an order that turns from round to round; a ratio is the median over the
rounds of arm/plain in process CPU time, so that what else the machine does touches both alike.
"""

import time
from collections.abc import Callable
from statistics import median

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.graph.modes import statistics_kept
from winnow.engine.networks.heads import LightHead
from winnow.engine.networks.residual import residual_trunk
from winnow.engine.specs.balancing import BalancingSpec
from winnow.engine.specs.network import ResidualSpec
from winnow.engine.training.balancing.balancer import Balancer
from winnow.engine.training.balancing.build import build_balancer

TASKS = {"segmentation": 13, "depth": 1, "normals": 3}
ROUNDS = 12
FEATURES = ("upgrad", "pcgrad", "cagrad", "mgda", "imtl_g", "nash_mtl", "aligned_mtl", "gradnorm")
LOSSES = ("equal", "uncertainty", "dwa")


class Bench:
    """One network, one batch, and a step of it with any balancer; None is the summed backward without one."""

    def __init__(self, dilated: bool) -> None:
        torch.manual_seed(0)
        spec = ResidualSpec(widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2), stem="large", dilated=dilated)
        self.trunk = residual_trunk(spec, 3).to(memory_format=torch.channels_last)
        self.heads = nn.ModuleDict({t: LightHead(self.trunk.outputs, 48, n) for t, n in TASKS.items()})
        self.net = nn.ModuleList([self.trunk, self.heads])
        self.optimiser = torch.optim.AdamW(self.net.parameters(), 1e-4)
        self.images = torch.randn(8, 3, 128, 128).to(memory_format=torch.channels_last)
        self.targets = {task: torch.randn(8, n, 128, 128) for task, n in TASKS.items()}

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        size = list(self.images.shape[-2:])
        maps = {t: nn.functional.interpolate(self.heads[t](views[t]), size, mode="bilinear") for t in TASKS}
        return {task: (maps[task] - self.targets[task]).square().mean() for task in TASKS}

    def step(self, balancer: Balancer | None) -> float:
        start = time.process_time()
        self.optimiser.zero_grad()
        features = self.trunk(self.images)
        if balancer is None:
            torch.stack(list(self.losses(dict.fromkeys(TASKS, features)).values())).sum().backward()
            self.optimiser.step()
            return time.process_time() - start
        cut = balancer.cut(features)
        balancer.backward(self.losses(cut.views), cut, tuple(self.trunk.parameters()))
        self.optimiser.step()
        if balancer.needs_losses_after_step:
            with torch.no_grad(), statistics_kept(self.net):
                balancer.after_step(self.losses(dict.fromkeys(TASKS, self.trunk(self.images))))
        return time.process_time() - start


def ratios(bench: Bench, arms: dict[str, Balancer], rounds: int) -> dict[str, float]:
    """Return the median over rounds of each arm's time over that of the plain step."""
    steps: dict[str, Callable[[], float]] = {"plain": lambda: bench.step(None)}
    steps |= {name: lambda balancer=balancer: bench.step(balancer) for name, balancer in arms.items()}
    for step in steps.values():
        step()
    taken: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            taken[name].append(steps[name]())
    print(f"\nplain {median(taken['plain']):.3f} CPU s")
    found = {}
    for name in arms:
        in_round = [arm / plain for arm, plain in zip(taken[name], taken["plain"], strict=True)]
        found[name] = median(in_round)
        print(f"{name:24s} {found[name]:.3f} [{min(in_round):.3f} .. {max(in_round):.3f}]")
    return found


def make(method: str, scope: str = "features") -> Balancer:
    return build_balancer(BalancingSpec(balancing=method, gradients=scope), tuple(TASKS))


@pytest.mark.bench
@pytest.mark.parametrize("dilated", [False, True], ids=["strided", "dilated"])
def test_balancing_at_the_features_costs_a_tenth_at_most(dilated: bool):
    torch.set_num_threads(1)
    bench = Bench(dilated)
    arms = {method: make(method) for method in (("upgrad", "cagrad") if dilated else (*LOSSES, *FEATURES))}
    found = ratios(bench, arms, ROUNDS // 3 if dilated else ROUNDS)
    assert all(ratio <= 1.10 for ratio in found.values())


@pytest.mark.bench
def test_parameter_scope_and_famo_for_comparison():
    torch.set_num_threads(1)
    bench = Bench(dilated=False)
    found = ratios(bench, {"upgrad (parameters)": make("upgrad", "parameters"), "famo": make("famo")}, ROUNDS // 2)
    assert 1.5 < found["upgrad (parameters)"] < 3.4  # cheaper than three whole backwards, dearer than one
    assert found["famo"] < 1.7  # one more forward pass
