"""Which epoch a run stands for, and what a run takes over from another: real runs on digits."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.engine.trained_digits import untrained
from winnow.data.catalog import DATASETS
from winnow.engine.jobs.best_epoch import BestEpoch
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.training_job import run_training
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.digests import manifests
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.train import parse
from winnow.engine.studies.skill import judged, skill

SMALL = {"widths": (8, 8), "blocks": (1, 1), "head_width": 8}
FIELDS = DATASETS["digits"]().fields


def spec(epochs: int, **changes: object):
    values = {"data": {"dataset": "digits"}, "network": SMALL, "threads": 1, "batch_size": 128}
    return parse({**values, "name": "test", "epochs": epochs, "penalty": {"strength": 0.0}, **changes})


@pytest.fixture(scope="module")
def done(worker_settings) -> Callable[[Run], Run]:
    """Return what works as the worker does, in this process: importing torch for each run would be most of the time."""

    def work(run: Run) -> Run:
        writer = ResultWriter(run)
        with worker_settings():
            writer.finish(run_training(run, writer, StopRequest(run)))
        assert run.recorded_status().state == "done"
        return run

    return work


def source(run: Run) -> dict[str, str]:
    manifest = json.loads(manifests(run.path / "weights")[-1].read_text())
    return {"run": run.id, "sha256": manifest["sha256"]}


def kept(run: Run, split: str = "kept"):
    found = run.events().query(f"split == '{split}'").fillna({"task": ""})
    return found.set_index(["task", "quantity"])["value"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def sparse(root: Path, done) -> Run:
    """A run of a target, judged on the test split, its best epoch kept."""
    penalty = {"target": 50.0, "refit": 0.5, "strength": 0.1, "strength_of": "max"}
    return done(create(spec(6, penalty=penalty, keep="best", test=True), root))


def test_skill_is_0_for_the_constant_and_1_for_perfection():
    constant = {"digit": {"accuracy": 10.0}, "ink": {"mae": 0.04}}
    assert skill(constant, constant, FIELDS) == 0.0
    assert skill({"digit": {"accuracy": 100.0}, "ink": {"mae": 0.0}}, constant, FIELDS) == 1.0
    half = {"digit": {"accuracy": 55.0}, "ink": {"mae": 0.04}}
    assert skill(half, constant, FIELDS) == pytest.approx(0.25)
    assert skill({"digit": {"accuracy": float("nan")}}, constant, FIELDS) == float("-inf")


def test_a_task_without_labels_does_not_decide_which_epoch_is_best():
    nothing = float("nan")
    constant = {"digit": {"accuracy": 10.0}, "ink": {"mae": nothing}}
    assert skill({"digit": {"accuracy": 55.0}, "ink": {"mae": nothing}}, constant, FIELDS) == pytest.approx(0.5)
    unknown = {"ink": {"mae": nothing}}
    assert skill(unknown, unknown, FIELDS) == float("-inf")
    assert judged(unknown, FIELDS) == []


def test_the_best_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    training, images, validation = untrained(spec(1, keep="best"))
    unknown = {name: {"accuracy": float("nan"), "mae": float("nan")} for name in training.tasks}
    monkeypatch.setattr("winnow.engine.jobs.best_epoch.constant_metrics", lambda *given: unknown)
    with pytest.raises(ValueError, match="`keep` must be last, and `patience` 0, where no task has a label"):
        BestEpoch(training, images, validation, tmp_path)


def test_the_kept_network_is_the_last_checkpoint_and_was_tested_once(sparse: Run):
    weights = sparse.path / "weights"
    best = load_file(weights / "best.safetensors")
    last = load_file(manifests(weights)[-1].with_suffix(".safetensors"))
    assert all(np.array_equal(last[name], value) for name, value in best.items())
    tested = sparse.events().query("split == 'test' and task == 'digit' and quantity == 'accuracy'")
    assert len(tested) == 1
    known = json.loads((weights / "best.json").read_text())
    assert known["epoch"] > 3  # the support is found after half of the six epochs
    digit = sparse.events().query("split == 'val' and task == 'digit' and quantity == 'accuracy'")
    assert kept(sparse)["digit", "accuracy"] == digit.set_index("epoch")["value"][known["epoch"]]
    assert kept(sparse)["", "group_sparsity"] == pytest.approx(50, abs=4)


def test_patience_ends_a_run_at_its_last_good_epoch(root: Path, done):
    stuck = {"optimiser": "sgd", "learning_rate": 1e-12, "momentum": 0.0}
    run = done(create(spec(12, optimiser=stuck, patience=2, keep="best"), root))
    best = json.loads((run.path / "weights" / "best.json").read_text())["epoch"]
    assert run.recorded_status().epoch == best + 2 < 12


def test_a_support_is_taken_over_and_held(root: Path, sparse: Run, done):
    start = {"support": "same", "supports": [source(sparse)], "fresh_seed": 7}
    run = done(create(spec(2, start=start, keep="best"), root))
    alive = sparse.groups()["alive"].to_numpy()
    assert (run.groups()["alive"].to_numpy() == alive).all()
    assert kept(run)["", "parameter_sparsity"] == kept(sparse)["", "parameter_sparsity"]
    assert 0 < alive.mean() < 1


def test_the_strongest_groups_stay_at_equal_parameters(root: Path, sparse: Run, done):
    start = {"weights": source(sparse), "support": "strongest", "zero_parameters": 60.0}
    run = done(create(spec(1, start=start, keep="best"), root))
    assert kept(run)["", "parameter_sparsity"] == pytest.approx(60, abs=6)
    assert not (run.groups()["alive"].to_numpy() & ~sparse.groups()["alive"].to_numpy()).any()


def test_what_is_gone_is_named(root: Path, sparse: Run, done):
    start = {"weights": {**source(sparse), "sha256": "0" * 64}}
    with pytest.raises(ValueError, match=sparse.id):
        done(create(spec(1, start=start), root))


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ({"weights": {"run": "../outside", "sha256": "0" * 64}}, "run"),
        ({"support": "same"}, "`supports`"),
        ({"support": "strongest"}, "`weights`"),
    ],
)
def test_a_start_that_makes_no_sense_is_refused(start: dict[str, object], says: str):
    with pytest.raises(SpecError, match=says):
        spec(1, start=start)


def test_a_held_support_takes_no_penalty(sparse: Run):
    with pytest.raises(SpecError, match="`strength`"):
        spec(1, penalty={"strength": 1.0}, start={"support": "same", "supports": [source(sparse)]})
