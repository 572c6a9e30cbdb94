"""Training that also imitates a teacher: L = (1 − α) Σ_k w_k L_k + α (Σ_k w_k D_k + F).

L_k is the loss of task k, D_k the distance of its prediction from the teacher's (`engine.tasks.imitation`), and F that
of the shared maps: the mean over images of ‖q/‖q‖ − q′/‖q′‖‖², where q (H·W) is the mean over channels of the squared
map (attention transfer, Zagoruyko & Komodakis 2017, arXiv 1612.03928). F needs no channel of the student to be one of
the teacher's, so it serves a student that lost channels. A network without a module `trunk` that gives a map has none.

The teacher is in evaluation mode, gets no gradient, and sees the student's images, mirrored as they are.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.graph.modes import evaluating
from winnow.engine.tasks.imitation import DISTANCES, imitation
from winnow.engine.tasks.task import Task

TRUNK = "trunk"


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
