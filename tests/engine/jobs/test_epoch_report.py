"""What stands in the tables is what stands in the weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.training_here import train_here
from winnow.data.catalog import load
from winnow.data.stacking import stack
from winnow.engine.jobs.epoch_report import SHARE, EpochReport, Seldom, groups_table, kernels_table, removable_shares
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.networks.multitask import build_network
from winnow.engine.runs.run import create, list_runs
from winnow.engine.specs.train import parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.loop import StepDone, Training, begin, train

NETWORK = {"widths": (8, 16), "blocks": (1, 1), "head_width": 8}
CPU = torch.device("cpu")


@pytest.fixture
def trained() -> Callable[..., Training]:
    """Ten steps on digits, with some groups killed."""

    def make(**penalty: object) -> Training:
        spec = parse({"data": {"dataset": "digits"}, "network": NETWORK, "batch_size": 64, "penalty": penalty})
        tasks = build_tasks(load("digits", split="val").fields, spec.tasks)
        batches = Batches(stack(load("digits", split="val"), spec.tasks), tasks, 64, CPU)
        torch.manual_seed(0)
        training = begin(spec, build_network(spec.network, tasks, 1), tasks, batches)
        for record in train(training, batches, batches):
            if isinstance(record, StepDone) and record.step == 10:
                break
        for bank in training.proximal.banks[1:]:
            bank.scale_((torch.arange(bank.channels) % 2).float())
        training.proximal.norms = [bank.norms() for bank in training.proximal.banks]
        return training

    return make


@pytest.mark.parametrize("groups", ["input", "output", "coupled"])
def test_groups_table_tells_dead_from_alive(trained: Callable[..., Training], groups: str):
    training = trained(strength=1e-4, groups=groups)
    table = groups_table(training)
    norms = torch.cat(training.proximal.norms).numpy()
    assert ((table["state"] == "dead").to_numpy() == (norms == 0)).all()
    assert table["firmness"].notna().to_numpy()[norms == 0].all()
    assert table["firmness"].isna().to_numpy()[norms > 0].all()
    assert (table["relative"] <= 1).all()
    assert ((table["state"] == "near") == ((table["norm"] > 0) & (table["relative"] < 0.1))).all()


def test_kernels_table_holds_the_magnitude_at_each_position(trained: Callable[..., Training]):
    training = trained(strength=1e-4)
    table = kernels_table(training.proximal.banks)
    weight = training.net.trunk.stages[1][0].conv2[0].weight.detach()
    own = table[table["layer"] == "trunk.stages.1.0.conv2.0"].sort_values(["channel", "row", "column"])
    np.testing.assert_allclose(own["magnitude"], weight.square().mean(0).sqrt().flatten(), rtol=1e-5)


def test_removable_shares_of_coupled_groups_are_what_is_zero(trained: Callable[..., Training]):
    training = trained(strength=1e-4, groups="coupled", scope="both")
    shares = removable_shares(training.graph.savings())
    assert shares["removable_parameters"] > 30
    assert shares["removable_macs"] == pytest.approx(shares["gathered_macs"])


def test_an_alarm_is_raised_once_before_a_layer_dies(trained: Callable[..., Training], runs_root: Path):
    training = trained(strength=1e-4)
    bank = training.proximal.banks[2]
    bank.scale_((torch.arange(bank.channels) == 0).float())
    training.proximal.norms = [bank.norms() for bank in training.proximal.banks]
    training.proximal.banks[2].scale_(torch.ones(bank.channels))
    run = create(training.spec)
    report = EpochReport(training, ResultWriter(run))
    (run.path / "groups").mkdir()
    report.epoch(1, {})
    report.epoch(2, {})
    alarms = run.events().query("split == 'alarm'")
    assert bank.layer in alarms["quantity"].tolist()
    assert alarms["quantity"].is_unique


def test_the_strength_that_outweighs_the_loss_and_the_graph_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """λ_max of the first batch, and every layer that the run penalises among the nodes of the network."""
    train_here(monkeypatch, tmp_path, "--dataset", "digits", "--batch-size", "128", "--strength", "1e-3")
    (run,) = list_runs(tmp_path)
    events = run.events()
    (most,) = events.loc[(events["split"] == "start") & (events["quantity"] == "strength_max"), "value"]
    assert 1e-3 < most < 1e3
    nodes, edges = run.table("network"), run.table("streams")
    assert {layer.name for layer in run.norms.layers()} <= set(nodes["name"])
    assert set(edges["source"]) | set(edges["target"]) == set(nodes["node"])


def test_what_takes_long_is_done_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("winnow.engine.jobs.epoch_report.time.monotonic", lambda: clock[0])
    pace, done = Seldom(5.0), []

    def work() -> None:
        done.append(clock[0])
        clock[0] += 1.0

    for now in (0.0, 4.0, 30.0, 50.9, 51.1, 60.0):
        clock[0] = now
        pace.when_due(work)
    assert done == [0.0, 51.1]
    assert SHARE >= 1.0 / 51.1
