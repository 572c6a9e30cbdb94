"""A class for every pixel: cross-entropy; mean IoU from one confusion matrix over the whole split."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from winnow.data.sample import Field
from winnow.engine.tasks.task import counted, share

IGNORED = -1


@dataclass(frozen=True)
class Segmentation:
    """Predicts logits (B, classes, H, W) for classes (B, H, W); -1 is left out."""

    field: Field

    @property
    def outputs(self) -> int:
        """One logit per class."""
        return len(self.field.classes)

    def counts(self, target: Tensor) -> Tensor:
        """Return the number of labelled pixels."""
        return counted(target != IGNORED)

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the cross-entropy [nat], mean over labelled pixels."""
        total = functional.cross_entropy(prediction, target, ignore_index=IGNORED, reduction="sum")
        return total / (self.counts(target) if counts is None else counts)[0].clamp(min=1)

    def meter(self) -> "ConfusionMeter":
        """Return an empty confusion matrix."""
        return ConfusionMeter(self.outputs, ("miou", "pixel_accuracy"))

    def constant(self, target: Tensor) -> Tensor:
        """Return logits that choose the most frequent class."""
        counts = torch.bincount(target[target != IGNORED].flatten(), minlength=self.outputs)
        return (counts.float() + 1).log()

    def mirror(self, target: Tensor) -> Tensor:
        """Mirror the map."""
        return target.flip(2)


class ConfusionMeter:
    """Counts (target, predicted) pairs; computes the two metrics named, of those in `compute`."""

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
        """Return IoU and recall averaged over the classes that occur, and accuracy, in per cent."""
        if self._unknown:
            return dict.fromkeys(self._metrics, float("nan"))
        matrix = self._matrix.double()
        hits, truths, guesses = matrix.diag(), matrix.sum(1), matrix.sum(0)
        union = truths + guesses - hits
        accuracy = 100 * share(float(hits.sum()), float(matrix.sum()))
        values = {
            "miou": 100 * float((hits / union)[union > 0].mean()),
            "pixel_accuracy": accuracy,
            "accuracy": accuracy,
            "balanced_accuracy": 100 * float((hits / truths)[truths > 0].mean()),
        }
        return {name: values[name] for name in self._metrics}
