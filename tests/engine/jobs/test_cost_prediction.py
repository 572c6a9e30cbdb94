"""Runs that hold a target of latency or memory: planted times, kept with the run; both shares at the end."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from winnow.engine.cli.follow import outcome
from winnow.engine.graph.trace import trace
from winnow.engine.jobs import cost_prediction
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.training_job import run_training
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.measure.layer_timing import measured_times
from winnow.engine.pruning.pace import Pace
from winnow.engine.runs.digests import manifests
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse
from winnow.engine.training.distributed.ranks import Ranks

SMALL = {"widths": (8, 8), "blocks": (1, 1), "head_width": 8}


def planted(module: nn.Module, inputs: Mapping[str, Any]) -> float:
    return 1e-5 + 1e-7 * sum(parameter.numel() for parameter in module.parameters())


def spec(of: str, target: float = 20.0):
    penalty = {"target": target, "target_of": of, "strength": 0.3, "strength_of": "max", "scope": "both"}
    values = {"data": {"dataset": "digits"}, "network": SMALL, "threads": 1, "batch_size": 256, "epochs": 4}
    return parse({**values, "penalty": penalty})


class AfterEpoch(StopRequest):
    """True once the checkpoint of an epoch is there."""

    def __bool__(self) -> bool:
        return any(json.loads(file.read_text())["epoch"] >= 2 for file in manifests(self.path / "weights"))

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.path = run.path


def work(run: Run, stop: type[StopRequest] = StopRequest) -> Run:
    writer = ResultWriter(run)
    writer.finish(run_training(run, writer, stop(run)))
    return run


@pytest.fixture
def _planted(monkeypatch: pytest.MonkeyPatch, worker_settings: Any):
    monkeypatch.setattr(cost_prediction, "measured_times", partial(measured_times, timer=planted))
    monkeypatch.setattr(cost_prediction, "pace", lambda *_: Pace(0.8, 0.7, 0.9))
    with worker_settings():
        yield


@pytest.mark.usefixtures("_planted")
def test_a_resumed_run_holds_its_target_by_the_times_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = work(create(spec("latency"), tmp_path / "a"))
    halved = work(create(spec("latency"), tmp_path / "b"), AfterEpoch)
    assert halved.status.state == "stopped"

    def refuse(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(cost_prediction, "measured_times", refuse)
    work(halved)
    (one, other) = ((run.path / "latency.json").read_bytes() for run in (whole, halved))
    assert one == other
    last = [sorted((run.path / "weights").glob("0*.safetensors"))[-1].read_bytes() for run in (whole, halved)]
    assert last[0] == last[1]
    events = whole.events()
    own = events[events["split"] == "predicted"].set_index("quantity")["value"]
    assert own["latency_measured"] == pytest.approx(20)
    assert (own["latency_low"], own["latency_high"]) == pytest.approx((10, 30))
    assert own["latency_predicted"] == pytest.approx(20, abs=4)
    assert "% less was predicted, 20.0 % less (10.0 to 30.0) measured" in whole.status.message
    assert set(outcome(whole)["predicted"]) == set(own.index)


@pytest.mark.usefixtures("_planted")
def test_whether_times_are_measured_changes_nothing_of_the_run(tmp_path: Path):
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    x = torch.randn(1, 1, 8, 8)
    asked = spec("latency")
    begun = SimpleNamespace(spec=asked, net=net, graph=trace(net, x), device=torch.device("cpu"))
    before = torch.get_rng_state()
    for _ in range(2):
        cost_prediction.stored_times(begun, x, tmp_path / "latency.json")
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("_planted")
def test_a_target_of_memory_is_predicted_without_a_clock(tmp_path: Path):
    run = work(create(spec("memory", 5.0), tmp_path))
    events = run.events()
    own = events[events["split"] == "predicted"].set_index("quantity")["value"]
    assert own["memory_predicted"] == pytest.approx(own["memory_measured"], abs=1.0)
    assert not (run.path / "latency.json").exists()
    assert "of the memory is saved" in run.status.message or "memory: " in run.status.message


@pytest.mark.usefixtures("_planted")
def test_damaged_times_are_refused_by_name(tmp_path: Path):
    run = create(spec("latency"), tmp_path)
    (run.path / "latency.json").write_text('{"format_version": 1}')
    with pytest.raises(ValueError, match=r"`latency\.json` must hold times of layers"):
        work(run)
    (run.path / "latency.json").write_text("{")
    with pytest.raises(ValueError, match=r"`latency\.json` must hold"):
        work(run)


class Follower(Ranks):
    """A process that is told what rank 0 has."""

    def agree_(self, tensor: torch.Tensor) -> torch.Tensor:
        told = torch.tensor(4) if tensor.dim() == 0 else torch.tensor(list(b"told"), dtype=torch.uint8)
        return tensor.copy_(told)


def test_all_processes_take_the_times_of_rank_0():
    assert cost_prediction.shared_content(Follower(1, 2), b"") == b"told"
    assert cost_prediction.shared_content(Ranks(), b"own") == b"own"
