"""The planted network does its tasks, and its truth holds when channels are really removed."""

import numpy as np
import pytest
import torch

from tests.engine.explain.planted.network import LAYERS, Planted, planted_network
from tests.engine.explain.planted.wiring import TASKS
from winnow.data.planted import Planted as Data
from winnow.data.stacking import stack
from winnow.engine.training.batches import Batches

SIZE = 40


def images(planted: Planted, seed: int, count: int = 48, size: int = SIZE) -> Batches:
    stacked = stack(Data("val", count, size, seed), TASKS)
    return Batches(stacked, planted.tasks, 16, torch.device("cpu"))


@pytest.mark.parametrize("seed", [0, 1])
def test_it_does_its_tasks(seed: int):
    planted = planted_network(seed, 64)
    meters = {name: task.meter() for name, task in planted.tasks.items()}
    with torch.no_grad():
        for batch in images(planted, seed, size=64).in_order():
            given = planted.net(batch.images)
            for name, meter in meters.items():
                meter.update(given[name], batch.targets[name])
    figures = {name: meter.compute() for name, meter in meters.items()}
    assert figures["amount"]["r2"] > 0.4
    assert figures["strongest"]["accuracy"] > 85
    assert figures["place"]["miou"] > 65


def test_images_of_other_looks_mean_nothing_to_it():
    planted = planted_network(0, SIZE)
    meter = planted.tasks["strongest"].meter()
    with torch.no_grad():
        for batch in images(planted, 1).in_order():
            meter.update(planted.net(batch.images)["strongest"], batch.targets["strongest"])
    assert meter.compute()["accuracy"] < 60


def test_without_leaks_a_channel_matters_to_the_tasks_that_use_it_and_to_no_other():
    planted = planted_network(2, SIZE, leak=0.0)
    batch = next(images(planted, 2, 8).in_order())
    layers = dict(planted.net.named_modules())
    with torch.no_grad():
        whole = planted.net(batch.images)
        for name in LAYERS:
            known = planted.truth[planted.truth["layer"] == name]
            for channel, used_by in zip(known["channel"], known["used_by"], strict=True):
                changed = _without(planted.net, layers[name], int(channel), batch.images, name == "trunk")
                moved = {task for task in TASKS if not torch.allclose(changed[task], whole[task], atol=1e-6)}
                assert moved == set(used_by.split("+")) - {""}, (name, channel)


def _without(net, layer, channel, pictures, output):
    def blank(x):
        x = x.clone()
        x[:, channel] = 0
        return x

    if output:
        handle = layer.register_forward_hook(lambda _, given, result: blank(result))
    else:
        handle = layer.register_forward_pre_hook(lambda _, given: (blank(given[0]),))
    try:
        return net(pictures)
    finally:
        handle.remove()


def test_norms_say_nothing_of_use():
    planted = planted_network(0, SIZE)
    known = planted.truth[planted.truth["layer"] == "trunk.4"]
    norms = planted.net.trunk[4].weight.detach().flatten(1).norm(dim=0).numpy()
    used, idle = (norms[(known["label"] == label).to_numpy()] for label in ("shared", "idle"))
    assert idle.max() > np.median(used)


def test_a_seed_says_it_all():
    one, same, other = (planted_network(seed, SIZE).net.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["trunk.0.weight"][:3], other["trunk.0.weight"][:3])


def test_a_negative_leak_is_refused():
    with pytest.raises(ValueError, match="`leak` must be at least 0, got -1"):
        planted_network(leak=-1)
