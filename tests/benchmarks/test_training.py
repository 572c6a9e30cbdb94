"""What our training costs beside the bare arithmetic: the proximal step, and the loop around it."""

import copy
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.benchmarks.side_by_side import ratio
from winnow.data.catalog import load
from winnow.data.stacking import stack
from winnow.engine.graph.trace import trace
from winnow.engine.measure.counts import layer_macs
from winnow.engine.networks.multitask import build_network
from winnow.engine.networks.residual import residual_trunk
from winnow.engine.sparsity.counts import Counts
from winnow.engine.sparsity.groups import input_groups, scale_free_weights
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Kept, Proximal
from winnow.engine.sparsity.strength import Targeted
from winnow.engine.specs.network import ResidualSpec
from winnow.engine.specs.train import parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.loop import begin, train

pytestmark = pytest.mark.bench

CLOCK = time.process_time  # one thread, so that other work on the machine does not count

RESNET18 = ResidualSpec(widths=(64, 128, 256, 512), dilated=False, stem="large")
OPTIMISERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda net: torch.optim.SGD(net.parameters(), 1e-2, momentum=0.9),
    "adamw": lambda net: torch.optim.AdamW(net.parameters(), 1e-3),
}


def step(net: nn.Module, images: Tensor, optimizer: torch.optim.Optimizer | Proximal) -> None:
    optimizer.zero_grad()
    net(images).square().mean().backward()
    optimizer.step()


def twins(name: str, batch: int) -> tuple[nn.Module, nn.Module, Tensor]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    plain = residual_trunk(RESNET18, 3).to(memory_format=torch.channels_last)
    return plain, copy.deepcopy(plain), torch.rand(batch, 3, 128, 128).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_prox_costs_a_few_per_cent_of_a_step(name: str, figure):
    plain, sparse, images = twins(name, 8)
    optimizer = OPTIMISERS[name](plain)
    proximal = Proximal(OPTIMISERS[name](sparse), input_groups(sparse), GroupLasso(1e-4))
    measured = ratio(lambda: step(sparse, images, proximal), lambda: step(plain, images, optimizer), clock=CLOCK)
    figure(f"step with prox ÷ without, {name}, batch 8", measured, "≤ 1.05")
    assert measured.median <= 1.05


@pytest.mark.parametrize(("batch", "bound"), [(8, 1.05), (16, 1.03)])
def test_prox_and_controller_cost_a_few_per_cent_of_a_step(batch: int, bound: float, figure):
    plain, sparse, images = twins("adamw", batch)
    optimizer = OPTIMISERS["adamw"](plain)
    kept = Kept(0.05, scale_free_weights(trace(sparse, images[:1])))
    proximal = Proximal(OPTIMISERS["adamw"](sparse), input_groups(sparse), GroupLasso(1e-4), kept)
    counts = Counts(sparse, proximal.banks, layer_macs(sparse, images[:1]))
    controller = Targeted(proximal, 1e-4, counts, "mac", 70.0, warm_up=0, refit_from=10_000)
    steps = iter(range(10_000))

    def controlled() -> None:
        controller.before(next(steps))
        step(sparse, images, proximal)

    measured = ratio(controlled, lambda: step(plain, images, optimizer), clock=CLOCK)
    figure(f"step with prox and controller ÷ without, batch {batch}", measured, f"≤ {bound}")
    assert measured.median <= bound


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

    measured = ratio(bare_epoch, our_epoch, rounds=9, clock=CLOCK)
    figure("our images/s ÷ a bare loop's (validation of 2 images included)", measured, "≥ 0.95")
    assert measured.median >= 0.95
