"""How K task losses become one update of a hard-parameter-sharing network. The penalty is not among them.

A training step with any balancer:

    cut = balancer.cut(trunk(images))                          # where trunk and heads meet
    losses = {task: loss(heads[task](cut.views[task]), …)}     # each head reads its own view of the features
    balance = balancer.backward(losses, cut, shared)           # gradients are in place
    optimiser.step()

There are two kinds. Where the weights follow from the losses alone (equal, static, uncertainty, dwa, famo; and auto,
once it has probed), the views are the features themselves, and one backward of the weighted sum serves trunk and heads:
each head gets the gradient of its weighted loss, as in the papers. Where the weights follow from the task gradients
(gradnorm and the Gramian family), each view is a leaf: one backward of the heads leaves g_t = ∂L_t/∂features in view t,
the weights come from the Gramian ⟨g_s, g_t⟩, and Σ w_t g_t goes through the trunk once. The heads then have the
gradient of their own unweighted loss (gradnorm: of the weighted one).

At scope `parameters` the Gramian is that of J_t = ∂L_t/∂(trunk's parameters): K passes through the trunk and K copies
of its gradient. At scope `features` it is an approximation of that (the upper bound of Sener & Koltun, arXiv
1810.04650): good where the trunk's Jacobian stretches all directions alike.

One scale for all: where task gradients are orthogonal and equally long, and losses equal, every weight is 1, so that
learning rate and strength mean the same under every method. Papers whose weights sum to 1 are multiplied by K.

A loss of exactly 0 is a task without labels in this batch: its weight does not move, and what a method remembers of it
stays.

Where several processes share a batch (`ranks`), losses come with the value of the whole batch and the gradient of the
own slice (engine.training.forward). The features of the batch are those of all slices side by side, so that
its Gramian at the features is the sum of theirs: K² numbers are exchanged. At the parameters it is that of summed
gradients. The gradient itself is summed afterwards, by whoever trains.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winnow.engine.specs.balancing import Scope
from winnow.engine.training.balancing.gradients import Row, inner_products
from winnow.engine.training.distributed.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Cut:
    """The seam of trunk and heads: the trunk's output, its graph attached, and what the head of each task reads."""

    features: Tensor
    views: dict[str, Tensor]


@dataclass(frozen=True)
class Balance:
    """What one backward did: the weights (K,) on the task gradients in the trunk, and their Gramian (K, K) if known.

    Both are detached; the Gramian is float64 on the CPU and belongs to the unweighted losses.
    """

    weights: Tensor
    gramian: Tensor | None


class Balancer(nn.Module, ABC):
    """A way to combine task losses, and all that it remembers between steps.

    `parameters()` are what the optimiser must hold along with the network, without weight decay (uncertainty alone has
    any). `state_dict()` is all that a resumed run needs, tensors by name; `to(device)` moves it to the losses' device.

    Args:
        tasks: the names, in the order of weights and Gramian.
        scope: where task gradients are compared.

    """

    needs_losses_after_step = False
    """Whether `after_step` must be called: it costs another forward pass."""

    def __init__(self, tasks: Sequence[str], scope: Scope = "features") -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.scope = scope
        self.ranks: Ranks = ALONE

    @abstractmethod
    def cut(self, features: Tensor) -> Cut:
        """Return what the heads read in place of the trunk's output (B, …)."""

    @abstractmethod
    def backward(
        self, losses: Mapping[str, Tensor], cut: Cut, shared: Sequence[nn.Parameter] = (), record: bool = False
    ) -> Balance:
        """Add the gradients of trunk and heads to the parameters' `.grad`.

        Args:
            losses: scalar loss of every task; exactly 0 where a task has no labels.
            cut: what `cut` returned for this batch.
            shared: the trunk's parameters, needed at scope `parameters`.
            record: return the Gramian even where the method can do without; the gradients keep their bits.

        Raises:
            ValueError: other tasks than those of the balancer; a negative loss where the method has no sense for it.
            ArithmeticError: the gradient of a task is NaN or infinite.

        """

    def after_step(self, losses: Mapping[str, Tensor]) -> None:
        """Take in the losses of the same batch after the optimiser's step."""

    def end_epoch(self) -> None:
        """Take note that all training images were seen once more."""

    def stacked(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Return the losses (K,) in the order of the tasks."""
        if losses.keys() != set(self.tasks):
            raise ValueError(f"`losses` must name {', '.join(self.tasks)}, got {', '.join(losses) or 'none'}.")
        return torch.stack([losses[task] for task in self.tasks])

    def places(self, cut: Cut, shared: Sequence[nn.Parameter]) -> list[Tensor]:
        """Return the tensors at which task gradients are compared."""
        if self.scope == "features":
            return [cut.features]
        learned: list[Tensor] = [parameter for parameter in shared if parameter.requires_grad]
        if not learned:
            raise ValueError("`shared` must hold the trunk's parameters at scope parameters, got none to learn.")
        return learned

    def products(self, rows: Sequence[Row]) -> Tensor:
        """Return the Gramian (K, K) over the whole batch from the task gradients that its own slice gives."""
        if self.scope == "features" or self.ranks.count == 1:
            return self.ranks.sum_(inner_products(rows))
        return inner_products([[None if g is None else self.ranks.sum_(g.clone()) for g in row] for row in rows])

    def refuse_negative(self, values: Tensor, method: str) -> None:
        """Raise if a loss is below 0."""
        for task, value in zip(self.tasks, values.tolist(), strict=True):
            if value < 0:
                raise ValueError(f"`losses` must be at least 0 with method {method}, got {value:g} (task {task}).")
