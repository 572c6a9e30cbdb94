"""How fast images of the size of NYU-v2 are read, with three tasks; from files, from the cache; in how much memory."""

import re
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.disk.making import depth_of, image_of, normals_of, save
from winnow.data.disk.cache import cached
from winnow.data.layouts.nyu import NyuData
from winnow.data.stacking import Stacked, stack
from winnow.engine.networks.multitask import build_network
from winnow.engine.specs.network import NETWORKS
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batches

pytestmark = pytest.mark.bench

SIZE, IMAGES, BATCH = (288, 384), 48, 4
TASKS = ("seg", "depth", "normals")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout that MTAN published, float64 as there."""
    folder = tmp_path_factory.mktemp("nyu")
    for split, count in (("train", IMAGES), ("val", BATCH)):
        for k in range(count):
            labels = np.random.default_rng(k).integers(-1, 13, SIZE)
            save(folder / split / f"image/{k}.npy", image_of(k, SIZE) / 255)
            save(folder / split / f"label/{k}.npy", labels.astype(np.float64))
            save(folder / split / f"depth/{k}.npy", depth_of(k, SIZE)[:, :, None])
            save(folder / split / f"normal/{k}.npy", normals_of(k, SIZE))
    return folder


def passed(stacked: Stacked, tasks: Mapping[str, Task]) -> int:
    """Go through all batches of an epoch; return how many images there were."""
    batches = Batches(stacked, tasks, BATCH, torch.device("cpu"))
    return sum(len(batch.images) for batch in batches.shuffled(0, 0, False))


def memory() -> int:
    """Return the memory of this process that no file holds [kB]."""
    found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    if found is None:
        pytest.skip("this system does not tell anonymous memory")
    return int(found[1])


def seconds(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began


def test_reading_feeds_a_resnet50_three_times_and_the_cache_is_faster(root: Path, tmp_path: Path, figure) -> None:
    torch.set_num_threads(2)
    asked = {"dataset": "nyu", "root": str(root)}
    spec, held = NyuData.model_validate(asked), NyuData.model_validate({**asked, "cache": str(tmp_path / "cache")})
    tasks = build_tasks({name: spec.fields[name] for name in TASKS}, TASKS)
    reading = seconds(lambda: passed(stack(spec.load("train"), TASKS), tasks)) / IMAGES
    first = seconds(lambda: passed(cached(held, "train", TASKS), tasks)) / IMAGES
    kept = cached(held, "train", TASKS)
    passed(kept, tasks)
    before = memory()
    second = seconds(lambda: passed(kept, tasks)) / IMAGES
    after = memory()
    net = build_network(NETWORKS["resnet50"](), tasks, 3)
    images = torch.rand(2, 3, *SIZE)

    def step() -> None:
        sum(output.square().mean() for output in net(images).values()).backward()

    step()
    consumed = seconds(step) / len(images)
    figure(
        "images a second: read and checked, from the cache, ResNet-50",
        [f"{1 / t:.1f}" for t in (reading, second, consumed)],
        "",
    )
    figure("rate of reading ÷ what ResNet-50 consumes", f"{consumed / reading:.1f}", "≥ 3")
    figure("first epoch, which fills the cache, ÷ the second", f"{first / second:.1f}", "≥ 5")
    figure("memory after an epoch ÷ before", f"{after / before:.3f}", "≤ 1.02")
    assert consumed / reading >= 3
    assert first / second >= 5
    assert after / before <= 1.02
