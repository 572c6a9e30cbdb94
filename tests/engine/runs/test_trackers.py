"""Trackers: what they are sent, what is refused, and that none of them can end a run."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.dashboard.making import write_run
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs import trackers
from winnow.engine.runs.events import Event, read_events
from winnow.engine.runs.run import Run
from winnow.engine.runs.trackers import REPORT_TO, TRACKERS, Trackers, opened_trackers, require_trackers, tag

EVENTS = [
    Event(100.0, 1, 10, "depth", "val", "abs_error", 0.5),
    Event(100.0, 1, 10, None, "model", "group_sparsity", 30.0),
    Event(101.0, 2, 20, "depth", "val", "abs_error", None),
    Event(101.0, 2, 20, "depth", "val", "loss", float("nan")),
]


class Called:
    """Anything that is called: it notes its calls and returns itself."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, Any]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            self.calls.append((name, given, named))
            return self

        return call

    def of(self, name: str) -> list[tuple[Any, Any]]:
        return [(given, named) for called, given, named in self.calls if called == name]


@pytest.fixture
def run(tmp_path) -> Run:
    return write_run(tmp_path)


def known(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    """Have a module of this name installed."""
    module = ModuleType(name)
    module.__dict__.update(content)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(trackers, "find_spec", lambda package: package)


def test_a_tag_says_split_task_and_quantity() -> None:
    assert [tag(event) for event in EVENTS[:2]] == ["val/depth/abs_error", "model/group_sparsity"]


@pytest.mark.parametrize("name", list(TRACKERS))
def test_a_missing_package_is_refused_by_name_with_what_installs_it(name: str, monkeypatch: Any, run: Run) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda package: None)
    monkeypatch.setenv(REPORT_TO, name)
    with pytest.raises(ValueError, match=f"`report_to` {name} needs.*pip install {TRACKERS[name].package}"):
        opened_trackers(run)


def test_an_unknown_tracker_is_refused_and_none_is_none(monkeypatch: Any, run: Run) -> None:
    with pytest.raises(ValueError, match="one of tensorboard, mlflow, wandb, trackio, got 'x'"):
        require_trackers(["x"])
    monkeypatch.delenv(REPORT_TO, raising=False)
    opened_trackers(run).log(EVENTS)


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_wandb_and_trackio_get_one_call_a_step_without_missing_values(name: str, monkeypatch: Any, run: Run) -> None:
    made = Called()
    known(monkeypatch, name, init=made.init)
    monkeypatch.setenv(REPORT_TO, name)
    opened = opened_trackers(run)
    opened.log(EVENTS)
    opened.close()
    assert made.of("init") == [((), {"project": "winnow", "name": run.id})]
    assert made.of("log") == [(({"val/depth/abs_error": 0.5, "model/group_sparsity": 30.0},), {"step": 10})]
    assert len(made.of("finish")) == 1


def test_mlflow_gets_milliseconds_steps_and_names_that_it_accepts(monkeypatch: Any, run: Run) -> None:
    made = Called()
    made.info, made.experiment_id = SimpleNamespace(run_id="r"), "e"  # type: ignore[attr-defined]
    known(monkeypatch, "mlflow", MlflowClient=lambda: made)
    monkeypatch.setenv(REPORT_TO, "mlflow")
    opened_trackers(run).log([Event(1.5, 1, 10, "a<b", "val", "loss", 0.5)])
    assert made.of("log_metric") == [(("r", "val/a_b/loss", 0.5, 1500, 10), {})]


def test_a_tracker_that_fails_is_named_and_left_and_the_run_goes_on(run: Run, capsys: Any) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no network")

    other = Called()
    writer = ResultWriter(run)
    writer.report_to(Trackers({"wandb": SimpleNamespace(log=broken, close=broken), "trackio": other}))  # type: ignore
    before = len(read_events(run.path / "events.jsonl"))
    for epoch in (4, 5):
        writer.events((epoch, 40), "val", {("depth", "loss"): 1.0})
    writer.finish("done")
    assert len(read_events(run.path / "events.jsonl")) == before + 2
    assert len(other.of("log")) == 2
    assert capsys.readouterr().err == "wandb failed, nothing more is sent to it: no network\n"


def test_one_that_does_not_open_is_refused_by_name(monkeypatch: Any, run: Run) -> None:
    known(monkeypatch, "wandb")
    monkeypatch.setenv(REPORT_TO, "wandb")
    with pytest.raises(ValueError, match="`report_to` wandb does not open"):
        opened_trackers(run)


def test_tensorboard_writes_real_event_files(monkeypatch: Any, run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv(REPORT_TO, "tensorboard")
    opened = opened_trackers(run)
    opened.log(EVENTS)
    opened.close()
    read = EventAccumulator(str(run.path / "tensorboard"))
    read.Reload()
    assert set(read.Tags()["tensors"]) == {"val/depth/abs_error", "model/group_sparsity"}
    (found,) = read.Tensors("model/group_sparsity")
    assert (found.step, found.wall_time, list(found.tensor_proto.float_val)) == (10, 100.0, [30.0])
