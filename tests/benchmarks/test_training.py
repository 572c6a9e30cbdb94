"""What our training costs beside the bare arithmetic: the proximal step, and the loop around it."""

import copy
from collections.abc import Callable

import pytest
import torch
from side_by_side import ratio
from torch import Tensor, nn

from data.catalog import load
from data.stacking import stack
from engine.batches import Batches
from engine.groups import input_groups
from engine.networks.multitask import build_network
from engine.networks.residual import ResidualTrunk
from engine.penalties import GroupLasso
from engine.proximal import Proximal
from engine.spec import NetworkSpec, parse
from engine.tasks.build import build_tasks
from engine.training import begin, train

pytestmark = pytest.mark.bench

RESNET18 = NetworkSpec(widths=(64, 128, 256, 512), dilated=False, stem="large")
OPTIMISERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda net: torch.optim.SGD(net.parameters(), 1e-2, momentum=0.9),
    "adamw": lambda net: torch.optim.AdamW(net.parameters(), 1e-3),
}


def step(net: nn.Module, images: Tensor, optimizer: torch.optim.Optimizer | Proximal) -> None:
    optimizer.zero_grad()
    net(images).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("batch", [8, 16])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_prox_costs_a_few_per_cent_of_a_step(name: str, batch: int, figure):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    plain = ResidualTrunk(RESNET18, 3).to(memory_format=torch.channels_last)
    sparse = copy.deepcopy(plain)
    images = torch.rand(batch, 3, 128, 128).to(memory_format=torch.channels_last)
    optimizer = OPTIMISERS[name](plain)
    proximal = Proximal(OPTIMISERS[name](sparse), input_groups(sparse), GroupLasso(1e-4))
    measured = ratio(lambda: step(sparse, images, proximal), lambda: step(plain, images, optimizer))
    figure(f"step with prox ÷ without, {name}, batch {batch}", measured, "≤ 1.05")
    assert measured.median <= 1.05


def test_our_loop_keeps_up_with_a_bare_one(figure):
    """The same network, batches, losses, optimiser and prox, once through `train` and once written out by hand."""
    torch.set_num_threads(1)
    spec = parse({"data": {"dataset": "scenes", "train_length": 64, "val_length": 2}, "threads": 1, "epochs": 1000})
    tasks = build_tasks(load("scenes").fields, spec.tasks)
    stacked = [stack(load("scenes", split=split, length=n), spec.tasks) for split, n in (("train", 64), ("val", 2))]
    batches, validation = (Batches(data, tasks, spec.batch_size, torch.device("cpu")) for data in stacked)
    torch.manual_seed(0)
    ours = begin(spec, build_network(spec.network, tasks, 3), tasks, batches)
    bare = begin(spec, copy.deepcopy(ours.net), tasks, batches)
    records = train(ours, batches, validation)

    def our_epoch() -> None:
        for _ in range(batches.steps + 1):
            next(records)

    def bare_epoch() -> None:
        bare.net.train()
        for batch in batches.shuffled(0, 0, True):
            predictions = bare.net(batch.images)
            loss = sum(task.loss(predictions[name], batch.targets[name]) for name, task in tasks.items())
            bare.proximal.zero_grad()
            loss.backward()
            bare.proximal.step()

    measured = ratio(bare_epoch, our_epoch, rounds=9)
    figure("our images/s ÷ a bare loop's (validation of 2 images included)", measured, "≥ 0.95")
    assert measured.median >= 0.95
