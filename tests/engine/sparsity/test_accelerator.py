"""On an accelerator a step waits for nothing and launches little, shown on the meta device, which has no numbers."""

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from winnow.engine.sparsity.groups import Axis, Group, input_groups, output_groups
from winnow.engine.sparsity.penalties import L1, GroupLasso, GroupMCP, SparseGroupLasso
from winnow.engine.sparsity.proximal import Kept, Proximal

VIEWS = ("view", "split", "expand", "squeeze", "slice", "narrow", "select", "detach", "alias", "unbind", "permute")
PENALTIES = [GroupLasso(0.1), SparseGroupLasso(0.1), GroupMCP(0.1), L1(0.1)]
LAYERS = 20


class Launches(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, result)) if isinstance(leaf, torch.Tensor)]
        if any(t.device.type == "meta" for t in tensors) and not any(view in str(function) for view in VIEWS):
            self.count += 1
        return result


def meta_net() -> nn.Sequential:
    with torch.device("meta"):
        net = nn.Sequential(*(nn.Conv2d(8, 8, 3, bias=False) for _ in range(LAYERS)))
    for parameter in net.parameters():
        parameter.grad = torch.empty_like(parameter)
    return net


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda penalty: type(penalty).__name__)
@pytest.mark.parametrize("draw", [input_groups, output_groups])
@pytest.mark.parametrize("kind", ["sgd", "adamw", "capturable"])
@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_a_step_waits_for_nothing_and_launches_little(penalty, draw, kind: str, floor: float):
    net = meta_net()
    make = {
        "sgd": lambda: SGD(net.parameters(), 0.1, momentum=0.9, foreach=False),
        "adamw": lambda: AdamW(net.parameters(), 1e-3, foreach=False),
        "capturable": lambda: AdamW(net.parameters(), 1e-3, foreach=False, capturable=True),
    }
    proximal = Proximal(make[kind](), draw(net), penalty, Kept(floor=floor))
    proximal.step()  # the first one makes the moments; a read of a number would raise here
    with Launches() as launches:
        proximal.step()
    entries = 3 if isinstance(penalty, L1 | SparseGroupLasso) else 0  # soft thresholds are taken parameter by parameter
    per_layer = {"sgd": 5, "adamw": 10}.get(kind, 100) + 2 * entries  # in a CUDA graph, launches cost nothing
    assert launches.count <= per_layer * LAYERS + 70


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_groups_that_overlap_wait_for_nothing_either(floor: float):
    net = meta_net()[:2]
    between = (Axis(net[0].weight, 0), Axis(net[1].weight, 1))
    groups = [Group("in", i, "coupled", (Axis(net[0].weight, 1),)) for i in range(8)]
    groups += [Group("mid", i, "coupled", between) for i in range(8)]
    proximal = Proximal(AdamW(net.parameters(), 1e-3, foreach=False), groups, GroupLasso(0.1), Kept(floor=floor))
    for _ in range(2):
        proximal.step()
