"""Several labels that an image may have at the same time: a binary cross-entropy each."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from winnow.data.sample import Field
from winnow.engine.tasks.task import counted, masked_mean, share

IGNORED = -1


@dataclass(frozen=True)
class MultiLabel:
    """Predicts logits (B, labels) for {0, 1} (B, labels); -1 is left out."""

    field: Field

    @property
    def outputs(self) -> int:
        """One logit per label."""
        return len(self.field.classes)

    def counts(self, target: Tensor) -> Tensor:
        """Return how many labels are known."""
        return counted(target != IGNORED)

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the binary cross-entropy [nat], mean over known labels; present ones times the field's weights."""
        known = target != IGNORED
        weights = prediction.new_tensor(self.field.weights) if self.field.weights else None
        present = (target == 1).to(prediction.dtype)
        entropy = functional.binary_cross_entropy_with_logits(prediction, present, pos_weight=weights, reduction="none")
        return masked_mean(entropy, known, None if counts is None else counts[0])

    def meter(self) -> "LabelMeter":
        """Return an empty meter."""
        return LabelMeter(self.outputs)

    def constant(self, target: Tensor) -> Tensor:
        """Return the logit of each label's share of the images; 0 of one that is never known."""
        present, known = (target == 1).sum(0).double(), (target != IGNORED).sum(0)
        return torch.logit(torch.where(known > 0, present / known.clamp(min=1), 0.5), eps=1e-6).float()

    def mirror(self, target: Tensor) -> Tensor:
        """Return the target: it does not know left from right."""
        return target


class LabelMeter:
    """Keeps the scores of a split, as the area under a ROC curve needs their order: 5 bytes per image and label."""

    def __init__(self, labels: int) -> None:
        self._scores: list[Tensor] = [torch.empty(0, labels)]
        self._targets: list[Tensor] = [torch.empty(0, labels, dtype=torch.int8)]

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch."""
        self._scores.append(prediction.detach().float().cpu())
        self._targets.append(target.to(torch.int8).cpu())

    @property
    def sums(self) -> list[Tensor]:
        """Nothing: scores are not added up but put side by side (`rows`)."""
        return []

    @property
    def rows(self) -> list[Tensor]:
        """The scores and the labels of the images seen, (images, labels) each."""
        return [torch.cat(self._scores), torch.cat(self._targets)]

    def take(self, rows: list[Tensor]) -> None:
        """Replace what was seen by `rows`, those of several meters one below the other."""
        self._scores, self._targets = [rows[0]], [rows[1]]

    def compute(self) -> dict[str, float]:
        """Return accuracy, F1 and area under the ROC curve [%], each a mean over the labels for which it exists.

        A label is predicted where its logit exceeds 0. Accuracy needs one known image, F1 one that has the label or is
        predicted to, the area one with and one without it.
        """
        scores, targets = self.rows
        columns = [
            _of_label(own[truth >= 0], truth[truth >= 0]) for own, truth in zip(scores.T, targets.T, strict=True)
        ]
        return {name: 100 * _mean([column[name] for column in columns]) for name in ("accuracy", "f1", "auroc")}


def area(scores: Tensor, positive: Tensor) -> float:
    """Return the share of pairs of a positive and a negative that are in the right order, ties as one half.

    That is the area under the ROC curve; NaN without a positive or without a negative.
    """
    _, place, ties = np.unique(scores.numpy(), return_inverse=True, return_counts=True)
    ranks = (ties.cumsum() - (ties - 1) / 2)[place]  # the mean rank of those that tie, from 1
    ones = int(positive.sum())
    pairs = ones * (len(scores) - ones)
    return share(float(ranks[positive.numpy()].sum()) - ones * (ones + 1) / 2, pairs)


def _of_label(scores: Tensor, truth: Tensor) -> dict[str, float | None]:
    """Return the metrics of one label, None where it has none; NaN where a score is NaN."""
    if not len(scores):
        return dict.fromkeys(("accuracy", "f1", "auroc"))
    if scores.isnan().any():
        return dict.fromkeys(("accuracy", "f1", "auroc"), math.nan)
    positive, guess = truth == 1, scores > 0
    hits, said = int((positive & guess).sum()), int(positive.sum() + guess.sum())
    both = 0 < int(positive.sum()) < len(positive)
    return {
        "accuracy": float((positive == guess).double().mean()),
        "f1": 2 * hits / said if said else None,
        "auroc": area(scores, positive) if both else None,
    }


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return share(sum(known), len(known))
