"""A strength that is learned while training: what it is learned from, that it resumes, and with what it works."""

from pathlib import Path

import pytest
import torch

from tests.engine.training.test_loop import CPU, digits, same, weights
from winnow.data.catalog import load
from winnow.data.stacking import stack
from winnow.engine.graph.modes import statistics_kept
from winnow.engine.networks.multitask import build_network
from winnow.engine.sparsity.learned import Learned
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training import learning as learning_module
from winnow.engine.training.averaging import WeightMeans
from winnow.engine.training.batches import Batches
from winnow.engine.training.checkpoint import load_checkpoint, save_checkpoint
from winnow.engine.training.learning import Measured, measured_on
from winnow.engine.training.loop import EpochDone, Training, begin, train

LEARNED = {"learned": "global", "strength": 3e-3, "learn_every": 3, "horizon": 20}


@pytest.fixture(scope="module")
def stacked() -> dict:
    return {split: stack(load("digits", split=split), ("digit", "parity", "ink")) for split in ("train", "val")}


def learning(stacked: dict, **changes: object) -> tuple[Training, Batches, Batches]:
    spec = digits(**{"epochs": 1, "batch_size": 64, "penalty": LEARNED, **changes})
    tasks = build_tasks(spec.fields, spec.tasks)
    images, validation = (Batches(stacked[split], tasks, spec.batch_size, CPU) for split in ("train", "val"))
    images, held = images.parted(spec.penalty.held_out, spec.seed)
    torch.manual_seed(spec.seed)
    return begin(spec, build_network(spec.network, tasks, 1), tasks, images, held_out=held), images, validation


def own_controller(training: Training) -> Learned:
    assert isinstance(training.controller, Learned)
    return training.controller


def test_the_images_are_parted_by_the_seed(stacked: dict):
    tasks = build_tasks(load("digits", split="val").fields, ("ink",))
    whole = Batches(stacked["train"], tasks, 32, CPU)
    (rest, held), (_, again), (_, other) = (whole.parted(0.1, seed) for seed in (3, 3, 4))
    assert held.images == round(0.1 * whole.images)
    both = torch.cat([rest.target("ink"), held.target("ink")])
    assert both.sort().values.equal(whole.target("ink").sort().values)
    assert held.target("ink").equal(again.target("ink"))
    assert not held.target("ink").equal(other.target("ink"))


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_a_part_without_a_batch_is_refused_with_what_would_do(stacked: dict, share: float):
    whole = Batches(stacked["train"], build_tasks(load("digits", split="val").fields, ("ink",)), 32, CPU)
    with pytest.raises(ValueError, match=r"`held_out` must give both parts a full batch of 32 .* Give 0.03 to 0.97"):
        whole.parted(share, 0)


def test_nothing_held_out_is_refused(stacked: dict):
    training, images, _ = learning(stacked)
    with pytest.raises(ValueError, match="`held_out` must be given"):
        begin(training.spec, training.net, training.tasks, images)


def test_what_is_measured_is_the_gradient_and_the_error_of_the_weighted_loss(stacked: dict):
    training, *_ = learning(stacked)
    assert training.held_out is not None
    batch, weights_ = next(training.held_out.in_order()), torch.tensor([1.0, 0.5, 2.0])
    with statistics_kept(training.net):
        found = measured_on(training, batch, weights_, 1000, "here")
        predictions = training.net(batch.images)
    losses = [task.loss(predictions[name], batch.targets[name]) for name, task in training.tasks.items()]
    torch.stack([w * loss for w, loss in zip(weights_, losses, strict=True)]).sum().backward()
    for parameter, gradient in found.gradients.items():
        torch.testing.assert_close(gradient, parameter.grad)
    assert found.losses == pytest.approx([float(loss.detach()) for loss in losses], rel=1e-5)
    each = [
        sum(
            float(w) * float(task.loss(predictions[name][i : i + 1], batch.targets[name][i : i + 1]).detach())
            for w, (name, task) in zip(weights_, training.tasks.items(), strict=True)
        )
        for i in range(len(batch.images))
    ]
    assert found.error == pytest.approx(float(torch.tensor(each).std()) / 1000**0.5, rel=1e-4)


def test_learning_leaves_statistics_and_the_first_step_alone(stacked: dict):
    plain, _, validation = learning(stacked, penalty={**LEARNED, "learn_every": 1000})
    other, *_ = learning(stacked, penalty={**LEARNED, "learn_every": 1})
    for training in (plain, other):
        assert training.held_out is not None
        next(iter(train(training, learning(stacked)[1], validation)))
    assert same(weights(plain), weights(other))
    assert own_controller(other).taken == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"penalty": {**LEARNED, "learned": "layer", "groups": "coupled"}},
        {"penalty": {**LEARNED, "groups": "output"}, "optimiser": {"optimiser": "sgd", "learning_rate": 1e-2}},
        {"penalty": {**LEARNED, "strength": 0.2, "removal": 1, "groups": "coupled"}, "epochs": 3},
        {"balancing": {"balancing": "uncertainty"}, "optimiser": {"rate": {"*.bias": 0.1}}},
        {"balancing": {"balancing": "pcgrad"}, "accumulate": 2},
    ],
    ids=["layers", "sgd", "removal", "rates", "micro-batches"],
)
def test_a_learned_strength_resumes_with_the_same_bits(stacked: dict, tmp_path: Path, changes: dict):
    straight, images, validation = learning(stacked, **changes)
    half = images.steps * straight.spec.epochs // 2
    for record in train(straight, images, validation):
        if record.step == half and not isinstance(record, EpochDone):
            save_checkpoint(tmp_path, straight, record.epoch)
    resumed, images, validation = learning(stacked, **changes)
    assert load_checkpoint(tmp_path, resumed) == []
    assert own_controller(resumed).taken > 0
    list(train(resumed, images, validation))
    assert same(weights(straight), weights(resumed))
    assert own_controller(straight).state() == own_controller(resumed).state()
    if straight.spec.penalty.removal:
        assert straight.stays, "nothing was removed"


def test_a_live_change_is_what_a_planned_change_was(stacked: dict):
    live, images, validation = learning(stacked)
    for record in train(live, images, validation):
        if record.step == 5:
            live.controller.base = 0.05
    planned, images, validation = learning(stacked, strength_changes=[{"step": 5, "strength": 0.05}])
    list(train(planned, images, validation))
    assert same(weights(live), weights(planned))


def test_the_zeros_are_kept_in_the_refit(stacked: dict):
    training, images, validation = learning(stacked, epochs=2, penalty={**LEARNED, "strength": 0.1})
    zeros = [
        int((torch.cat(training.proximal.norms) == 0).sum())
        for record in train(training, images, validation)
        if training.proximal.support is not None
    ]
    assert zeros
    assert len(set(zeros)) == 1


def test_the_means_are_those_of_the_last_steps_and_leave_the_weights_in_place():
    net, means = torch.nn.Linear(1, 1, bias=False), WeightMeans(horizon=2.0)
    for steps, value in enumerate((4.0, 2.0, 6.0), start=1):
        torch.nn.init.constant_(net.weight, value)
        means.follow(net, steps)
    place = net.weight.data_ptr()
    with means.in_place(net):
        assert net.weight.item() == pytest.approx(((4 + 2) / 2 + 6) / 2)
    assert net.weight.item() == 6
    assert net.weight.data_ptr() == place


def test_the_means_begin_anew_with_a_smaller_network():
    means = WeightMeans(horizon=2.0)
    means.follow(torch.nn.Linear(3, 2), 1)
    small = torch.nn.Linear(2, 2)
    means.follow(small, 2)
    assert means.values["weight"].equal(small.weight)


def test_it_is_measured_at_the_means_without_what_has_died(stacked: dict, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[torch.Tensor, ...]] = []

    def noted(training: Training, *given: object) -> Measured:
        norms = torch.cat([bank.norms() for bank in training.proximal.banks])
        seen.append((norms, torch.cat(training.proximal.norms), training.proximal.banks[0].parameters[0].clone()))
        return measured_on(training, *given)

    monkeypatch.setattr(learning_module, "measured_on", noted)
    training, images, validation = learning(stacked, penalty={**LEARNED, "strength": 0.3})
    now = [training.proximal.banks[0].parameters[0].clone() for record in train(training, images, validation)]
    at_means, own, weight = seen[-1]
    assert (own == 0).any()
    assert (at_means[own == 0] == 0).all()
    assert (at_means[own > 0] > 0).all()
    assert not any(weight.equal(other) for other in now)
