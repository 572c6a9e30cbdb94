"""Training that also imitates a teacher. A refit: L = (1 − α) Σ_k w_k L_k + α (Σ_k w_k D_k + F).

A whole training (`engine.training.forward`) leaves F out and lets every balancing weigh (1 − α) L_k + α D_k.

L_k is the loss of task k, D_k the distance of its prediction from the teacher's, without labels and zero where both
agree, and F that of the shared maps: the mean over images of ‖q/‖q‖ − q′/‖q′‖‖², where q (H·W) is the mean over
channels of the squared map (attention transfer, Zagoruyko & Komodakis 2017, arXiv 1612.03928). F needs no channel of
the student to be one of the teacher's, so it serves a student that lost channels. A network without a module `trunk`
that gives a map has no F.

The teacher is in evaluation mode, gets no gradient, and sees the student's images, mirrored as they are.

| kind                                | distance, mean over images and pixels                          |
|-------------------------------------|----------------------------------------------------------------|
| segmentation, classification        | T² KL(teacher ‖ student) of the classes at temperature T = 2   |
|                                     | (Hinton, Vinyals & Dean 2015, arXiv 1503.02531)                |
| multilabel, edges                   | KL(teacher ‖ student) of each label                            |
| depth                               | absolute difference [m]                                        |
| normals                             | 1 − cos                                                        |
| regression, vector, map             | squared difference, in units of the squared scale              |
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.graph.modes import evaluating
from winnow.engine.specs.registry import entry
from winnow.engine.tasks.task import Task

TRUNK = "trunk"
Distance = Callable[[Tensor, Tensor], Tensor]
TEMPERATURE = 2.0


class Distillation:
    """A teacher and α in (0, 1]; `pass_through` runs the student, `loss` is how far it is from the teacher.

    Raises:
        ValueError: α outside (0, 1], or a task of a kind that has no distance.

    """

    def __init__(self, teacher: nn.Module, tasks: Mapping[str, Task], weight: float) -> None:
        if not 0 < weight <= 1:
            raise ValueError(f"`distillation` must be above 0 and at most 1, got {weight:g}.")
        if unknown := [name for name, task in tasks.items() if task.field.kind not in DISTANCES]:
            raise ValueError(
                f"`tasks` must be of kinds that can be imitated with distillation, {', '.join(DISTANCES)}, got "
                f"{', '.join(unknown)}. Leave them out, or set `distillation` to 0."
            )
        self.weight = weight
        self._teacher, self._tasks = teacher, tasks

    def pass_through(self, student: nn.Module, images: Tensor) -> tuple[Mapping[str, Tensor], Tensor | None]:
        """Return the student's predictions and its shared map, None where it has none."""
        with _Watched(student) as watched:
            predictions = student(images)
        return predictions, watched.map

    def loss(
        self, seen: tuple[Mapping[str, Tensor], Tensor | None], images: Tensor, weights: Mapping[str, float]
    ) -> Tensor:
        """Return Σ w_k D_k + F for what `pass_through` gave on the images; `weights` not named are 1."""
        with torch.no_grad(), evaluating(self._teacher):
            wanted, features = self.pass_through(self._teacher, images)
        terms = [
            weights.get(name, 1.0) * imitation(task.field.kind, seen[0][name].float(), wanted[name].float())
            for name, task in self._tasks.items()
        ]
        if seen[1] is not None and features is not None and seen[1].shape[2:] == features.shape[2:]:
            terms.append(attention_distance(seen[1].float(), features.float()))
        return torch.stack(terms).sum()

    def wanted(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return the teacher's predictions, without gradient."""
        with torch.no_grad(), evaluating(self._teacher):
            found: Mapping[str, Tensor] = self._teacher(images)
        return {name: found[name].float() for name in self._tasks}

    def mixed(
        self,
        losses: Mapping[str, Tensor],
        predictions: Mapping[str, Tensor],
        wanted: Mapping[str, Tensor],
        share: float = 1.0,
    ) -> dict[str, Tensor]:
        """Return (1 − α) L_k + α share D_k of every task; `share` is that of these images of the whole batch."""
        imitated = {
            name: imitation(task.field.kind, predictions[name].float(), wanted[name])
            for name, task in self._tasks.items()
        }
        return {name: (1 - self.weight) * loss + self.weight * share * imitated[name] for name, loss in losses.items()}


def attention_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean of ‖q/‖q‖ − q′/‖q′‖‖² over images, q the mean square over channels of a map (B, C, …)."""
    ours, theirs = (functional.normalize(each.square().mean(1).flatten(1), dim=1) for each in (student, teacher))
    return (ours - theirs).square().sum(1).mean()


class _Watched(ExitStack):
    """Within it, `map` is what the module `trunk` of a network gave last, (B, C, …); None without such a map."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.map: Tensor | None = None
        trunk = dict(net.named_children()).get(TRUNK)
        if trunk is not None:
            self.callback(trunk.register_forward_hook(self._keep).remove)

    def _keep(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        self.map = output if isinstance(output, Tensor) and output.dim() > 2 else None


def imitation(kind: str, student: Tensor, teacher: Tensor) -> Tensor:
    """Return the distance of two raw predictions of one kind of task.

    Raises:
        ValueError: there is no distance for tasks of this kind.

    """
    return entry(DISTANCES, kind, "kind")(student, teacher)


def _classes(student: Tensor, teacher: Tensor) -> Tensor:
    truth, guess = ((logits / TEMPERATURE).log_softmax(1) for logits in (teacher, student))
    divergence = functional.kl_div(guess, truth, reduction="none", log_target=True)
    return TEMPERATURE**2 * divergence.sum(1).mean()


def _labels(student: Tensor, teacher: Tensor) -> Tensor:
    truth = teacher.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits
    return entropy(student, truth) - entropy(teacher, truth)


def _directions(student: Tensor, teacher: Tensor) -> Tensor:
    return (1 - functional.cosine_similarity(student, teacher, dim=1, eps=1e-6)).mean()


DISTANCES: Mapping[str, Distance] = MappingProxyType(
    {
        "segmentation": _classes,
        "classification": _classes,
        "multilabel": _labels,
        "edges": _labels,
        "depth": functional.l1_loss,
        "normals": _directions,
        "regression": functional.mse_loss,
        "vector": functional.mse_loss,
        "map": functional.mse_loss,
    }
)
"""The distance of each kind of task that has one."""
