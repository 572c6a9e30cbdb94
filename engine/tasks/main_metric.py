"""The main metric of a task alone, for many predictions against the same targets, as an ablation makes them.

A meter takes in every metric of its task, and prepares the targets each time. For the tasks with a class or a value per
pixel, only what the main metric needs is computed here, and targets are prepared once a batch. The values are those of
the meter, up to the order of sums in double precision. All other tasks use their own meter.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from winnow.data.sample import Field
from winnow.engine.runs.quantities import metrics
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.classes import IGNORED, MEASURES
from winnow.engine.tasks.normals import known_normals
from winnow.engine.tasks.task import share


class MainMetric(Protocol):
    """Gathers predictions; `value` is the main metric so far, NaN where there is none."""

    name: str | None

    def prepared(self, target: Tensor) -> Any:
        """Return what `update` needs of the targets of a batch."""
        ...

    def update(self, prediction: Tensor, prepared: Any) -> None:
        """Take in one batch."""
        ...

    def value(self) -> float:
        """Return the metric of all that was taken in."""
        ...


def main_metric(task: Any) -> MainMetric:
    """Return an empty main metric of a task; of a plain function, which has no metric, one that is always NaN."""
    if not hasattr(task, "meter"):
        return NoMetric()
    name = metrics(task.field)[0].name
    made = FAST.get((task.field.kind, name))
    made = made if made is not None and _is_ours(task) else None
    return ByMeter(name, task.meter()) if made is None else made(name, task.outputs)


def _is_ours(task: Any) -> bool:
    """Whether a task is the one that `engine.tasks` has for its field, and none of the user's own."""
    own = isinstance(task.field, Field) and task.field.learner is None
    return own and type(task) is type(build_tasks({"": task.field}, ("",))[""])


class NoMetric:
    """There is none."""

    name: str | None = None

    def prepared(self, target: Tensor) -> Tensor:
        """Return the target."""
        return target

    def update(self, prediction: Tensor, prepared: Tensor) -> None:
        """Take in nothing."""

    def value(self) -> float:
        """Return NaN."""
        return float("nan")


class ByMeter(NoMetric):
    """By the task's own meter."""

    def __init__(self, name: str, meter: Any) -> None:
        self.name, self._meter = name, meter

    def update(self, prediction: Tensor, prepared: Tensor) -> None:
        """Take in one batch."""
        self._meter.update(prediction.float(), prepared)

    def value(self) -> float:
        """Return the metric."""
        return float(self._meter.compute()[self.name])


class OfClasses:
    """One of `engine.tasks.classes.MEASURES`, from counts of (class, predicted class)."""

    def __init__(self, name: str, classes: int) -> None:
        self.name: str | None = name
        self._measure, self._classes = MEASURES[name], classes
        self._counts = torch.zeros(classes**2 + 1, dtype=torch.int64)  # the last one: what has no label
        self._unknown = 0

    def prepared(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is labelled, and where in the counts its row begins."""
        known = target != IGNORED
        return known, torch.where(known, target * self._classes, self._classes**2)

    def update(self, prediction: Tensor, prepared: tuple[Tensor, Tensor]) -> None:
        """Count one batch: logits (B, K, …)."""
        known, rows = prepared
        largest, guesses = prediction.float().max(1)
        self._unknown += int((largest.isnan() & known).sum())
        pairs = (rows + guesses * known).flatten()
        self._counts += torch.bincount(pairs, minlength=len(self._counts)).cpu()

    def value(self) -> float:
        """Return the measure; NaN where a prediction is NaN."""
        if self._unknown:
            return float("nan")
        return self._measure(self._counts[:-1].reshape(self._classes, -1).double())


class MeanOfPixels:
    """A mean over all known pixels of all images."""

    def __init__(self, name: str, _outputs: int) -> None:
        self.name: str | None = name
        self._total, self._count = 0.0, 0

    def prepared(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the known pixels are, and their values."""
        raise NotImplementedError

    def errors(self, prediction: Tensor, places: Tensor, truth: Tensor) -> Tensor:
        """Return the error of every known pixel."""
        raise NotImplementedError

    def update(self, prediction: Tensor, prepared: tuple[Tensor, Tensor]) -> None:
        """Add the errors of a batch."""
        found = self.errors(prediction.float(), *prepared)
        self._total += float(found.sum())
        self._count += len(found)

    def value(self) -> float:
        """Return the mean."""
        return share(self._total, self._count)


class MeanDistance(MeanOfPixels):
    """The mean absolute error of a depth [m]."""

    def prepared(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return where a depth is known, and the depths."""
        places = target.flatten().gt(0).nonzero().ravel()
        return places, target.flatten()[places].double()

    def errors(self, prediction: Tensor, places: Tensor, truth: Tensor) -> Tensor:
        """Return |depth − truth|."""
        return (prediction[:, 0].flatten()[places].double() - truth).abs()


class MeanAngle(MeanOfPixels):
    """The mean angle between two directions [°]."""

    def prepared(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return where a normal is known, and the directions (3, pixels)."""
        places = known_normals(target).flatten().nonzero().ravel()
        return places, _unit(target.flatten(0, -2)[places].T.double())

    def errors(self, prediction: Tensor, places: Tensor, truth: Tensor) -> Tensor:
        """Return the angles, by atan2, which keeps small ones exact."""
        guess = _unit(prediction.transpose(0, 1).flatten(1)[:, places].double())
        return torch.rad2deg(2 * torch.atan2(_lengths(guess - truth), _lengths(guess + truth)))


def _unit(directions: Tensor) -> Tensor:
    """Return directions (3, n) of length 1; `functional.normalize` takes many times as long along the first axis."""
    return directions / _lengths(directions).clamp(min=1e-12)


def _lengths(directions: Tensor) -> Tensor:
    return directions.square().sum(0).sqrt()


FAST: Mapping[tuple[str, str], Callable[[str, int], MainMetric]] = {
    ("segmentation", "miou"): OfClasses,
    ("classification", "accuracy"): OfClasses,
    ("depth", "abs_error"): MeanDistance,
    ("normals", "mean_angle"): MeanAngle,
}
