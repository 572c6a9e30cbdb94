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

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from winnow.engine.sparsity import moments, readiness
from winnow.engine.sparsity.groups import Group, banks
from winnow.engine.sparsity.groups.bank import Kept as Kept
from winnow.engine.sparsity.groups.bank import overlapping
from winnow.engine.sparsity.groups.remaining import Remaining
from winnow.engine.sparsity.hypergradient import ShrinkTrace
from winnow.engine.sparsity.moments import Homes
from winnow.engine.sparsity.penalties import Penalty
from winnow.engine.sparsity.preconditioner import Part, Steps
from winnow.engine.sparsity.wrapping import Wrapping, set_aside

DRIFT = 0.05  # weight of the newest step in the mean change of the norms


class Proximal(Wrapping):
    """An optimiser followed by the proximal step; it is a `torch.optim.Optimizer`, and used like the one inside it.

    Its fixed point solves min_w F(w) + λ Σ_g c_g ‖w_g‖ (or the sum over groups of another penalty), F the mean of the
    losses that the steps were taken on. With steps that alternate between tasks, F is the mean of the tasks' losses:
    a sum of K losses is K times that, and needs K times the λ for the same zeros.

    - A step moves a bank of groups if any member has a gradient. Members without one (`None`: the head of a task
      whose turn it is not) count as having gradient 0: they take no smooth step, and shrink with their group.
      A bank without any gradient is left as it is.
    - Frozen members (`requires_grad` False) are never written. A group is what of it can move: norm, c_g and counts
      leave the rest out. The flags are read at each step.
    - Members may be in several param_groups. Where rates differ, each member takes its own step length s_m, and the
      prox is argmin_z ½ Σ_m ‖z_m − w_m‖²/s_m + R(z), solved by Newton's method to rounding.
    - Weights of half precision: norms, thresholds and moments are float32, and each result is rounded once.

    Args:
        optimizer: SGD (with or without momentum), Adam or AdamW, holding every trainable parameter of the groups.
        groups: what lives or dies together, from `engine.sparsity.groups`.
        penalty: value and prox; its strength may be changed between steps through `.strength`.
        kept: what the step must keep: a floor per layer, norms under batch norm. Nothing by default.

    Raises:
        TypeError: an argument of another kind, an optimiser without a proximal step here, or shards (FSDP2).
        ValueError: an option without one (maximize, differentiable); no groups, or none that can move; groups that
            overlap, or that it does not hold.
        NotImplementedError: a penalty without a prox in closed form for these groups in this optimiser's metric.

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
        readiness.refuse_kinds(optimizer, groups, penalty, kept)
        self.penalty, self.kept = penalty, kept or Kept()
        self.banks = banks(groups)
        for bank in self.banks:
            bank.in_training = True
            self.kept.mark(bank)
        self._overlap = overlapping(self.banks)
        readiness.refuse_still(self.banks)
        readiness.refuse(optimizer, self.banks, penalty, self._overlap, readiness.written(self.banks))
        self.dense_banks = self.banks
        """The banks of the dense network: those of now, until something is removed."""
        self._left: list[Remaining] | None = None
        self.support: list[Tensor] | None = None
        """Which groups may live, (channels,) per bank, once the support is frozen; None while it is free."""
        self.norms = [bank.norms() for bank in self.banks]
        """‖w_g‖ of every group after the last step, one vector per bank: what the prox computed anyway."""
        self.drift = [torch.zeros_like(norms) for norms in self.norms]
        """How much ‖w_g‖ changes in a step, a running mean over some twenty: what will die is seen coming."""
        self.trace: ShrinkTrace | None = None  # how the groups move with λ, where that is learned
        super().__init__(optimizer)

    def adopt(self, optimizer: Optimizer) -> None:
        """Go on with this optimiser."""
        super().adopt(optimizer)
        self._settle()

    def _settle(self) -> None:
        """Remember how the parameters are now."""
        self._seen = readiness.seen(self.banks, moments.homes(self.optimizer))
        self._written, self._still = readiness.written(self.banks), readiness.still(self.banks)
        self._steps = Steps(self.banks, self._overlap, self._shares())

    @property
    def strength(self) -> float:
        """The strength λ; set it at any time, the next step uses it."""
        return self.penalty.strength

    @strength.setter
    def strength(self, value: float) -> None:
        self.penalty = self.penalty.at(value)

    def value(self) -> Tensor:
        """Return R(w) at the current weights, a scalar."""
        return sum((self.penalty.value(bank) for bank in self.banks if bank.moves), torch.zeros(()))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step of the optimiser and one of the prox; nothing is moved if one of them is refused."""
        with self.hooked(closure) as loss:
            known = self._look()
            ready = [any(parameter.grad is not None for parameter in own) for own in self._written]
            if not any(ready):
                readiness.warn_of_none(known)
            parts = self._smooth_step([place for place, moves in enumerate(ready) if moves], known)
            before = self.norms
            self.norms = list(before)
            for part in parts:
                for place, norms in zip(part.places, part.bank.split(self._prox(part)), strict=True):
                    self.norms[place] = norms
            if self._overlap:  # a later bank has scaled what an earlier one holds
                self.norms = [bank.norms() for bank in self.banks]
            self._drift(before)
        return loss

    def _look(self) -> Homes:
        """Refuse what has no proximal step; follow parameters that are elsewhere, of another type, or frozen now.

        Return the param_group of every parameter.
        """
        known = self._refuse()
        if readiness.seen(self.banks, known) != self._seen:
            readiness.move_state(self.optimizer, {p for bank in self.banks for p in bank.parameters})
            self.norms = [bank.norms() for bank in self.banks]
            self.drift = [drift.to(norms) for drift, norms in zip(self.drift, self.norms, strict=True)]
            self._settle()
            self._refuse()
        return known

    def _refuse(self) -> Homes:
        return readiness.refuse(self.optimizer, self.banks, self.penalty, self._overlap, self._written)

    def _smooth_step(self, moving: Sequence[int], known: Homes) -> list[Part]:
        """Move everything along the gradient; return the banks that moved, and by which lengths."""
        sgd = isinstance(self.optimizer, SGD)
        own = [] if sgd else [parameter for place in moving for parameter in self.banks[place].parameters]
        with set_aside([*self._still, *own]), self.inside():
            self.optimizer.step()
        return self._steps.sgd(known, moving) if sgd else self._steps.adam(self.optimizer, known, moving)

    def _prox(self, part: Part) -> Tensor:
        """Take a proximal step, or, once the support is frozen, keep the dead at zero; return the norms."""
        if self.support is None:
            if self.trace is not None:
                return self.trace.prox_(self.penalty, part)
            return self.penalty.prox_(part.bank, part.length)
        alive = torch.cat([self.support[place] for place in part.places])
        part.bank.scale_(alive.to(part.bank.parts[0].present.device, part.bank.parts[0].kind_of_vectors))
        return part.bank.norms()

    def _drift(self, before: Sequence[Tensor]) -> None:
        """Take the change of the norms into its running mean."""
        if len({(norms.device, norms.dtype) for norms in self.norms}) > 1:
            for drift, old, new in zip(self.drift, before, self.norms, strict=True):
                drift.lerp_(new - old, DRIFT)
            return
        change = torch.cat(self.norms) - torch.cat(list(before))
        whole = torch.cat(self.drift).lerp_(change, DRIFT)
        self.drift = list(torch.split(whole, [bank.channels for bank in self.banks]))

    def freeze(self, support: Sequence[Tensor] | None = None) -> None:
        """From now on keep the dead groups at zero and leave the others free of the penalty: a refit of the support.

        `support` says which groups may live, (channels,) per bank; by default those that live now. Frozen parameters
        are not written.
        """
        self.support = readiness.support_of(self.banks, [norms != 0 for norms in self.norms], support)
        for bank, alive in zip(self.banks, self.support, strict=True):
            if bank.moves:
                bank.scale_(alive.to(bank.present.device, bank.kind_of_vectors))
        self.norms = [bank.norms() for bank in self.banks]

    def follow(self, optimizer: Optimizer, left: Sequence[Remaining]) -> None:
        """Go on with a smaller model: its optimiser, and what is left of the banks. All state is cut alike."""
        if self.support is not None:
            self.support = [self.support[own.place][own.channels] for own in left]
        self.drift = [self.drift[own.place][own.channels] for own in left]
        if self.trace is not None:
            self.trace.cut(left)
        self.banks = [own.bank for own in left]
        self.norms = [bank.norms() for bank in self.banks]
        before = self._left
        self._left = [own if before is None else own.since(before[own.place]) for own in left]
        self.adopt(optimizer)

    def regrow(self, optimizer: Optimizer) -> None:
        """Go on with the dense model again, whose optimiser this is: what was removed is there again, as zeros."""
        self.support = None if self.support is None else self.whole(self.support)
        self.drift = self.whole(self.drift)
        if self.trace is not None:
            self.trace.regrow(self._left, self.dense_banks)
        self.banks, self._left = self.dense_banks, None
        self.norms = [bank.norms() for bank in self.banks]
        self.adopt(optimizer)

    @property
    def places(self) -> list[int]:
        """The number that each bank has among those of the dense network."""
        return list(range(len(self.banks))) if self._left is None else [own.place for own in self._left]

    def whole(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Return vectors (channels,) per bank for the banks of the dense network: 0 for channels that were removed."""
        if self._left is None:
            return list(values)
        kind = values[0] if len(values) else torch.zeros(0)
        found = [kind.new_zeros(bank.channels) for bank in self.dense_banks]
        for own, left in zip(values, self._left, strict=True):
            found[left.place][left.channels] = own
        return found

    def _shares(self) -> dict[nn.Parameter, float]:
        """Return what part of the dense network's parameter each one is, where that is not all."""
        return {
            own.parameter: own.parameter.numel() / dense.parameter.numel()
            for left in self._left or ()
            for own, dense in zip(left.bank.all_members, self.dense_banks[left.place].all_members, strict=True)
        }

    def firmness(self, strength: float | None = None) -> list[Tensor]:
        """Return the pull of the remembered gradient on each group ÷ what the penalty withstands, were it zero.

        A dead group stays dead in the next step iff this is ≤ 1: ‖m̂_g‖ ≤ λ c_g. Values near 1 are about to revive.
        `strength` is the λ to judge by, the one in force by default.
        """
        penalty = self.penalty if strength is None else self.penalty.at(strength)
        known = moments.homes(self.optimizer)
        return [penalty.firmness(bank, moments.momentum(self.optimizer, bank, known)) for bank in self.banks]

    def state_dict(self) -> dict[str, Any]:
        """Return the optimiser's own state_dict, and beside it `proximal`: strength, support, norms, drift and layers.

        All of it is tensors, numbers, lists and dictionaries: `torch.load(…, weights_only=True)` reads it.
        """
        own = {"strength": self.strength, "support": self.support, "norms": self.norms, "drift": self.drift}
        return {**super().state_dict(), "proximal": own | {"layers": [bank.layer for bank in self.banks]}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned ; that of the bare optimiser leaves strength, support."""
        readiness.refuse_other_state(state_dict, self.optimizer, self.banks)
        super().load_state_dict({name: state_dict[name] for name in ("state", "param_groups")})
        readiness.restore_wide(self.optimizer, state_dict, {p for bank in self.banks for p in bank.parameters})
        known = state_dict.get("proximal", {})
        devices = [bank.present.device for bank in self.banks]

        def placed(name: str, otherwise: Sequence[Tensor]) -> list[Tensor]:
            values = known.get(name) or otherwise
            return [value.detach().clone().to(device) for value, device in zip(values, devices, strict=True)]

        self.strength = known.get("strength", self.strength)
        self.support = placed("support", ()) if known.get("support") else None
        self.norms = placed("norms", [bank.norms() for bank in self.banks])
        self.drift = placed("drift", [torch.zeros_like(norms) for norms in self.norms])
        self._settle()
