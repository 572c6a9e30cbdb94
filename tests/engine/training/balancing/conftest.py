"""A small trunk with three heads, and a step through it with any balancer."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.specs.balancing import BalancingSpec
from winnow.engine.training.balancing.balancer import Balance, Balancer, Cut
from winnow.engine.training.balancing.build import build_balancer

TASKS = ("depth", "edges", "normals")


class SmallNet(nn.Module):
    def __init__(self, tasks: Sequence[str] = TASKS) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.Tanh())
        self.heads = nn.ModuleDict({task: nn.Conv2d(5, 2, 1) for task in tasks})

    def losses(self, cut: Cut) -> dict[str, Tensor]:
        return {
            task: (head(cut.views[task]) - number).square().mean() * 10**number
            for number, (task, head) in enumerate(self.heads.items())
        }


Step = Callable[..., Balance]


@pytest.fixture
def fresh_net() -> Callable[..., SmallNet]:
    def build(tasks: Sequence[str] = TASKS) -> SmallNet:
        torch.manual_seed(0)
        return SmallNet(tasks)

    return build


@pytest.fixture
def net(fresh_net: Callable[..., SmallNet]) -> SmallNet:
    return fresh_net()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def step(images: Tensor) -> Step:
    def run(net: SmallNet, balancer: Balancer, unlabelled: str = "", record: bool = False) -> Balance:
        net.zero_grad()
        balancer.zero_grad()
        cut = balancer.cut(net.trunk(images))
        losses = net.losses(cut)
        if unlabelled:
            losses[unlabelled] = losses[unlabelled] * 0
        return balancer.backward(losses, cut, tuple(net.trunk.parameters()), record)

    return run


@pytest.fixture
def make() -> Callable[..., Balancer]:
    def build(method: str, tasks: Sequence[str] = TASKS, **options: object) -> Balancer:
        if method == "static":
            options = {"task_weights": dict.fromkeys(tasks, 1.0), **options}
        return build_balancer(BalancingSpec(balancing=method, **options), tasks)

    return build


@pytest.fixture
def gradients() -> Callable[[nn.Module], dict[str, Tensor]]:
    def read(net: nn.Module) -> dict[str, Tensor]:
        return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}

    return read
