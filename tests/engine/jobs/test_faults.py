"""Ten faults found in published code for sparse multi-task training: each is tested here, and so is its test.

Every check is run on our behaviour, where it must pass, and on a copy of it that is broken on purpose, where it must
fail.
"""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from winnow.data.catalog import DATASETS, load
from winnow.data.stacking import Stacked, stack
from winnow.engine.cli.follow import outcome
from winnow.engine.jobs.epoch_report import removable_shares
from winnow.engine.measure.counts import cost, sparsity_table
from winnow.engine.networks.multitask import build_network
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.run import Run, create
from winnow.engine.sparsity.counts import living
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.loop import EpochDone, Training, begin, train, validate

CPU = torch.device("cpu")
SMALL = {"widths": (8, 16), "blocks": (1, 1), "head_width": 8}


def passes_only(check: Callable[..., None], ours: object, broken: object) -> None:
    check(ours)
    with pytest.raises(AssertionError):
        check(broken)


def spec(**changes: object) -> TrainSpec:
    return parse({"data": {"dataset": "digits"}, "network": SMALL, "epochs": 2, "batch_size": 64, **changes})


@pytest.fixture(scope="module")
def stacked() -> dict[str, Stacked]:
    return {split: stack(load("digits", split=split), ("digit", "parity", "ink")) for split in ("train", "val")}


@pytest.fixture
def start(stacked: dict[str, Stacked]) -> Callable[..., tuple[Training, Batches, Batches]]:
    def make(**changes: object) -> tuple[Training, Batches, Batches]:
        asked = spec(**changes)
        tasks = build_tasks(load("digits", split="val").fields, asked.tasks)
        batches, validation = (Batches(stacked[split], tasks, 64, CPU) for split in ("train", "val"))
        torch.manual_seed(0)
        return begin(asked, build_network(asked.network, tasks, 1), tasks, batches), batches, validation

    return make


def test_fault_1_the_optimiser_keeps_its_state_over_epochs(start):
    def ours() -> Training:
        training, batches, validation = start()
        for _ in train(training, batches, validation):
            pass
        return training

    def rebuilt_every_epoch() -> Training:
        training, batches, validation = start()
        for record in train(training, batches, validation):
            if isinstance(record, EpochDone):
                training.proximal.optimizer.state.clear()
        return training

    def check(run: Callable[[], Training]) -> None:
        training = run()
        states = training.proximal.optimizer.state.values()
        assert {int(state["step"]) for state in states} == {training.step}

    passes_only(check, ours, rebuilt_every_epoch)


def test_fault_2_the_penalty_acts_once(start):
    def step(in_the_loss: bool) -> Training:
        training, batches, _ = start(optimiser={"optimiser": "sgd", "momentum": 0, "weight_decay": 0})
        proximal = Proximal(training.proximal.optimizer, _groups(training), GroupLasso(0.05))
        batch = next(batches.in_order())
        loss = training.net(batch.images)["ink"].square().mean()
        if in_the_loss:
            loss = loss + 0.05 * sum(b.size**0.5 * _differentiable_norms(b).sum() for b in proximal.banks)
        loss.backward()
        proximal.step()
        return training

    def check(in_the_loss: bool) -> None:
        training, batches, _ = start()
        training.net(next(batches.in_order()).images)["ink"].square().mean().backward()
        weight = training.net.trunk.stages[1][0].conv2[0].weight
        moved = weight.detach() - 2e-3 * weight.grad
        norms = moved.square().sum((0, 2, 3)).sqrt()
        shrunk = moved * (1 - 2e-3 * 0.05 * (moved[:, 0].numel() ** 0.5) / norms).clamp(min=0)[:, None, None]
        found = step(in_the_loss).net.trunk.stages[1][0].conv2[0].weight
        torch.testing.assert_close(found.detach(), shrunk, rtol=1e-6, atol=1e-8)

    passes_only(check, False, True)


def _groups(training: Training) -> list:
    from winnow.engine.sparsity.groups import input_groups

    return input_groups(training.net.trunk)


def _differentiable_norms(bank) -> Tensor:
    return bank.sums([parameter.square() for parameter in bank.parameters]).sqrt()


def test_fault_3_one_definition_counts_groups_everywhere(start):
    training, _, _ = start()
    for bank in training.proximal.banks:
        bank.scale_((torch.arange(bank.channels) % 2).float())
    training.proximal.norms = [bank.norms() for bank in training.proximal.banks]

    def along_inputs() -> float:
        banks = training.proximal.banks
        groups = [group for group in _all_groups(training.net) if group.layer in {bank.layer for bank in banks}]
        return float(sparsity_table(training.net, groups=groups)["group_sparsity"].iloc[-1])

    def along_outputs() -> float:
        weights = [p for name, p in training.net.trunk.named_parameters() if p.dim() == 4]
        zero = sum(int((w.flatten(1).norm(dim=1) == 0).sum()) for w in weights)
        return 100 * zero / sum(len(w) for w in weights)

    def check(count: Callable[[], float]) -> None:
        told = training.counts.percent("group", living(training.proximal.norms))
        assert told > 40
        assert count() == pytest.approx(told)

    passes_only(check, along_inputs, along_outputs)


def _all_groups(net: nn.Module) -> list:
    from winnow.engine.sparsity.groups import input_groups

    return input_groups(net)


def test_fault_4_the_optimiser_holds_the_uncertainty_weights(start):
    def ours() -> Training:
        return start(balancing={"balancing": "uncertainty"})[0]

    def forgotten() -> Training:
        training = ours()
        training.proximal.optimizer.param_groups.pop()
        return training

    def check(make: Callable[[], Training]) -> None:
        training, (_, batches, validation) = make(), start()
        before = [p.detach().clone() for p in training.balancer.parameters()]
        assert before
        next(iter(train(training, batches, validation)))
        assert all(not torch.equal(p, old) for p, old in zip(training.balancer.parameters(), before, strict=True))

    passes_only(check, ours, forgotten)


def test_fault_5_dense_and_sparse_decay_weights_in_the_same_way(start):
    def ours(strength: float) -> Training:
        return start(penalty={"strength": strength}, optimiser={"weight_decay": 0.1})[0]

    def coupled_if_dense(strength: float) -> Training:
        return start(
            penalty={"strength": strength},
            optimiser={"weight_decay": 0.1, "optimiser": "adamw" if strength else "adam"},
        )[0]

    def check(make: Callable[[float], Training]) -> None:
        dense, sparse = (make(strength).proximal.optimizer for strength in (0.0, 1e-3))
        assert type(dense) is type(sparse)
        for one, other in zip(dense.param_groups, sparse.param_groups, strict=True):
            assert one["weight_decay"] == other["weight_decay"]
            assert one["decoupled_weight_decay"] == other["decoupled_weight_decay"]

    passes_only(check, ours, coupled_if_dense)


def test_fault_6_the_trunk_runs_once_per_step(start):
    def ours(net: nn.Module, images: Tensor) -> None:
        net(images)

    def once_per_task(net: nn.Module, images: Tensor) -> None:
        for task in net.heads:
            net(images)[task]

    def check(forward: Callable[[nn.Module, Tensor], None]) -> None:
        training, batches, _ = start()
        forward(training.net.train(), next(batches.in_order()).images)
        assert int(training.net.trunk.stem[0][1].num_batches_tracked) == 1

    passes_only(check, ours, once_per_task)


def test_fault_7_testing_is_in_eval_mode(start):
    def in_train_mode(training: Training, batches: Batches) -> dict:
        evaluated = training.net.eval
        training.net.eval = training.net.train  # type: ignore[method-assign]
        try:
            return validate(training, batches)
        finally:
            training.net.eval = evaluated  # type: ignore[method-assign]

    def check(judge: Callable[[Training, Batches], dict]) -> None:
        training, _, validation = start()
        statistics = training.net.trunk.stem[0][1].running_mean.clone()
        assert judge(training, validation) == judge(training, validation)
        assert torch.equal(training.net.trunk.stem[0][1].running_mean, statistics)

    passes_only(check, validate, in_train_mode)


def test_fault_8_one_checkpoint_stands_for_all_tasks(runs_root: Path):
    run = create(spec(tasks=("digit", "parity")))
    accuracy = {"digit": [90.0, 80.0], "parity": [70.0, 95.0]}
    for task, values in accuracy.items():
        rows = [Event(0.0, i + 1, 10 * (i + 1), task, "val", "accuracy", v) for i, v in enumerate(values)]
        write_events(run.path / "events.jsonl", rows)

    def best_of_each(run: Run) -> dict:
        events = run.events()
        best = events.groupby("task")["value"].max()
        return {"metrics": {task: ["accuracy", best[task], "%"] for task in run.spec.tasks}}

    def check(summarise: Callable[[Run], dict]) -> None:
        found = [summarise(run)["metrics"][task][1] for task in run.spec.tasks]
        assert found in ([accuracy["digit"][epoch], accuracy["parity"][epoch]] for epoch in (0, 1))

    passes_only(check, outcome, best_of_each)


def test_fault_9_a_zero_is_not_a_saving(start):
    training, batches, _ = start()
    example = batches.example()
    dense = float(cost(training.net, example)["macs"].iloc[-1])
    half = torch.arange(training.proximal.banks[1].channels) % 2 == 0
    training.proximal.banks[1].scale_(half.float())  # one reader of several ignores half of the stream
    zero = 100 * float((training.proximal.banks[1].parameters[0] == 0).float().mean())

    def zeros_counted(_: Training) -> float:
        return zero

    def check(saved: Callable[[Training], float]) -> None:
        assert zero == 50
        assert float(cost(training.net, example)["macs"].iloc[-1]) == dense
        assert saved(training) == 0  # the other readers of the stream still need each of its channels

    passes_only(check, lambda chosen: removable_shares(chosen.graph.savings())["removable_macs"], zeros_counted)


def _pooled(task, parts: Iterator[tuple[Tensor, Tensor]]) -> dict[str, float]:
    meter = task.meter()
    for prediction, target in parts:
        meter.update(prediction, target)
    return meter.compute()


def test_fault_10_depth_is_in_metres_and_rmse_has_its_root():
    torch.manual_seed(0)
    task = build_tasks(DATASETS["scenes"]().fields, ["depth"])["depth"]
    target = torch.rand(3, 8, 8) * torch.tensor([1.0, 4.0, 9.0])[:, None, None] + 0.5
    prediction = target[:, None] + 0.3

    def over_the_images_maximum() -> dict[str, float]:
        largest = target.amax((1, 2), keepdim=True)
        return _pooled(task, iter([(prediction / largest[:, None], target / largest)]))

    def without_the_root() -> dict[str, float]:
        values = _pooled(task, iter([(prediction, target)]))
        return {**values, "rmse": values["rmse"] ** 2}

    def check(measure: Callable[[], dict[str, float]]) -> None:
        values = measure()
        assert values["abs_error"] == pytest.approx(0.3, rel=1e-5)
        assert values["rmse"] == pytest.approx(0.3, rel=1e-5)

    for broken in (over_the_images_maximum, without_the_root):
        passes_only(check, lambda: _pooled(task, iter([(prediction, target)])), broken)


def test_fault_10_iou_is_pooled_over_the_split():
    torch.manual_seed(0)
    task = build_tasks(DATASETS["scenes"]().fields, ["seg"])["seg"]
    target = torch.randint(0, 13, (4, 8, 8))
    target[0] = 2
    prediction = torch.randn(4, 13, 8, 8)
    parts = [(prediction[i : i + 1], target[i : i + 1]) for i in range(4)]

    def mean_over_batches() -> float:
        return sum(_pooled(task, iter([part]))["miou"] for part in parts) / 4

    def check(measure: Callable[[], float]) -> None:
        guess = prediction.argmax(1)
        ious = [
            float(((guess == k) & (target == k)).sum() / ((guess == k) | (target == k)).sum())
            for k in range(13)
            if ((guess == k) | (target == k)).any()
        ]
        assert measure() == pytest.approx(100 * sum(ious) / len(ious))

    passes_only(check, lambda: _pooled(task, iter(copy.copy(parts)))["miou"], mean_over_batches)
