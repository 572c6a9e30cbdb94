"""What is explained: each task as one number per image, (B,).

| kind             | of = "loss"             | of = "output"                                                       |
|------------------|-------------------------|---------------------------------------------------------------------|
| `segmentation`   | the task's loss on each | mean over pixels of the logit of the class predicted there          |
| `edges`          | image alone             | mean over pixels of the logit, with the sign of the prediction      |
| `depth`          |                         | mean prediction over known pixels [m]                               |
| `normals`        |                         | mean over known pixels of ⟨prediction, target⟩                      |
| `classification` |                         | logit of the predicted class                                        |
| `regression`     |                         | the prediction                                                      |

Every output is a linear functional Σ prediction · weight. Its weights, and with them the predicted class, are frozen at
the unperturbed prediction (as in Captum's segmentation tutorial). They are means, not sums, so that the size of a crop
does not matter. A task may also be a plain function (prediction, target) → (B,), which is its loss; its output, like
that of a task without a description, is the mean over positions of the largest output there.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from winnow.engine.specs.explain import Of
from winnow.engine.tasks.classes import IGNORED, Classes, Classification, Segmentation
from winnow.engine.tasks.depth import Depth
from winnow.engine.tasks.normals import Normals, known_normals
from winnow.engine.tasks.task import Task

Loss = Callable[[Tensor, Tensor], Tensor]


class Objective:
    """One number per image of one task: first `freeze` what must stay constant, then take `value`."""

    def __init__(self, task: Task | Loss | None, of: Of) -> None:
        self.task: Any = task
        self.of = of

    def freeze(self, prediction: Tensor, target: Tensor | None) -> Tensor:
        """Return what `value` needs beside the prediction, (B, …): the target, or the weights of the output."""
        if self.of == "output":
            return output_weights(self.task, prediction.detach(), target)
        if target is None:
            raise ValueError(
                "`batches` must hold targets to explain losses, got images alone. Add them, or set of='output'."
            )
        return target

    def value(self, prediction: Tensor, frozen: Tensor) -> Tensor:
        """Return the number of every image, (B,)."""
        if self.of == "output":
            return (prediction * frozen).reshape(len(prediction), -1).sum(1)
        return image_losses(self.task, prediction.float(), frozen)

    @property
    def losses(self) -> "Objective":
        """The same task's loss."""
        return Objective(self.task, "loss")


def objectives(tasks: Mapping[str, Task | Loss | None], of: Of) -> dict[str, Objective]:
    """Return what is explained of every task."""
    return {name: Objective(task, of) for name, task in tasks.items()}


def image_losses(task: Any, prediction: Tensor, target: Tensor) -> Tensor:
    """Return the loss of every image alone, (B,): an image without labels has 0."""
    if task is None:
        return _plain(prediction, target)
    if not hasattr(task, "loss"):
        losses: Tensor = task(prediction, target)
        return losses
    at_once = AT_ONCE.get(type(task))
    if at_once is not None:
        return at_once(task, prediction, target)
    if type(task) is Normals and not torch.is_grad_enabled():
        return _of_directions(prediction, target)
    alone = zip(
        torch.split(prediction, 1), torch.split(target, 1), strict=True
    )  # slices would make a whole gradient each
    return torch.stack([task.loss(own, truth) for own, truth in alone])


def _of_classes(task: Classes, prediction: Tensor, target: Tensor) -> Tensor:
    """Return the loss of `Classes` of every image, (B,)."""
    known, weights = target != IGNORED, None
    counted = known.to(prediction.dtype)
    if task.field.weights:
        weights = prediction.new_tensor(task.field.weights)
        counted = counted * weights[target * known]
    losses = functional.cross_entropy(prediction, target, weights, ignore_index=IGNORED, reduction="none")
    least = 1.0 if weights is None else torch.finfo(prediction.dtype).tiny
    return losses.reshape(len(losses), -1).sum(1) / counted.reshape(len(counted), -1).sum(1).clamp(min=least)


def _of_depths(_task: Depth, prediction: Tensor, target: Tensor) -> Tensor:
    """Return the loss of `Depth` of every image, (B,)."""
    known = target > 0
    errors = (prediction[:, 0] - target).abs() * known
    return errors.flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)


AT_ONCE: Mapping[type, Callable[[Any, Tensor, Tensor], Tensor]] = MappingProxyType(
    {Segmentation: _of_classes, Classification: _of_classes, Depth: _of_depths}
)
"""The losses of all images of a batch at once, where the task is one of ours: image by image they take far longer."""


def _of_directions(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the loss of `Normals` of every image, (B,), all at once: torch's cosine takes most of an ablation's time.

    Without gradients: that of a length is not defined at 0.
    """
    truth = target.movedim(3, 1).contiguous()
    lengths = [vectors.square().sum(1).sqrt().clamp(min=1e-6) for vectors in (prediction, truth)]
    apart = 1 - (prediction * truth).sum(1) / (lengths[0] * lengths[1])
    known = known_normals(target)
    return (apart * known).flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)


def output_weights(task: Any, prediction: Tensor, target: Tensor | None) -> Tensor:
    """Return the weights of the linear functional for a task's output, in the prediction's shape."""
    kind = task.field.kind if hasattr(task, "field") else None
    if kind in ("edges", "multilabel"):
        return prediction.sign() / prediction[0].numel()
    if kind in ("regression", "vector", "map"):
        return torch.ones_like(prediction) / prediction[0].numel()
    if kind in ("depth", "normals") and target is not None:
        known = target[:, None] > 0 if kind == "depth" else known_normals(target)[:, None]
        weights = known.float() if kind == "depth" else target.movedim(3, 1) * known
        return weights / known.flatten(1).sum(1).clamp(min=1).view(-1, 1, 1, 1)
    if prediction.dim() < 2:  # one number per image is that number
        return torch.ones_like(prediction)
    chosen = torch.zeros_like(prediction).scatter_(1, prediction.argmax(1, keepdim=True), 1.0)
    return chosen / max(1, prediction[0, 0].numel())


def _plain(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the loss of a task without a description, (B,): cross-entropy for integer targets, else squared error."""
    if not target.is_floating_point():
        losses = functional.cross_entropy(prediction, target, ignore_index=-1, reduction="none")
    else:
        losses = (prediction.reshape(target.shape) - target).square()
    return losses.reshape(len(losses), -1).mean(1)
