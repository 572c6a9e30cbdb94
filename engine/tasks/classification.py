"""A class for the whole image: cross-entropy; accuracy and mean recall."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from winnow.data.sample import Field
from winnow.engine.tasks.segmentation import IGNORED, ConfusionMeter
from winnow.engine.tasks.task import counted


@dataclass(frozen=True)
class Classification:
    """Predicts logits (B, classes) for classes (B,); -1 is left out."""

    field: Field

    @property
    def outputs(self) -> int:
        """One logit per class."""
        return len(self.field.classes)

    def counts(self, target: Tensor) -> Tensor:
        """Return the number of labelled images."""
        return counted(target != IGNORED)

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the cross-entropy [nat], mean over labelled images."""
        total = functional.cross_entropy(prediction, target, ignore_index=IGNORED, reduction="sum")
        return total / (self.counts(target) if counts is None else counts)[0].clamp(min=1)

    def meter(self) -> ConfusionMeter:
        """Return an empty confusion matrix."""
        return ConfusionMeter(self.outputs, ("accuracy", "balanced_accuracy"))

    def constant(self, target: Tensor) -> Tensor:
        """Return logits that choose the most frequent class."""
        return (torch.bincount(target[target != IGNORED], minlength=self.outputs).float() + 1).log()

    def mirror(self, target: Tensor) -> Tensor:
        """Return the target: it does not know left from right."""
        return target
