"""What it costs to say which channel serves which task, beside a plain forward and backward of the same images."""

import time

import pytest
import torch

from tests.benchmarks.side_by_side import ratio
from winnow.data.catalog import load
from winnow.data.stacking import stack
from winnow.engine.explain.relevance.relevance import relevance
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.networks.multitask import build_network
from winnow.engine.specs.network import ResidualSpec
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches

pytestmark = pytest.mark.bench

TASKS = ("seg", "depth", "normals")
IMAGES = 64


def test_relevance_of_all_layers_and_tasks_costs_little_more_than_a_training_pass(figure):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tasks = build_tasks(load("scenes", split="val").fields, TASKS)
    batches = Batches(stack(load("scenes", split="val", length=IMAGES), TASKS), tasks, 32, torch.device("cpu"))
    net = build_network(ResidualSpec(), tasks, batches.channels).to(memory_format=torch.channels_last)

    def training_pass() -> None:
        for batch in batches.in_order():
            found = net(batch.images)
            sum(task.loss(found[name], batch.targets[name]) for name, task in tasks.items()).backward()  # type: ignore[union-attr]

    def explained() -> None:
        relevance(net, batches, settings=Settings(images=IMAGES))

    measured = ratio(explained, training_pass, rounds=7, clock=time.process_time)
    figure("relevance of all layers × 3 tasks ÷ forward and backward", measured, "≤ 1.5")
    started = time.perf_counter()
    explained()
    took = time.perf_counter() - started
    figure(f"relevance of all layers × 3 tasks, {IMAGES} images", f"{took:.2f} s", "≤ 3 s")
    assert measured.median <= 1.5
    assert took <= 3
