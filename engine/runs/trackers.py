"""Trackers that a run's events are sent to as well: TensorBoard, MLflow, Weights & Biases, Trackio.

Their names stand in the environment variable `WINNOW_REPORT_TO`, which a worker inherits; `winnow train --report-to`
sets it. They are no part of a spec: they decide nothing of the result. The run folder stays the record; a tracker that
fails is named in the log and left, and the run goes on.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from math import isfinite
from types import MappingProxyType
from typing import Any, Protocol

from winnow.engine.runs.events import Event
from winnow.engine.runs.run import Run

REPORT_TO = "WINNOW_REPORT_TO"


class Tracker(Protocol):
    """Where events go: `log` takes them as they are written, `close` ends it."""

    def log(self, events: Sequence[Event]) -> None:
        """Send events; those without a value are left out."""

    def close(self) -> None:
        """Write what is held back."""


class _TensorBoard:
    """Event files in `tensorboard/` of the run folder, read by `tensorboard --logdir`."""

    def __init__(self, run: Run) -> None:
        self._writer: Any = import_module("tensorboard.summary").Writer(str(run.path / "tensorboard"))

    def log(self, events: Sequence[Event]) -> None:
        for event in events:
            self._writer.add_scalar(tag(event), event.value, event.step, wall_time=event.time)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _MLflow:
    """A run of MLflow's experiment `winnow`, in the store that MLFLOW_TRACKING_URI names."""

    def __init__(self, run: Run) -> None:
        mlflow: Any = import_module("mlflow")
        self._client = mlflow.MlflowClient()
        found = self._client.get_experiment_by_name("winnow")
        experiment = found.experiment_id if found else self._client.create_experiment("winnow")
        self._run = self._client.create_run(experiment, run_name=run.id).info.run_id

    def log(self, events: Sequence[Event]) -> None:
        for event in events:
            name = "".join(letter if letter.isalnum() or letter in "/-_. " else "_" for letter in tag(event))
            self._client.log_metric(self._run, name, event.value, round(1000 * event.time), event.step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


class _LikeWandb:
    """A run of the project `winnow` at Weights & Biases, or at Trackio, which has the same functions."""

    def __init__(self, package: str, run: Run) -> None:
        module: Any = import_module(package)
        self._run = module.init(project="winnow", name=run.id)

    def log(self, events: Sequence[Event]) -> None:
        for step in sorted({event.step for event in events}):
            self._run.log({tag(event): event.value for event in events if event.step == step}, step=step)

    def close(self) -> None:
        self._run.finish()


@dataclass(frozen=True)
class TrackerKind:
    """A tracker: the package that it needs, and what opens it for a run."""

    package: str
    open: Callable[[Run], Tracker]


TRACKERS: Mapping[str, TrackerKind] = MappingProxyType(
    {
        "tensorboard": TrackerKind("tensorboard", _TensorBoard),
        "mlflow": TrackerKind("mlflow", _MLflow),
        "wandb": TrackerKind("wandb", lambda run: _LikeWandb("wandb", run)),
        "trackio": TrackerKind("trackio", lambda run: _LikeWandb("trackio", run)),
    }
)


class Trackers:
    """All trackers of a run; one that fails is said and left, and the others go on."""

    def __init__(self, opened: Mapping[str, Tracker]) -> None:
        self._open = dict(opened)

    def log(self, events: Iterable[Event]) -> None:
        """Send the events whose value is a finite number, as the log keeps them."""
        valued = [event for event in events if event.value is not None and isfinite(event.value)]
        if valued:
            self._each(lambda tracker: tracker.log(valued))

    def close(self) -> None:
        """End all."""
        self._each(lambda tracker: tracker.close())
        self._open.clear()

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            try:
                act(tracker)
            except Exception as error:  # noqa: BLE001 - a tracker, whatever it raises, must not end the run
                del self._open[name]
                sys.stderr.write(f"{name} failed, nothing more is sent to it: {error}\n")


def tag(event: Event) -> str:
    """Return how an event is called in a tracker: val/depth/abs_error, or train/alive."""
    return "/".join(part for part in (event.split, event.task, event.quantity) if part)


def require_trackers(names: Iterable[str]) -> None:
    """Check that there are such trackers, and that their packages are installed.

    Raises:
        ValueError: one is not known, or its package is missing; with the command that installs it.

    """
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"`report_to` must be one of {', '.join(TRACKERS)}, got {name!r}.")
        package = TRACKERS[name].package
        if find_spec(package) is None:
            raise ValueError(f"`report_to` {name} needs a package that is missing here. Run pip install {package}.")


def opened_trackers(run: Run) -> Trackers:
    """Return the trackers that the environment names, opened for a run.

    Raises:
        ValueError: as `require_trackers`; or one does not open.

    """
    names = list(dict.fromkeys(filter(None, os.environ.get(REPORT_TO, "").split(","))))
    require_trackers(names)
    found = {}
    for name in names:
        try:
            found[name] = TRACKERS[name].open(run)
        except Exception as error:
            raise ValueError(f"`report_to` {name} does not open: {' '.join(str(error).split())}") from error
    return Trackers(found)
