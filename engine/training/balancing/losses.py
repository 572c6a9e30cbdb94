"""Balancers whose weights follow from the losses alone: one backward of the weighted sum, nothing is cut.

Each is judged against the paper's formula, with weights that start at, or average to, 1:

    equal         Σ L_t
    static        Σ w_t L_t
    uncertainty   Σ e^{−s_t} L_t + s_t, with s_t learned by the optimiser (Kendall et al., arXiv 1705.07115; twice the
                  paper's regression form, so that the start, s = 0, is the plain sum)
    dwa           w = K softmax(r/T), r_t = mean loss of the last epoch / of the one before (Liu et al., 1803.10704);
                  1 in the first two epochs
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from winnow.engine.specs.balancing import Scope
from winnow.engine.training.balancing.balancer import Balance, Balancer, Cut
from winnow.engine.training.balancing.gradients import task_rows


class LossBalancer(Balancer):
    """One backward of a weighted sum of losses; a subclass says which weights."""

    def cut(self, features: Tensor) -> Cut:
        """Return the features themselves for every head (a leaf if the trunk is frozen, so that it can be recorded)."""
        features = features if features.requires_grad else features.detach().requires_grad_()
        return Cut(features, dict.fromkeys(self.tasks, features))

    def backward(
        self, losses: Mapping[str, Tensor], cut: Cut, shared: Sequence[nn.Parameter] = (), record: bool = False
    ) -> Balance:
        """Send the weighted sum backward."""
        values, probing = self.stacked(losses), self.probing
        products = None
        if record or probing:
            products = self.products(task_rows([losses[task] for task in self.tasks], self.places(cut, shared)))
        if products is not None and probing:
            self.take(products, values.detach())
        weights = self.weights(values.detach())
        total = self.total(values, weights)
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
        return Balance(weights, products if record else None)

    @property
    def probing(self) -> bool:
        """Whether the Gramian of this step is needed for the weights (`take`)."""
        return False

    def take(self, products: Tensor, values: Tensor) -> None:
        """Take in the Gramian (K, K) of a step, and the losses (K,), before its weights are asked for."""

    @abstractmethod
    def weights(self, values: Tensor) -> Tensor:
        """Return the weights (K,) of this step for detached losses (K,); what is to be remembered, remember."""

    def total(self, values: Tensor, weights: Tensor) -> Tensor:
        """Return the scalar to send backward."""
        return (weights * values).sum()


class Equal(LossBalancer):
    """The plain sum: bit by bit `stacked.sum().backward()`, at its cost."""

    def weights(self, values: Tensor) -> Tensor:
        """Return ones."""
        return torch.ones_like(values)

    def total(self, values: Tensor, weights: Tensor) -> Tensor:
        """Return Σ L_t."""
        return values.sum()


class Static(LossBalancer):
    """Weights that the user sets.

    Raises:
        ValueError: `weights` does not name each task once.

    """

    fixed: Tensor

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float], scope: Scope = "features") -> None:
        super().__init__(tasks, scope)
        if weights.keys() != set(tasks):
            raise ValueError(f"`weights` must name {', '.join(tasks)}, got {', '.join(weights) or 'none'}.")
        self.register_buffer("fixed", torch.tensor([float(weights[task]) for task in tasks]))

    def weights(self, values: Tensor) -> Tensor:
        """Return what the user set."""
        return self.fixed.to(values)


class Uncertainty(LossBalancer):
    """Σ e^{−s_t} L_t + s_t; at the optimum of s_t the weight is 1/L_t. A task without labels leaves s_t alone."""

    def __init__(self, tasks: Sequence[str], scope: Scope = "features") -> None:
        super().__init__(tasks, scope)
        self.log_variances = nn.Parameter(torch.zeros(len(self.tasks)))

    def weights(self, values: Tensor) -> Tensor:
        """Return e^{−s}."""
        return torch.exp(-self.log_variances.detach())

    def total(self, values: Tensor, weights: Tensor) -> Tensor:
        """Return the sum over labelled tasks, differentiable in s too."""
        terms = torch.exp(-self.log_variances) * values + self.log_variances
        return (terms * (values.detach() != 0)).sum()


class DynamicAverage(LossBalancer):
    """Dynamic weight average: tasks whose loss falls slowly weigh more. Means are over the batches with labels."""

    sums: Tensor
    counts: Tensor
    history: Tensor
    """Mean losses of the epoch before the last one and of the last, (2, K); NaN where not known."""
    epochs: Tensor

    def __init__(self, tasks: Sequence[str], temperature: float = 2.0, scope: Scope = "features") -> None:
        super().__init__(tasks, scope)
        self.temperature = temperature
        self.register_buffer("sums", torch.zeros(len(tasks), dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(len(tasks), dtype=torch.float64))
        self.register_buffer("history", torch.full((2, len(tasks)), torch.nan, dtype=torch.float64))
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))

    def weights(self, values: Tensor) -> Tensor:
        """Return K softmax(r/T), and add the losses to the epoch's mean."""
        self.refuse_negative(values, "dwa")
        self.sums += values
        self.counts += values != 0
        if self.epochs < 2:
            return torch.ones_like(values)
        older, newer = self.history
        rates = torch.nan_to_num(newer / older, nan=1.0)  # not known: the loss stands still
        return len(self.tasks) * torch.softmax(rates / self.temperature, 0).to(values)

    def end_epoch(self) -> None:
        """Close the epoch's mean; a task that had no labels keeps its last one."""
        seen = self.counts > 0
        mean = torch.where(seen, self.sums / self.counts.clamp(min=1), self.history[1])
        self.history.copy_(torch.stack([self.history[1], mean]))
        self.sums.zero_()
        self.counts.zero_()
        self.epochs += 1
