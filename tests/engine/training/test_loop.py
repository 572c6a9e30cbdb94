"""The loop: seeds decide everything, a checkpoint loses nothing, a broken loss is named."""

import copy
import json
import math
from pathlib import Path

import pytest
import torch

from winnow.data.catalog import load
from winnow.data.stacking import stack
from winnow.engine.networks.multitask import build_network
from winnow.engine.runs.digests import manifests
from winnow.engine.specs.network import ResidualSpec
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.checkpoint import load_checkpoint, save_checkpoint
from winnow.engine.training.loop import EpochDone, NonFiniteLossError, Training, begin, start_at_constants, train

CPU = torch.device("cpu")
SMALL = ResidualSpec(widths=(8, 16), blocks=(1, 1), head_width=8)


def digits(epochs: int = 2, **changes: object) -> TrainSpec:
    network = SMALL.model_dump()
    return parse({"data": {"dataset": "digits"}, "network": network, "epochs": epochs, "batch_size": 32, **changes})


@pytest.fixture(scope="module")
def stacked() -> dict:
    names = ("digit", "parity", "ink")
    return {split: stack(load("digits", split=split), names) for split in ("train", "val")}


def setting(spec: TrainSpec, stacked: dict) -> tuple[Training, Batches, Batches]:
    tasks = build_tasks(load("digits", split="val").fields, spec.tasks)
    batches, validation = (Batches(stacked[split], tasks, spec.batch_size, CPU) for split in ("train", "val"))
    torch.manual_seed(spec.seed)
    training = begin(spec, build_network(spec.network, tasks, 1), tasks, batches)
    start_at_constants(training, batches)
    return training, batches, validation


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in training.net.state_dict().items()}


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_training_learns_all_tasks(stacked: dict):
    training, batches, validation = setting(
        digits(6, penalty={"strength": 1e-4}, optimiser={"learning_rate": 5e-3}), stacked
    )
    last = [record for record in train(training, batches, validation) if isinstance(record, EpochDone)][-1]
    assert last.metrics["digit"]["accuracy"] > 80
    assert last.metrics["parity"]["accuracy"] > 85
    assert last.metrics["ink"]["r2"] > 0.3


@pytest.mark.parametrize("groups", ["input", "coupled"])
def test_one_spec_gives_the_same_bits_twice(stacked: dict, groups: str):
    ended = []
    for _ in range(2):
        training, batches, validation = setting(digits(2, penalty={"target": 40.0, "groups": groups}), stacked)
        list(train(training, batches, validation))
        ended.append(weights(training))
    assert same(*ended)


def test_fresh_state_forgets_the_moments_at_each_epoch(stacked: dict):
    ended = []
    for forgets in (False, True):
        optimiser = {"fresh_state": forgets, "learning_rate": 1e-3, "schedule": "constant"}
        training, batches, validation = setting(digits(2, optimiser=optimiser), stacked)
        list(train(training, batches, validation))
        steps = {int(own["step"]) for own in training.proximal.optimizer.state.values()}
        assert steps == {batches.steps if forgets else 2 * batches.steps}
        ended.append(weights(training))
    assert not same(*ended)


PENALTIES = {
    "fixed": {"strength": 3e-3},
    "ramped and refitted": {"strength": 1e-2, "warm_up": 0, "ramp": 1, "refit": 0.3},
    "targeted": {"target": 50.0, "refit": 0.4},
    "targeted, stopped in the refit": {"target": 50.0, "refit": 0.7},
}


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_resumed_run_ends_with_the_same_bits(stacked: dict, tmp_path: Path, optimiser: str, penalty: str):
    spec = digits(optimiser={"optimiser": optimiser, "learning_rate": 1e-2}, penalty=PENALTIES[penalty])
    straight, batches, validation = setting(spec, stacked)
    for record in train(straight, batches, validation):
        if record.step == 50 and not isinstance(record, EpochDone):
            save_checkpoint(tmp_path, straight, record.epoch)
    resumed, batches, validation = setting(spec, stacked)
    assert load_checkpoint(tmp_path, resumed) == []
    assert resumed.step == 50
    list(train(resumed, batches, validation))
    assert same(weights(straight), weights(resumed))


def test_a_damaged_checkpoint_is_passed_over(stacked: dict, tmp_path: Path):
    training, batches, validation = setting(digits(1), stacked)
    for record in train(training, batches, validation):
        if record.step in (3, 6) and not isinstance(record, EpochDone):
            save_checkpoint(tmp_path, training, 1)
    newest = manifests(tmp_path)[-1].with_suffix(".safetensors")
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes(content)
    fresh, *_ = setting(digits(1), stacked)
    assert load_checkpoint(tmp_path, fresh) == ["00000006"]
    assert fresh.step == 3


def test_strength_makes_exact_zeros_and_none_makes_none(stacked: dict):
    shares = []
    for strength in (0.0, 0.02):
        training, batches, validation = setting(digits(3, penalty={"strength": strength}), stacked)
        list(train(training, batches, validation))
        shares.append(float((torch.cat(training.proximal.norms) == 0).float().mean()))
    assert shares[0] == 0
    assert shares[1] > 0.05


def test_a_planned_change_is_what_a_live_change_was(stacked: dict):
    live, batches, validation = setting(digits(1), stacked)
    for record in train(live, batches, validation):
        if record.step == 5:
            live.controller.base = 0.05
    planned, batches, validation = setting(digits(1, strength_changes=[{"step": 5, "strength": 0.05}]), stacked)
    list(train(planned, batches, validation))
    assert same(weights(live), weights(planned))


@pytest.mark.parametrize("scope", ["trunk", "heads", "both"])
@pytest.mark.parametrize("groups", ["input", "output", "coupled"])
@pytest.mark.parametrize("penalty", ["group_lasso", "sparse_group_lasso", "group_mcp", "l1"])
def test_every_penalty_trains_on_every_kind_of_group(stacked: dict, penalty: str, groups: str, scope: str):
    mcp_on_overlap = penalty == "group_mcp" and groups == "coupled"
    asked = {"penalty": penalty, "groups": groups, "scope": scope, "strength": 3e-3}
    optimiser = {"optimiser": "sgd" if mcp_on_overlap else "adamw", "learning_rate": 1e-2}
    spec = digits(1, penalty=asked, optimiser=optimiser, batch_size=256)
    training, batches, validation = setting(spec, stacked)
    layers = {bank.layer.partition(".")[0] for bank in training.proximal.banks}
    assert layers == {"trunk": {"trunk"}, "heads": {"heads"}, "both": {"trunk", "heads"}}[scope]
    for record in train(training, batches, validation):
        assert all(map(math.isfinite, record.losses.values() if not isinstance(record, EpochDone) else [0.0]))


@pytest.mark.parametrize("method", ["equal", "auto", "uncertainty", "dwa", "gradnorm", "famo", "pcgrad", "upgrad"])
def test_every_kind_of_balancing_resumes_with_the_same_bits(stacked: dict, tmp_path: Path, method: str):
    spec = digits(2, balancing={"balancing": method}, batch_size=128)
    straight, batches, validation = setting(spec, stacked)
    for record in train(straight, batches, validation):
        if record.step == 12 and not isinstance(record, EpochDone):
            save_checkpoint(tmp_path, straight, record.epoch)
    resumed, batches, validation = setting(spec, stacked)
    load_checkpoint(tmp_path, resumed)
    list(train(resumed, batches, validation))
    assert same(weights(straight), weights(resumed))


def test_a_loss_that_is_no_number_is_named(stacked: dict):
    training, batches, validation = setting(digits(1), stacked)
    with torch.no_grad():
        training.net.heads["ink"].out.bias.fill_(float("nan"))
    with pytest.raises(NonFiniteLossError, match=r"NaN at epoch 1, step 1 \(task ink\)"):
        list(train(training, batches, validation))


def test_weights_that_become_no_numbers_in_the_last_step_end_the_run(stacked: dict):
    training, batches, validation = setting(digits(1), stacked)

    def broken_in_the_end() -> None:
        for record in train(training, batches, validation):
            if record.step == batches.steps:
                torch.nn.init.constant_(training.net.heads["ink"].out.bias, math.nan)

    with pytest.raises(NonFiniteLossError, match=rf"weights became NaN at epoch 1, step {batches.steps} \(task ink"):
        broken_in_the_end()


def test_a_task_without_labels_to_learn_from_is_refused(stacked: dict):
    training, batches, _ = setting(digits(1), copy.deepcopy(stacked))
    batches.target("digit").fill_(-1)
    with pytest.raises(ValueError, match="`tasks` must have labels in the training images, got none of digit"):
        start_at_constants(training, batches)


def test_the_trunk_runs_once_per_step(stacked: dict):
    training, batches, validation = setting(digits(1), stacked)
    passes = []
    training.net.trunk.register_forward_hook(lambda *_: passes.append(training.net.training))
    list(train(training, batches, validation))
    assert sum(passes) == batches.steps


def test_a_target_changed_live_is_replayed_and_resumed_with_the_same_bits(stacked: dict, tmp_path: Path):
    asked = {"penalty": {"target": 30.0, "strength": 0.05}}
    live, batches, validation = setting(digits(2, **asked), stacked)
    for record in train(live, batches, validation):
        if isinstance(record, EpochDone) or record.step not in (4, 6):
            continue
        if record.step == 4:
            live.controller.percent = 70.0
        else:
            save_checkpoint(tmp_path, live, 1)
    assert json.loads(manifests(tmp_path)[-1].read_bytes())["target"] == 70.0
    planned, batches, validation = setting(digits(2, **asked, target_changes=[{"step": 4, "target": 70.0}]), stacked)
    list(train(planned, batches, validation))
    resumed, batches, validation = setting(digits(2, **asked), stacked)
    load_checkpoint(tmp_path, resumed)
    list(train(resumed, batches, validation))
    unchanged, batches, validation = setting(digits(2, **asked), stacked)
    list(train(unchanged, batches, validation))
    assert same(weights(live), weights(planned))
    assert same(weights(live), weights(resumed))
    assert not same(weights(live), weights(unchanged))
    zero = 100 * float((torch.cat(live.proximal.norms) == 0).float().mean())
    assert zero == pytest.approx(70, abs=2)
