"""Balancers whose weights follow from the Gramian of the task gradients: heads backward, weigh, trunk backward."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from winnow.engine.specs.balancing import Scope
from winnow.engine.training.balancing.balancer import Balance, Balancer, Cut
from winnow.engine.training.balancing.gradients import Row

Weighting = Callable[[Tensor], Tensor]
"""From the Gramian (K, K) of the non-zero task gradients, float64, mean diagonal 1, K ≥ 2, to weights (K,)."""


class NonFiniteGradientError(ArithmeticError):
    """A task gradient that is no number any more."""


class GramianBalancer(Balancer):
    """Σ w_t g_t in the trunk with w from the Gramian of the g_t; the heads get their own unweighted gradient.

    A weighting sees the Gramian scaled to a mean diagonal of 1 and without tasks whose gradient is zero; these weigh 0,
    a task alone weighs 1. So no weighting meets its own thresholds for "zero", which are absolute in most
    implementations: gradients at features of a mean over pixels are small.
    """

    def __init__(self, tasks: Sequence[str], weighting: Weighting, scope: Scope = "features") -> None:
        super().__init__(tasks, scope)
        self.weighting = weighting

    def cut(self, features: Tensor) -> Cut:
        """Return a leaf for every head, so that the gradients of the tasks arrive apart."""
        return Cut(features, {task: features.detach().requires_grad_() for task in self.tasks})

    def backward(
        self, losses: Mapping[str, Tensor], cut: Cut, shared: Sequence[nn.Parameter] = (), record: bool = False
    ) -> Balance:
        """Send the losses backward to the cut, and the weighted gradients from there through the trunk."""
        values = self.stacked(losses)
        scales = self.scales(values.detach())
        total = (scales * values).sum()
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
        places = self.places(cut, shared)
        rows: list[Row] = [[cut.views[task].grad] for task in self.tasks]
        if self.scope == "parameters":
            rows = _through(cut.features, [row[0] for row in rows], places)
        scales = scales.double().cpu()
        products = self.products(rows) / torch.outer(scales, scales)
        weights = self.ranks.agree_(self.weigh(products, values.detach()))  # a weighting may draw at random
        _send(rows, (weights / scales).tolist(), places)
        return Balance(weights, products)

    def scales(self, values: Tensor) -> Tensor:
        """Return the weights (K,) of the losses in the heads."""
        return torch.ones_like(values)

    @torch.no_grad()
    def weigh(self, products: Tensor, values: Tensor) -> Tensor:
        """Return the weights (K,) of the task gradients in the trunk from their Gramian (K, K) and the losses (K,)."""
        refuse_nonfinite(products, self.tasks)
        present = products.diagonal().nonzero().flatten()
        weights = torch.zeros(len(products), dtype=torch.float64)
        if len(present) < 2:
            weights[present] = 1
            return weights
        among = products[present][:, present]
        weights[present] = self.weighting(among / among.diagonal().mean())
        return weights


def refuse_nonfinite(products: Tensor, tasks: Sequence[str]) -> None:
    """Raise if the Gramian is not finite, and name the task."""
    for task, squared in zip(tasks, products.diagonal().tolist(), strict=True):
        if not 0 <= squared < float("inf"):
            raise NonFiniteGradientError(f"gradient became NaN or infinite (task {task})")


def _through(features: Tensor, gradients: Sequence[Tensor | None], shared: Sequence[Tensor]) -> list[Row]:
    """Return each task's gradient at the trunk's parameters: a pass through the trunk per task."""
    rows: list[Row] = []
    for gradient in gradients:
        if gradient is None:
            rows.append([None] * len(shared))
        else:
            rows.append(torch.autograd.grad(features, shared, gradient, retain_graph=True, allow_unused=True))
    return rows


@torch.no_grad()
def _combined(parts: Sequence[Tensor | None], factors: Sequence[float]) -> Tensor | None:
    """Return Σ factor · part over the parts that exist."""
    total: Tensor | None = None
    for part, factor in zip(parts, factors, strict=True):
        if part is not None:
            total = part * factor if total is None else total.add_(part, alpha=factor)
    return total


def _send(rows: Sequence[Row], factors: Sequence[float], places: Sequence[Tensor]) -> None:
    """Add Σ factor · row to the gradients: at parameters in place, at features through the trunk."""
    for place, parts in zip(places, zip(*rows, strict=True), strict=True):
        combined = _combined(parts, factors)
        if combined is None:
            continue
        if not place.is_leaf:
            place.backward(combined)  # type: ignore[no-untyped-call]
        elif place.requires_grad:
            place.grad = combined if place.grad is None else place.grad + combined
