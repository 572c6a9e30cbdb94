"""What sparsity costs: for each penalty its value, its proximal operator and its optimality condition, side by side.

All use one weight c_g per group and one strength λ, so that what is plotted, what the step solves and what is checked
are the same problem:

    value      R(w)
    prox       argmin_z  ½ Σ_m ‖z_m − w_m‖² / s_m + R(z)      s_m: the step length of member m, see below
    violation  distance of 0 to ∇F(w) + ∂R(w), per group; 0 at a solution
    firmness   for a group at zero: the pull of the gradient ÷ what the penalty withstands; below 1 it stays dead

A step length is one number, or one per channel (Adam's metric, constant within a group), or one per member and channel
(groups that overlap, whose common metric is constant within a parameter; members with learning rates of their own).
`engine.sparsity.thresholds` has the arithmetic.

A penalty is a few numbers; the weights stay in the bank that the caller hands over.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from winnow.engine.sparsity import thresholds
from winnow.engine.sparsity.groups import Bank, Joint
from winnow.engine.sparsity.groups.bank import WeightRule


class Penalty(Protocol):
    """A penalty: a sum over groups, of strength λ, whose proximal operator has a closed form."""

    @property
    def strength(self) -> float:
        """The strength λ ≥ 0."""
        ...

    def at(self, strength: float) -> Self:
        """Return the same penalty with another strength."""
        ...

    def value(self, bank: Bank) -> Tensor:
        """Return R(w), a scalar."""
        ...

    def prox_(self, bank: Bank | Joint, step: Tensor) -> Tensor:
        """Replace w by its prox, in place; `step` is (), (channels,) or (members, channels). Return the norms."""
        ...

    def refuse(self, layer: str, step_per_member: bool) -> None:
        """Raise if there is no prox in closed form for such step lengths; `layer` names the groups."""
        ...

    def violation(self, bank: Bank) -> Tensor:
        """Return dist(0, ∇F(w) + ∂R(w)) per group, (channels,), with ∇F in the parameters' `.grad`."""
        ...

    def firmness(self, bank: Bank, gradients: Sequence[Tensor]) -> Tensor:
        """Return for each group, were it zero, the pull of the gradients ÷ its bound: (channels,); 0 if unpenalised."""
        ...


@dataclass(frozen=True)
class _Weighted:
    """What the penalties share: λ, checked, and the weights c_g = √|g| ("size", Yuan & Lin 2006) or 1 ("none").

    √|g| makes groups of different sizes meet the threshold at the same noise.
    """

    strength: float
    weights: WeightRule = "size"

    def __post_init__(self) -> None:
        given: Any = self.strength  # whatever a caller has passed
        if isinstance(given, Tensor | np.generic | np.ndarray) and math.prod(given.shape) == 1:
            given = float(given.item())
            object.__setattr__(self, "strength", given)  # what is stored of it is a number
        if not isinstance(given, Real) or not 0 <= float(given) < math.inf:
            raise ValueError(f"`strength` must be a finite number ≥ 0, got {self.strength!r}.")
        if self.weights not in ("size", "none"):
            raise ValueError(f"`weights` must be 'size' or 'none', got {self.weights!r}.")

    def at(self, strength: float) -> Self:
        """Return the same penalty with another strength."""
        return type(self)(**{**self.__dict__, "strength": strength})

    def refuse(self, layer: str, step_per_member: bool) -> None:
        """Raise nothing: the prox is known for a step length per member too."""

    def _bound(self, bank: Bank | Joint) -> Tensor:
        """Return λ c_g, 0 for channels that are no groups: (channels,)."""
        return self.strength * bank.weights(self.weights)

    def _each(self, bank: Bank | Joint) -> Tensor:
        """Return λ, 0 for channels that are no groups: (channels,)."""
        return self.strength * bank.weights("none")


@dataclass(frozen=True)
class GroupLasso(_Weighted):
    """λ Σ_g c_g ‖w_g‖₂: whole groups become zero, survivors shrink (Yuan & Lin 2006).

    Raises:
        ValueError: `strength` is negative or not finite; `weights` is unknown.

    Examples:
        >>> (bank,) = banks(input_groups(nn.Linear(4, 2)))
        >>> GroupLasso(100.0).prox_(bank, torch.tensor(1.0)).tolist()  # the norms after a step of length 1
        [0.0, 0.0, 0.0, 0.0]

    """

    def value(self, bank: Bank) -> Tensor:
        """Return λ Σ_g c_g ‖w_g‖₂."""
        return (self._bound(bank) * bank.norms()).sum()

    def prox_(self, bank: Bank | Joint, step: Tensor) -> Tensor:
        """Shrink each group: w_g · max(0, 1 − s λ c_g / ‖w_g‖) for one step length s. Return the norms afterwards."""
        return thresholds.shrink_(bank, step, self._bound(bank))

    def violation(self, bank: Bank) -> Tensor:
        """Return ‖∇_g F + λ c_g w_g/‖w_g‖‖ where w_g ≠ 0, and max(0, ‖∇_g F‖ − λ c_g) where w_g = 0."""
        return thresholds.distance(bank, thresholds.gradients(bank), bank.norms(), self._bound(bank))

    def firmness(self, bank: Bank, gradients: Sequence[Tensor]) -> Tensor:
        """Return ‖∇_g F‖ / (λ c_g)."""
        return thresholds.pull(bank, gradients, self._bound(bank))


@dataclass(frozen=True)
class SparseGroupLasso(_Weighted):
    """λ Σ_g [(1 − α) c_g ‖w_g‖₂ + α ‖w_g‖₁]: zero groups, and zeros within the others (Simon et al. 2013).

    Raises:
        ValueError: as `GroupLasso`; `mix` α is not in [0, 1].

    Examples:
        >>> (bank,) = banks(input_groups(nn.Linear(4, 2)))
        >>> SparseGroupLasso(100.0, mix=0.1).prox_(bank, torch.tensor(1.0)).tolist()
        [0.0, 0.0, 0.0, 0.0]

    """

    mix: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.mix <= 1:
            raise ValueError(f"`mix` must be in [0, 1], got {self.mix}.")

    def value(self, bank: Bank) -> Tensor:
        """Return λ Σ_g [(1 − α) c_g ‖w_g‖₂ + α ‖w_g‖₁]."""
        absolute = self.mix * self._each(bank) * thresholds.absolute(bank)
        return ((1 - self.mix) * self._bound(bank) * bank.norms() + absolute).sum()

    def prox_(self, bank: Bank | Joint, step: Tensor) -> Tensor:
        """Soft-threshold every entry by s λ α, then shrink each group by s λ (1 − α) c_g: in this order."""
        bank.soften_(step * (self.mix * self._each(bank)))
        return thresholds.shrink_(bank, step, (1 - self.mix) * self._bound(bank))

    def violation(self, bank: Bank) -> Tensor:
        """Return the distance, entry by entry: where w = 0 the gradient may be up to λ α without cost."""
        bound, entry = (1 - self.mix) * self._bound(bank), self.mix * self._each(bank)
        moved = thresholds.entry_subgradients(bank, thresholds.gradients(bank), entry)
        return thresholds.distance(bank, moved, bank.norms(), bound)

    def firmness(self, bank: Bank, gradients: Sequence[Tensor]) -> Tensor:
        """Return ‖S(∇_g F, λ α)‖ / (λ (1 − α) c_g), S the soft threshold; max |∇| / λ for α = 1."""
        if self.mix == 1:
            return L1(self.strength).firmness(bank, gradients)
        softened = thresholds.soften(bank, gradients, self.mix * self._each(bank))
        return thresholds.pull(bank, softened, (1 - self.mix) * self._bound(bank))


@dataclass(frozen=True)
class GroupMCP(_Weighted):
    """λ c_g ‖w_g‖ − ‖w_g‖²/(2γ) up to ‖w_g‖ = γ λ c_g, constant beyond: large groups are left alone (Zhang 2010).

    With b = λ c_g and s < γ the prox is the firm threshold: 0 up to s b, (‖w‖ − s b)/(1 − s/γ) up to γ b, ‖w‖ beyond.
    With s ≥ γ the problem is concave in between, and the prox is the hard threshold at b √(s γ).

    Raises:
        ValueError: as `GroupLasso`; `concavity` γ is not positive.
        NotImplementedError: a step length per member, for which there is no closed form.

    Examples:
        >>> net = nn.Linear(1, 1, bias=False)
        >>> net.weight.data[:] = 5.0
        >>> (bank,) = banks(input_groups(net))
        >>> GroupMCP(1.0, concavity=3.0).prox_(bank, torch.tensor(1.0)).tolist()  # beyond γ λ c_g: not shrunk
        [5.0]

    """

    concavity: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.concavity < float("inf"):
            raise ValueError(f"`concavity` must be a finite number > 0, got {self.concavity}.")

    def value(self, bank: Bank) -> Tensor:
        """Return Σ_g of λ c_g t − t²/(2γ) at t = min(‖w_g‖, γ λ c_g)."""
        bound = self._bound(bank)
        norms = torch.minimum(bank.norms(), self.concavity * bound)
        return (bound * norms - norms.square() / (2 * self.concavity)).sum()

    def refuse(self, layer: str, step_per_member: bool) -> None:
        """Raise for a step length per member."""
        if step_per_member:
            raise NotImplementedError(
                f"`penalty` must not be GroupMCP where the members of a group take steps of different lengths, got "
                f"{layer}: the prox has no closed form. Use SGD with one rate for all members, or GroupLasso."
            )

    def prox_(self, bank: Bank | Joint, step: Tensor) -> Tensor:
        """Apply the firm threshold to the norm of each group, the hard one where s ≥ γ. Return the norms."""
        self.refuse("a bank", step.dim() == 2)
        norms, bound, gamma = bank.norms(), self._bound(bank), self.concavity
        step = step.to(norms).expand_as(norms)
        slack = (1 - step / gamma).clamp(min=0)
        curved = torch.minimum((norms - step * bound).clamp_(min=0) / slack.masked_fill(slack == 0, 1), norms)
        firm = torch.where(norms > gamma * bound, norms, curved)
        hard = torch.where(norms <= bound * (step * gamma).sqrt(), 0.0, norms)
        return thresholds.rescale_(bank, norms, torch.where(slack > 0, firm, hard), step * bound)

    def violation(self, bank: Bank) -> Tensor:
        """Return ‖∇_g F + max(0, λ c_g − ‖w_g‖/γ) w_g/‖w_g‖‖ where w_g ≠ 0, max(0, ‖∇_g F‖ − λ c_g) elsewhere."""
        norms = bank.norms()
        slope = (self._bound(bank) - norms / self.concavity).clamp(min=0)
        return thresholds.distance(bank, thresholds.gradients(bank), norms, slope)

    def firmness(self, bank: Bank, gradients: Sequence[Tensor]) -> Tensor:
        """Return ‖∇_g F‖ / (λ c_g)."""
        return thresholds.pull(bank, gradients, self._bound(bank))


@dataclass(frozen=True)
class L1(_Weighted):
    """λ ‖w‖₁ over all entries of all groups (Tibshirani 1996): zeros anywhere, so groups die late; c_g plays no part.

    Raises:
        ValueError: as `GroupLasso`.

    Examples:
        >>> net = nn.Linear(1, 1, bias=False)
        >>> net.weight.data[:] = 5.0
        >>> (bank,) = banks(input_groups(net))
        >>> L1(2.0).prox_(bank, torch.tensor(1.0)).tolist()
        [3.0]

    """

    def value(self, bank: Bank) -> Tensor:
        """Return λ Σ |w_i|."""
        return (self._each(bank) * thresholds.absolute(bank)).sum()

    def prox_(self, bank: Bank | Joint, step: Tensor) -> Tensor:
        """Soft-threshold every entry by s λ. Return the norms."""
        bank.soften_(step * self._each(bank))
        norms = bank.norms()
        return thresholds.rescale_(bank, norms, norms, norms) if bank.keeps_norm else norms

    def violation(self, bank: Bank) -> Tensor:
        """Return the distance, entry by entry, as a norm per group."""
        entry = self._each(bank)
        moved = thresholds.entry_subgradients(bank, thresholds.gradients(bank), entry)
        return thresholds.distance(bank, moved, bank.norms(), torch.zeros_like(entry))

    def firmness(self, bank: Bank, gradients: Sequence[Tensor]) -> Tensor:
        """Return max |∇_i F| / λ over the entries of the group."""
        return thresholds.ratio(thresholds.largest(bank, gradients), self._each(bank))
