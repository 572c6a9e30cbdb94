"""Removing while training: the smaller network trains as the dense one would with what went held at zero."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from winnow.data.catalog import load
from winnow.data.stacking import Stacked, stack
from winnow.engine.jobs.epoch_report import groups_table, kernels_table
from winnow.engine.jobs.restore import restored_network
from winnow.engine.jobs.run_data import fields
from winnow.engine.jobs.session import TrainingSession
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.training_job import run_training
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.networks.multitask import MultiTaskNet, build_network
from winnow.engine.pruning.kept import widened
from winnow.engine.runs.digests import manifests
from winnow.engine.runs.events import current_events
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.undo import undo
from winnow.engine.runs.work_folder import WorkFolder
from winnow.engine.sparsity.counts import living
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    network_tensors,
    newest_checkpoint,
    put_network,
    save_checkpoint,
)
from winnow.engine.training.loop import EpochDone, StepDone, Training, begin, train
from winnow.engine.training.removal import Removed, regrow, remove

CPU = torch.device("cpu")
NETWORK = {"widths": (12, 16), "blocks": (1, 1), "head_width": 8}
STEPS = 4  # an epoch
Setting = tuple[Training, Batches, Batches]
Records = Iterator[StepDone | EpochDone | Removed]


def spec(optimiser: str = "adamw", epochs: int = 3, **penalty: object) -> TrainSpec:
    chosen = {"removal": 1, "strength": 1e-3, "scope": "both", **penalty}
    rate = {"optimiser": optimiser, "learning_rate": 0.02 if optimiser == "sgd" else 5e-3}
    values = {"data": {"dataset": "digits"}, "network": NETWORK, "epochs": epochs, "batch_size": 256}
    return parse({**values, "penalty": chosen, "optimiser": rate, "threads": 1})


@pytest.fixture(scope="module")
def stacked() -> dict[str, Stacked]:
    return {split: stack(load("digits", split=split), ("digit", "parity", "ink")) for split in ("train", "val")}


@pytest.fixture
def setting(stacked: dict[str, Stacked]) -> Callable[[TrainSpec], Setting]:
    def make(asked: TrainSpec) -> Setting:
        tasks = build_tasks(load("digits", split="val").fields, asked.tasks)
        batches, validation = (Batches(stacked[split], tasks, asked.batch_size, CPU) for split in ("train", "val"))
        torch.manual_seed(asked.seed)
        return begin(asked, build_network(asked.network, tasks, 1), tasks, batches), batches, validation

    return make


def silence(training: Training, every: int = 3) -> None:
    """Zero every third channel of each space that can lose some, in the groups of the kind that the run has."""
    roles = {
        "input": ("reader",),
        "output": ("writer", "norm"),
        "coupled": ("writer", "norm", "reader"),
    }[training.spec.penalty.groups]
    parameters = dict(training.graph.model.named_parameters())
    if training.graph.model is not training.net:
        return
    with torch.no_grad():
        for space in training.graph.spaces:
            for part in space.slices if space.removable else ():
                if part.role in roles and part.parameter in parameters:
                    places = torch.arange(0, part.length, every)
                    entries = (part.start + part.repeat * places[:, None] + torch.arange(part.repeat)).flatten()
                    parameters[part.parameter].index_fill_(part.axis, entries, 0.0)
    training.proximal.norms = [bank.norms() for bank in training.proximal.banks]


def silenced(records: Records, training: Training, more: int = 4) -> Records:
    """Zero channels at the last step of the first epoch, and some more of one layer at that of the third."""
    for record in records:
        if isinstance(record, StepDone) and record.step == STEPS:
            silence(training)
        if isinstance(record, StepDone) and record.step == 3 * STEPS:
            block = training.net.trunk.stages[0][0]
            with torch.no_grad():
                block.conv2[0].weight[:, :more] = 0
                for part in (block.conv1[0].weight, block.conv1[1].weight, block.conv1[1].bias):
                    part[:more] = 0
        yield record


def held(training: Training, masks: dict[str, torch.Tensor]) -> None:
    """Hold what another run removed at zero, moments included."""
    with torch.no_grad():
        for name, parameter in training.net.named_parameters():
            parameter.mul_(masks[name])
            for value in training.proximal.optimizer.state.get(parameter, {}).values():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                    value.mul_(masks[name])
    training.proximal.norms = [bank.norms() for bank in training.proximal.banks]


def masks(training: Training) -> dict[str, torch.Tensor]:
    """Return 1 where the dense network's entries are left, 0 where they went."""
    small = dict(training.net.named_parameters())
    return {
        name: widened(torch.ones_like(small[name]), dense.shape, training.stays.get(name, {}))
        for name, dense in training.graph.model.named_parameters()
    }


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("groups", ["input", "output", "coupled"])
def test_a_smaller_network_trains_as_the_dense_one_held_at_zero(
    setting: Callable[[TrainSpec], Setting], groups: str, optimiser: str
):
    small, *images = setting(spec(optimiser, groups=groups))
    records = list(silenced(train(small, *images), small))
    first, *_ = [record for record in records if isinstance(record, Removed)]
    assert first.step == STEPS
    assert first.after.parameters < 0.8 * first.before.parameters
    assert first.after.macs < 0.8 * first.before.macs
    assert type(small.net) is MultiTaskNet
    one_removal, *images = setting(spec(optimiser, groups=groups, removal=0))
    gone: dict[str, torch.Tensor] = {}
    losses = []
    for record in silenced(train(one_removal, *images), one_removal):
        if isinstance(record, EpochDone) and record.epoch == 1:
            again, *same = setting(spec(optimiser, groups=groups, epochs=1))
            again.net.load_state_dict(one_removal.net.state_dict())
            assert remove(again, same[0]) is not None
            gone = masks(again)
        if gone:
            held(one_removal, gone)
        if isinstance(record, StepDone) and record.epoch == 2:
            losses.append(record.losses)
    found = [record.losses for record in records if isinstance(record, StepDone) and record.epoch == 2]
    assert len(found) == STEPS
    for one, other in zip(found, losses, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("groups", ["input", "output", "coupled"])
def test_reports_stay_those_of_the_dense_network(setting: Callable[[TrainSpec], Setting], groups: str):
    training, *images = setting(spec(groups=groups))
    for record in train(training, *images):
        if record.step == 2:
            break
    silence(training)
    proximal = training.proximal
    before = training.counts.all_percents(living(proximal.norms))
    table, kernels = groups_table(training), kernels_table(proximal.dense_banks)
    saved = training.dense_graph().savings()
    shapes = [(bank.layer, bank.channels, bank.size) for bank in proximal.banks]
    assert remove(training, images[0]) is not None
    assert sum(bank.channels for bank in proximal.banks) < sum(shape[1] for shape in shapes)
    assert [(bank.layer, bank.channels, bank.size) for bank in proximal.dense_banks] == shapes
    training.dense_graph()
    after, later = groups_table(training), kernels_table(proximal.dense_banks)
    assert after[["layer", "channel", "size"]].equals(table[["layer", "channel", "size"]])
    assert (after["norm"] <= table["norm"] * (1 + 1e-5)).all()
    dead = table["state"] == "dead"
    assert (after.loc[dead, "state"] == "dead").all()
    assert after["firmness"].notna().equals(after["norm"] == 0)
    assert later[["layer", "channel"]].equals(kernels[["layer", "channel"]])
    now = training.counts.all_percents(living(proximal.whole(proximal.norms)))
    assert all(now[name] >= before[name] - 1e-9 for name in now)
    assert training.dense_graph().savings()[["parameters", "macs"]].equals(saved[["parameters", "macs"]])
    assert training.dense_graph().savings()["removable_parameters"].iloc[-1] >= saved["removable_parameters"].iloc[-1]


def test_the_dense_network_gives_what_the_smaller_one_gives(setting: Callable[[TrainSpec], Setting]):
    training, batches, validation = setting(spec(groups="coupled"))
    list(silenced(train(training, batches, validation), training))
    images = next(validation.in_order()).images
    dense = training.dense_graph().model
    assert dense is not training.net
    with torch.no_grad():
        small, whole = training.net.eval()(images), dense.eval()(images)
    for task in small:
        torch.testing.assert_close(small[task], whole[task], rtol=1e-4, atol=1e-5)


def test_what_was_removed_is_never_listed_or_counted_again(setting: Callable[[TrainSpec], Setting]):
    training, *images = setting(spec(groups="input", epochs=4))
    dead = [
        torch.cat(training.proximal.whole(training.proximal.norms)).numpy() == 0
        for record in silenced(train(training, *images), training)
        if isinstance(record, EpochDone)
    ]
    gone = torch.cat(training.proximal.whole([torch.ones_like(n) for n in training.proximal.norms])).numpy() == 0
    assert gone.sum() > 0
    assert dead[-1][gone].all()
    assert len(dead[0]) == len(dead[-1])


RUNS = {
    "coupled, adamw, a target": ("adamw", {"groups": "coupled", "target": 60.0, "refit": 0.3}),
    "input, sgd, norms kept": ("sgd", {"groups": "input", "normalisation": "aware"}),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_resumed_around_removals_ends_with_the_same_bits(
    setting: Callable[[TrainSpec], Setting], tmp_path: Path, name: str
):
    optimiser, penalty = RUNS[name]
    asked = spec(optimiser, epochs=4, **penalty)
    straight, *images = setting(asked)
    places = {"before": STEPS, "behind two": 3 * STEPS + 2}
    for record in silenced(train(straight, *images), straight):
        for folder, step in places.items():
            if record.step == step and isinstance(record, EpochDone if folder == "before" else StepDone):
                save_checkpoint(tmp_path / folder, straight, record.epoch)
    assert straight.stays
    for folder, step in places.items():
        resumed, *images = setting(asked)
        assert load_checkpoint(tmp_path / folder, resumed) == []
        assert (resumed.step, bool(resumed.stays)) == (step, folder != "before")
        list(silenced(train(resumed, *images), resumed))
        expected = straight.net.state_dict()
        found = resumed.net.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in found.items()), folder
        assert straight.controller.base == resumed.controller.base


def silencing(training: Training, *images: Batches) -> Records:
    return silenced(train(training, *images), training)


def session(run: Run, made: Setting) -> TrainingSession:
    training, batches, validation = made
    return TrainingSession(training, batches, validation, ResultWriter(run), StopRequest(run))


def trained(run: Run, setting: Callable[[TrainSpec], Setting], monkeypatch: pytest.MonkeyPatch) -> Training:
    """Train a run to its end as its worker would, with channels silenced at the end of the first epoch."""
    made = setting(run.spec)
    monkeypatch.setattr(
        "winnow.engine.jobs.session.train", lambda training, *images: silenced(train(training, *images), training)
    )
    own = session(run, made)
    own.begin()
    ResultWriter(run).finish(own.train())
    return made[0]


def test_a_removal_is_recorded_and_undone(
    setting: Callable[[TrainSpec], Setting], runs_root: Path, monkeypatch: pytest.MonkeyPatch
):
    run = create(spec(groups="input", epochs=4))
    ended = trained(run, setting, monkeypatch)
    log = run.events().query("split == 'removal'").set_index("quantity")
    assert log["step"].unique().tolist() == [STEPS, 3 * STEPS]
    assert log["value"]["parameters"].iloc[0] < log["value"]["parameters_before"].iloc[0]
    assert log["value"]["parameters"].iloc[-1] == sum(p.numel() for p in ended.net.parameters())
    groups = len(run.norms.frame())
    dense = restored_network(run, CPU)
    assert sum(p.numel() for p in dense.net.parameters()) == log["value"]["parameters_before"].iloc[0]
    moments = dense.optimizer(run.spec.optimiser, dense.net).state_dict()["state"]
    for index, parameter in enumerate(dense.net.parameters()):
        assert moments[index]["exp_avg"].shape == parameter.shape
    for _ in range(2):
        place = undo(run)
    assert (place.epoch, place.step) == (1, STEPS)
    assert run.status.state == "stopped"
    assert [int(file.stem) for file in manifests(run.path / "weights")][-1] == STEPS
    assert current_events(run.events()).query("split == 'removal'").empty
    assert current_events(run.events())["step"].max() == STEPS
    assert run.norms.rows()["step"][-1] == STEPS
    with pytest.raises(ValueError, match="must have a removal to undo"):
        undo(run)
    made = setting(run.spec)
    again = session(run, made)
    again.begin()
    assert made[0].step == STEPS
    assert not made[0].stays
    again.train()
    kept = current_events(run.events()).query("split == 'removal'")
    assert 3 * STEPS in kept["step"].tolist()
    assert STEPS not in kept["step"].tolist()  # what was undone is not done again
    assert len(run.norms.frame()) == groups


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_network_grown_again_stands_where_the_smaller_one_stood(
    setting: Callable[[TrainSpec], Setting], optimiser: str
):
    training, *images = setting(spec(optimiser, groups="coupled"))
    for record in silenced(train(training, *images), training):
        if record.step == STEPS + 2:
            break
    twin, *same = setting(training.spec)
    regrown = network_tensors(training)
    stays, banks = training.stays, training.proximal.banks
    regrow(training)
    assert training.stays == {}
    assert training.proximal.banks is training.proximal.dense_banks
    assert sum(bank.channels for bank in banks) < sum(bank.channels for bank in training.proximal.banks)
    put_network(twin, Checkpoint(regrown, {}))
    assert twin.stays.keys() == stays.keys()
    gone = masks(twin)
    losses: list[list[dict[str, float]]] = [[], []]
    for found, own in zip(losses, (training, twin), strict=True):
        own.removal = own.step = STEPS + 2
        for record in train(own, *same):
            if record.step == STEPS + 4:
                break
            if own is training:
                held(training, gone)
            found.append(record.losses)
    assert len(losses[0]) == 1
    moments = training.proximal.optimizer.state_dict()["state"]
    assert all(
        value.shape == parameter.shape
        for index, parameter in enumerate(training.net.parameters())
        for value in moments[index].values()
        if value is not None and value.dim()
    )
    for one, other in zip(*losses, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def test_the_best_epoch_is_put_back_at_the_size_that_it_had(runs_root: Path, monkeypatch: pytest.MonkeyPatch):
    asked = spec(groups="input", epochs=4).model_copy(update={"keep": "best"})
    run = create(asked)
    monkeypatch.setattr(
        "winnow.engine.jobs.session.train", lambda training, *images: silenced(train(training, *images), training)
    )
    skills = iter([0.5, 0.9, 0.2, 0.1])
    monkeypatch.setattr("winnow.engine.jobs.best_epoch.skill", lambda *_: next(skills))
    assert run_training(run, ResultWriter(run), StopRequest(run)) == "done"
    log = run.events()
    sizes = log.query("split == 'removal' and quantity == 'parameters'")["value"].tolist()
    assert len(sizes) > 1
    newest, skipped = newest_checkpoint(run.path / "weights")
    assert newest is not None
    assert not skipped
    names = dict(build_network(run.spec.network, build_tasks(fields(run.spec), run.spec.tasks), 1).named_parameters())
    left = sum(tensor.numel() for name, tensor in newest.part("net").items() if name in names)
    assert left == sizes[0]  # the second epoch's, before the second removal
    judged = log.query("split == 'kept' and task == 'digit'").set_index("quantity")["value"]
    before = log.query("split == 'val' and task == 'digit' and epoch == 2").set_index("quantity")["value"]
    assert judged["accuracy"] == before["accuracy"]
    undo(run)
    assert current_events(run.events()).query("split == 'kept'").empty


def test_no_removal_is_undone_while_a_worker_is_at_it(runs_root: Path):
    run = create(spec())
    with WorkFolder(run.path).lock().acquire(), pytest.raises(ValueError, match="running"):
        undo(run)


def test_a_constant_of_evaluation_mode_stays(setting: Callable[[TrainSpec], Setting]):
    training, *images = setting(spec(groups="input"))
    writer = training.net.trunk.stages[0][0].conv1
    with torch.no_grad():
        writer[0].weight[:4] = 0
        writer[1].bias[:4] = torch.tensor([-1.0, -1.0, 1.0, 1.0])
        writer[1].running_mean[:4] = torch.tensor([0.0, -3.0, 0.0, 3.0])
        writer[1].weight[1], writer[1].bias[1] = 0.0, 0.0
    assert remove(training, images[0]) is not None
    assert training.net.trunk.stages[0][0].conv1[0].weight.shape[0] == 10  # β < 0 with a settled mean, and γ = β = 0


def test_nothing_to_remove_leaves_the_network_alone(setting: Callable[[TrainSpec], Setting]):
    training, *images = setting(spec())
    net = training.net
    assert remove(training, images[0]) is None
    assert training.net is net


def test_a_removal_waits_until_it_takes_a_twentieth_of_the_network(setting: Callable[[TrainSpec], Setting]):
    """One channel more costs as much to remove as many, and saves next to nothing."""
    training, *images = setting(spec(groups="coupled", epochs=5))
    found = [r for r in silenced(train(training, *images), training, more=1) if isinstance(r, Removed)]
    assert [removed.step for removed in found] == [STEPS]
    assert found[0].after.parameters <= 0.95 * found[0].before.parameters
