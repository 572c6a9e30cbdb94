"""`Proximal(optimizer, groups, penalty)`: any of torch's usual optimisers, then the proximal step in its own metric.

A proximal method alternates a step on the smooth loss F with the prox of the penalty R. Its fixed point solves
min F + R only if both use the same metric and the same step length. Three shortcuts miss that, and are not taken here:

- Heavy-ball momentum μ: the plain threshold η λ c solves the problem with λ(1−μ), ten times too weak at μ = 0.9.
- Adam: a Euclidean prox after an elementwise step D⁻¹m̂ solves another penalty, one that drifts with v. Here

      w_g ← prox of (η/D_g)·R at  w_g − (η/D_g)·m̂_g,      m̂ = m/(1−β₁ᵗ),  v̂ = v/(1−β₂ᵗ)

  which is closed form, gives exact zeros, and costs a few per cent of a training step
  (`engine.sparsity.preconditioner`). Weights outside the groups take torch's own step. The exact prox in an elementwise
  metric (Yun et al. 2021, Deleu & Bengio 2021) needs a Newton iteration per group, and costs several training steps.
- Decoupled weight decay (AdamW) inside the penalised groups adds a term that the metric does not know: it is left out
  of them. Coupled decay (SGD, Adam) is part of F, and stays.

Groups that overlap (`coupled`: a weight lies in the group of the channel it reads and in that of the channel it
writes) have no joint prox in closed form. Their banks are solved one after the other, an incremental proximal step
(Bertsekas 2011): every prox only scales, so zeros stay exact, and the fixed point is off by the order of the step
length, which the schedule takes to zero.

Under batch norm the loss ignores the scale of a convolution, so a penalty on its norm can fall at no loss, and layers
shrink or grow until λ means something else in each. With `Kept.norms`, the layers named keep the norm that they began
with: min F + R subject to ‖W_l‖ = ‖W_l⁰‖. The rescaling leaves the function as it is and costs nothing. It is not the
default: where a target holds the sparsity, λ means the same whatever the layers' norms are, and in our study (three
seeds, two data sets) the zeros were less even and the tasks worse at equal sparsity, but for 90 % on one of the two.

The penalty acts here and nowhere else: never add it to the loss as well.

When channels were removed from the model, `follow` goes on with what is left, as the dense model would with all that
went held at zero: |g|, floors and kept norms stay those of the dense network, and so do the means that Adam's metric
takes. `whole` puts what is known of the groups on the dense network's channels.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from winnow.engine.sparsity import preconditioner
from winnow.engine.sparsity.groups import Bank, Group, banks
from winnow.engine.sparsity.groups.remaining import Remaining
from winnow.engine.sparsity.penalties import Penalty

DRIFT = 0.05  # weight of the newest step in the mean change of the norms


@dataclass(frozen=True)
class Kept:
    """What a proximal step must keep.

    `floor`: the share of each layer's groups that always live, at least one where it is positive; 0 lets layers die.
    `norms`: weights that keep the norm they have now, those of convolutions in front of a batch norm.

    Examples:
        >>> net = nn.Linear(4, 2)
        >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> optimizer = Proximal(sgd, input_groups(net), GroupLasso(10.0), Kept(floor=0.5))
        >>> net(torch.ones(1, 4)).square().sum().backward()
        >>> optimizer.step()
        >>> int((optimizer.norms[0] > 0).sum())  # half of the layer's groups
        2

    """

    floor: float = 0.0
    norms: Sequence[nn.Parameter] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.floor <= 1:
            raise ValueError(f"`floor` should be in [0, 1]. Found {self.floor}.")

    def mark(self, bank: Bank) -> None:
        """Tell a bank what of it must be kept."""
        present = int(bank.present.sum())
        bank.floor = min(max(1, math.ceil(self.floor * present)), present) if self.floor else 0
        whole = len(bank.members) == 1 and present == bank.channels
        if whole and any(bank.parameters[0] is kept for kept in self.norms):
            bank.radius = float(bank.norms().norm())


class Proximal:
    """An optimiser followed by the proximal step; used like the optimiser itself.

    Args:
        optimizer: SGD (with or without momentum), Adam or AdamW, holding every parameter of the groups.
        groups: what lives or dies together, from `engine.sparsity.groups`.
        penalty: value and prox; its strength may be changed between steps through `.strength`.
        kept: what the step must keep: a floor per layer, norms under batch norm. Nothing by default.

    Raises:
        TypeError: the optimiser has no proximal step here.
        ValueError: an option without one (amsgrad, maximize); groups that overlap, or that it does not hold.

    Examples:
        >>> net = nn.Linear(4, 2)
        >>> optimizer = Proximal(torch.optim.SGD(net.parameters(), lr=0.1), input_groups(net), GroupLasso(10.0))
        >>> net(torch.ones(1, 4)).square().sum().backward()
        >>> optimizer.step()
        >>> bool((net.weight == 0).all())  # exact zeros
        True

    """

    def __init__(
        self, optimizer: Optimizer, groups: Sequence[Group], penalty: Penalty, kept: Kept | None = None
    ) -> None:
        if type(optimizer) not in (SGD, Adam, AdamW):
            raise TypeError(f"`optimizer` should be SGD, Adam or AdamW. Found {type(optimizer).__name__}.")
        self.optimizer = optimizer
        self.penalty = penalty
        self.banks = banks(groups)
        for bank in self.banks:
            (kept or Kept()).mark(bank)
        self._settings = [preconditioner.settings_of(optimizer, bank) for bank in self.banks]
        self._overlap = _overlap(self.banks)
        self.dense_banks = self.banks
        """The banks of the dense network: those of now, until something is removed."""
        self._left: list[Remaining] | None = None
        self.support: list[Tensor] | None = None
        """Which groups may live, (channels,) per bank, once the support is frozen; None while it is free."""
        self.norms = [bank.norms() for bank in self.banks]
        """‖w_g‖ of every group after the last step, one vector per bank: what the prox computed anyway."""
        self.drift = [torch.zeros_like(norms) for norms in self.norms]
        """How much ‖w_g‖ changes in a step, a running mean over some twenty: what will die is seen coming."""

    @property
    def strength(self) -> float:
        """The strength λ; set it at any time, the next step uses it."""
        return self.penalty.strength

    @strength.setter
    def strength(self, value: float) -> None:
        if value != self.penalty.strength:
            self.penalty = self.penalty.at(value)

    def value(self) -> Tensor:
        """Return R(w) at the current weights, a scalar."""
        return torch.stack([self.penalty.value(bank) for bank in self.banks]).sum()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad(set_to_none=set_to_none)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Take one step of the optimiser and one of the prox. A bank without gradients is left as it is."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        ready = [all(p.grad is not None for p in bank.parameters) for bank in self.banks]
        moving = [i for i, moves in enumerate(ready) if moves]
        if isinstance(self.optimizer, SGD):
            self.optimizer.step()
        else:
            with _set_aside([self.banks[i] for i in moving]):
                self.optimizer.step()
        lengths = self._smooth_lengths(moving)
        before = list(self.norms)
        for i in moving:
            self.norms[i] = self._prox(i, lengths(i))
        if self._overlap:  # a later bank has scaled what an earlier one holds
            self.norms = [bank.norms() for bank in self.banks]
        for drift, old, new in zip(self.drift, before, self.norms, strict=True):
            drift.lerp_(new - old, DRIFT)
        return loss

    def _prox(self, i: int, length: Tensor) -> Tensor:
        """Take the proximal step of a bank, or, once the support is frozen, keep the dead at zero."""
        if self.support is None:
            return self.penalty.prox_(self.banks[i], length)
        self.banks[i].scale_(self.support[i].to(self.norms[i].dtype))
        return self.banks[i].norms()

    def _smooth_lengths(self, moving: Sequence[int]) -> Callable[[int], Tensor]:
        """Return what takes the smooth step of a bank, unless it is taken, and gives its length."""
        if isinstance(self.optimizer, SGD):
            return lambda i: preconditioner.sgd_length(self._settings[i])
        if not self._overlap:
            return lambda i: preconditioner.adam_group_step(self.optimizer, self.banks[i], self._settings[i])
        held = {p: self._settings[i] for i in moving for p in self.banks[i].parameters}
        taken = preconditioner.adam_parameter_steps(self.optimizer, held.items(), self._parts())
        return lambda i: torch.stack([taken[p] for p in self.banks[i].parameters])[:, None].expand(
            -1, self.banks[i].channels
        )

    def freeze(self, support: Sequence[Tensor] | None = None) -> None:
        """From now on keep the dead groups at zero and leave the others free of the penalty: a refit of the support.

        `support` says which groups may live, (channels,) per bank; by default those that live now.
        """
        self.support = [norms > 0 for norms in self.norms] if support is None else list(support)
        for bank, alive in zip(self.banks, self.support, strict=True):
            bank.scale_(alive.to(bank.parameters[0].dtype))
        self.norms = [bank.norms() for bank in self.banks]

    def follow(self, optimizer: Optimizer, left: Sequence[Remaining]) -> None:
        """Go on with a smaller model: its optimiser, and what is left of the banks. All state is cut alike."""
        self.optimizer = optimizer
        if self.support is not None:
            self.support = [self.support[own.place][own.channels] for own in left]
        self.drift = [self.drift[own.place][own.channels] for own in left]
        self.banks = [own.bank for own in left]
        self._settings = [preconditioner.settings_of(optimizer, bank) for bank in self.banks]
        self.norms = [bank.norms() for bank in self.banks]
        before = self._left
        self._left = [own if before is None else _through(before[own.place], own) for own in left]

    def regrow(self, optimizer: Optimizer) -> None:
        """Go on with the dense model again, whose optimiser this is: what was removed is there again, as zeros."""
        self.support = None if self.support is None else self.whole(self.support)
        self.drift = self.whole(self.drift)
        self.optimizer, self.banks, self._left = optimizer, self.dense_banks, None
        self._settings = [preconditioner.settings_of(optimizer, bank) for bank in self.banks]
        self.norms = [bank.norms() for bank in self.banks]

    def whole(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Return vectors (channels,) per bank for the banks of the dense network: 0 for channels that were removed."""
        if self._left is None:
            return list(values)
        kind = values[0] if len(values) else torch.zeros(0)
        found = [kind.new_zeros(bank.channels) for bank in self.dense_banks]
        for own, left in zip(values, self._left, strict=True):
            found[left.place][left.channels] = own
        return found

    def _parts(self) -> dict[nn.Parameter, float]:
        """Return what part of the dense network's parameter each one is, where that is not all."""
        return {
            own: own.numel() / dense.numel()
            for left in self._left or ()
            for own, dense in zip(left.bank.parameters, self.dense_banks[left.place].parameters, strict=True)
        }

    def firmness(self, strength: float | None = None) -> list[Tensor]:
        """Return the pull of the remembered gradient on each group ÷ what the penalty withstands, were it zero.

        A dead group stays dead in the next step iff this is ≤ 1: ‖m̂_g‖ ≤ λ c_g. Values near 1 are about to revive.
        `strength` is the λ to judge by, the one in force by default.
        """
        penalty = self.penalty if strength is None else self.penalty.at(strength)
        return [
            penalty.firmness(bank, preconditioner.momentum(self.optimizer, bank.parameters, settings))
            for bank, settings in zip(self.banks, self._settings, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs: the optimiser's state, strength, frozen support, norms, their drift."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "strength": self.strength,
            "support": self.support,
            "norms": self.norms,
            "drift": self.drift,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.strength = state["strength"]
        self.support = state.get("support")
        self._settings = [preconditioner.settings_of(self.optimizer, bank) for bank in self.banks]
        self.norms = [known.clone() for known in state.get("norms") or [bank.norms() for bank in self.banks]]
        self.drift = [known.clone() for known in state.get("drift", self.drift)]


def _through(before: Remaining, then: Remaining) -> Remaining:
    """Return what two removals, one after the other, leave of a bank."""
    return Remaining(then.bank, before.place, before.channels[then.channels])


def _overlap(found: Sequence[Bank]) -> bool:
    """Return whether a parameter lies in two groups, or only in part in any: no metric of one group fits it then."""
    members = [axis for bank in found for axis in bank.members]
    partly = any(axis.size * axis.channels < axis.parameter.numel() for axis in members)
    return partly or len({id(axis.parameter) for axis in members}) < len(members)


@contextmanager
def _set_aside(moving: Sequence[Bank]) -> Iterator[None]:
    """Hide the gradients of the penalised weights, so that torch's step moves the others alone."""
    hidden = {p: p.grad for bank in moving for p in bank.parameters}
    for parameter in hidden:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in hidden.items():
            parameter.grad = gradient
