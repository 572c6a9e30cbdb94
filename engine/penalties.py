"""What sparsity costs: for each penalty its value, its proximal operator and its optimality condition, side by side.

All three use one weight c_g per group and one strength λ, so that what is plotted, what the step solves and what is
checked are the same problem:

    value      R(w) = λ Σ_g c_g ‖w_g‖₂
    prox       argmin_z ½‖z − w‖² + step · R(z)
    violation  distance of 0 to ∇F(w) + ∂R(w), per group; 0 at a solution

A penalty is a few numbers; the weights stay in the bank that the caller hands over.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from engine.groups import Bank

WeightRule = Literal["size", "none"]


class Penalty(Protocol):
    """A sum over groups, of strength λ, that has a proximal operator in closed form."""

    @property
    def strength(self) -> float:
        """The strength λ ≥ 0."""
        ...

    def value(self, bank: Bank) -> Tensor:
        """Return R(w), a scalar."""
        ...

    def prox_(self, bank: Bank, step: Tensor) -> Tensor:
        """Replace w by argmin_z ½‖z − w‖² + step · R(z), in place; `step` is () or (channels,). Return the norms."""
        ...

    def violation(self, bank: Bank) -> Tensor:
        """Return dist(0, ∇F(w) + ∂R(w)) per group, (channels,), with ∇F in the parameters' `.grad`."""
        ...


@dataclass(frozen=True)
class GroupLasso:
    """λ Σ_g c_g ‖w_g‖₂ with c_g = √|g| (`weights="size"`) or 1 (`"none"`).

    √|g| makes groups of different sizes meet the threshold at the same noise (Yuan & Lin 2006).

    Raises:
        ValueError: `strength` is negative or not finite; `weights` is unknown.

    """

    strength: float
    weights: WeightRule = "size"

    def __post_init__(self) -> None:
        if not 0 <= self.strength < float("inf"):
            raise ValueError(f"`strength` should be a finite number ≥ 0. Found {self.strength}.")
        if self.weights not in ("size", "none"):
            raise ValueError(f"`weights` should be 'size' or 'none'. Found {self.weights!r}.")

    def value(self, bank: Bank) -> Tensor:
        """Return λ Σ_g c_g ‖w_g‖₂."""
        return self.strength * (self._weights(bank) * bank.norms()).sum()

    def prox_(self, bank: Bank, step: Tensor) -> Tensor:
        """Shrink each group: w_g · max(0, 1 − step λ c_g / ‖w_g‖). Return the norms afterwards."""
        norms = bank.norms()
        shrunk = (norms - step * self.strength * self._weights(bank)).clamp_(min=0)
        bank.scale_(shrunk / norms.masked_fill(norms == 0, 1))
        return shrunk

    def violation(self, bank: Bank) -> Tensor:
        """Return ‖∇_g F + λ c_g w_g/‖w_g‖‖ where w_g ≠ 0, and max(0, ‖∇_g F‖ − λ c_g) where w_g = 0."""
        with torch.no_grad():
            parameters = bank.parameters
            gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
            squared = bank.sums([gradient.square() for gradient in gradients])
            inner = bank.sums([gradient * p for gradient, p in zip(gradients, parameters, strict=True)])
            norms, bound = bank.norms(), self.strength * self._weights(bank)
            alive = norms > 0
            # ‖∇ + b w/‖w‖‖² = ‖∇‖² + 2 b ⟨∇, w⟩/‖w‖ + b²
            smooth = squared + 2 * bound * inner / norms.masked_fill(~alive, 1) + bound.square()
            return torch.where(alive, smooth.clamp(min=0).sqrt(), (squared.sqrt() - bound).clamp(min=0))

    def _weights(self, bank: Bank) -> Tensor:
        """Return c_g, 0 for channels that are no groups: (channels,)."""
        weight = bank.size**0.5 if self.weights == "size" else 1.0
        return weight * bank.present.to(bank.parameters[0].dtype)
