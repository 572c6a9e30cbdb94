"""A class per pixel or per image: cross-entropy; metrics from one confusion matrix over the whole split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from winnow.data.sample import Field
from winnow.engine.specs.tasks import TASKS
from winnow.engine.tasks.task import counted, share

IGNORED = -1


@dataclass(frozen=True)
class Classes:
    """Predicts logits (B, classes, …) for classes (B, …); -1 is left out."""

    field: Field

    @property
    def outputs(self) -> int:
        """One logit per class."""
        return len(self.field.classes)

    def counts(self, target: Tensor) -> Tensor:
        """Return the number of labelled pixels or images; class by class, (classes,), where these have weights."""
        if self.field.weights:
            return torch.bincount(target[target != IGNORED], minlength=self.outputs)
        return counted(target != IGNORED)

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the cross-entropy [nat], mean over what is labelled, each class with its weight.

        With weights w it is Σ w_y ℓ / Σ w_y over the labels y.
        """
        labelled = self.counts(target) if counts is None else counts
        if not self.field.weights:
            total = functional.cross_entropy(prediction, target, ignore_index=IGNORED, reduction="sum")
            return total / labelled[0].clamp(min=1)
        weights = prediction.new_tensor(self.field.weights)
        total = functional.cross_entropy(prediction, target, weights, ignore_index=IGNORED, reduction="sum")
        return total / (labelled * weights).sum().clamp(min=torch.finfo(weights.dtype).tiny)

    def meter(self) -> "ConfusionMeter":
        """Return an empty confusion matrix."""
        return ConfusionMeter(self.outputs, tuple(metric.name for metric in TASKS[self.field.kind].metrics))

    def constant(self, target: Tensor) -> Tensor:
        """Return logits that choose the most frequent class."""
        return (torch.bincount(target[target != IGNORED], minlength=self.outputs).float() + 1).log()


class Segmentation(Classes):
    """A class for every pixel: logits (B, classes, H, W) for classes (B, H, W)."""

    def mirror(self, target: Tensor) -> Tensor:
        """Mirror the map."""
        return target.flip(2)


class Classification(Classes):
    """A class for the whole image: logits (B, classes) for classes (B,)."""

    def mirror(self, target: Tensor) -> Tensor:
        """Return the target: it does not know left from right."""
        return target


def accuracy(matrix: Tensor) -> float:
    """Return the share of right predictions [%]."""
    return 100 * share(float(matrix.diag().sum()), float(matrix.sum()))


def mean_iou(matrix: Tensor) -> float:
    """Return intersection over union, averaged over the classes that are true or predicted somewhere [%]."""
    union = matrix.sum(1) + matrix.sum(0) - matrix.diag()
    return 100 * float((matrix.diag() / union)[union > 0].mean())


def mean_recall(matrix: Tensor) -> float:
    """Return recall, averaged over the classes that occur [%]."""
    truths = matrix.sum(1)
    return 100 * float((matrix.diag() / truths)[truths > 0].mean())


MEASURES: Mapping[str, Callable[[Tensor], float]] = MappingProxyType(
    {
        "miou": mean_iou,
        "pixel_accuracy": accuracy,
        "accuracy": accuracy,
        "balanced_accuracy": mean_recall,
    }
)
"""What a metric of `engine.specs.tasks` computes from the confusion matrix, float64, rows true, columns predicted."""


class ConfusionMeter:
    """Counts (target, predicted) pairs; computes the metrics named, of `MEASURES`."""

    def __init__(self, classes: int, metrics: tuple[str, ...]) -> None:
        self._classes, self._metrics = classes, metrics
        self._matrix = torch.zeros(classes, classes, dtype=torch.int64)
        self._unknown = torch.zeros((), dtype=torch.int64)  # predictions that are NaN

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count one batch: logits (B, K, …), classes (B, …)."""
        known = target != IGNORED
        largest, guesses = prediction.max(1)
        self._unknown += largest[known].isnan().sum().cpu()
        pairs = target[known] * self._classes + guesses[known]
        counts = torch.bincount(pairs, minlength=self._classes**2).reshape(self._classes, -1)
        self._matrix += counts.cpu()

    @property
    def sums(self) -> list[Tensor]:
        """The pairs counted so far."""
        return [self._matrix, self._unknown]

    def compute(self) -> dict[str, float]:
        """Return each metric by name; NaN where a prediction is NaN or nothing is labelled."""
        if self._unknown:
            return dict.fromkeys(self._metrics, float("nan"))
        matrix = self._matrix.double()
        return {name: MEASURES[name](matrix) for name in self._metrics}
