"""`Proximal(optimizer, groups, penalty)`: any of torch's usual optimisers, then the proximal step in its own metric.

A proximal method alternates a step on the smooth loss F with the prox of the penalty R. Its fixed point solves
min F + R only if both use the same metric and the same step length. Three shortcuts miss that, and are not taken here:

- Heavy-ball momentum μ: torch's buffer grows to ∇F/(1−μ), so the threshold is η λ c/(1−μ) · (1−dampening). The
  plain η λ c solves the problem with λ(1−μ): ten times too weak at μ = 0.9.
- Adam: a Euclidean prox after an elementwise step D⁻¹m̂ solves another penalty, one that drifts with v. Here the metric
  is constant within each group, D_g = √(mean of v̂ over g) + ε, and used in both the step and the prox:

      w_g ← prox of (η/D_g)·R at  w_g − (η/D_g)·m̂_g,      m̂ = m/(1−β₁ᵗ),  v̂ = v/(1−β₂ᵗ)

  which is closed form, gives exact zeros, and costs a few per cent of a training step. Weights outside the groups take
  torch's own step. The exact prox in an elementwise metric (Yun et al. 2021, Deleu & Bengio 2021) needs a Newton
  iteration per group, and costs several training steps.
- Decoupled weight decay (AdamW) inside the penalised groups adds a term that the metric does not know: it is left out
  of them. Coupled decay (SGD, Adam) is part of F, and stays.

The penalty acts here and nowhere else: never add it to the loss as well.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from engine.groups import Bank, Group, banks
from engine.penalties import GroupLasso


class Proximal:
    """An optimiser followed by the proximal step; used like the optimiser itself.

    Args:
        optimizer: SGD (with or without momentum), Adam or AdamW, holding every parameter of the groups.
        groups: what lives or dies together, from `engine.groups`.
        penalty: value and prox; its strength may be changed between steps through `.strength`.

    Raises:
        TypeError: the optimiser has no proximal step here.
        ValueError: an option without one (amsgrad, maximize); groups that overlap, or that it does not hold.

    """

    def __init__(self, optimizer: Optimizer, groups: Sequence[Group], penalty: GroupLasso) -> None:
        if type(optimizer) not in (SGD, Adam, AdamW):
            raise TypeError(f"`optimizer` should be SGD, Adam or AdamW. Found {type(optimizer).__name__}.")
        self.optimizer = optimizer
        self.penalty = penalty
        self.banks = banks(groups)
        self._settings = [_settings(optimizer, bank) for bank in self.banks]
        self.norms = [bank.norms() for bank in self.banks]
        """‖w_g‖ of every group after the last step, one vector per bank: what the prox computed anyway."""

    @property
    def strength(self) -> float:
        """The strength λ; set it at any time, the next step uses it."""
        return self.penalty.strength

    @strength.setter
    def strength(self, value: float) -> None:
        self.penalty = replace(self.penalty, strength=value)

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
        if isinstance(self.optimizer, SGD):
            self.optimizer.step()
        else:
            with _set_aside([bank for bank, moves in zip(self.banks, ready, strict=True) if moves]):
                self.optimizer.step()
        for i, (bank, settings) in enumerate(zip(self.banks, self._settings, strict=True)):
            if ready[i]:
                self.norms[i] = self.penalty.prox_(bank, self._step_length(bank, settings))
        return loss

    def _step_length(self, bank: Bank, settings: dict[str, Any]) -> Tensor:
        """Return the length of the smooth step, (channels,) or (); with Adam, take that step first."""
        if isinstance(self.optimizer, SGD):
            momentum, rate = settings["momentum"], settings["lr"]
            rate = rate * (1 - settings["dampening"]) / (1 - momentum) if momentum else rate
            return torch.as_tensor(rate, device=bank.present.device)
        coupled = settings["weight_decay"] if not settings["decoupled_weight_decay"] else 0.0
        return _adam_step(bank, [self._state(p) for p in bank.parameters], settings, coupled)

    def _state(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """Return Adam's state of a parameter, with torch's own names, so that its state_dict stays torch's."""
        state: dict[str, Tensor] = self.optimizer.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        return state

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs: the optimiser's state and the strength."""
        return {"optimizer": self.optimizer.state_dict(), "strength": self.strength}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.strength = state["strength"]
        self._settings = [_settings(self.optimizer, bank) for bank in self.banks]
        self.norms = [bank.norms() for bank in self.banks]


def _adam_step(bank: Bank, states: list[dict[str, Tensor]], settings: dict[str, Any], decay: float) -> Tensor:
    """Move the bank by −(η/D_g) m̂ and return η/D_g, (channels,)."""
    beta1, beta2 = settings["betas"]
    for parameter, state in zip(bank.parameters, states, strict=True):
        gradient = parameter.grad
        if decay:
            gradient = gradient.add(parameter, alpha=decay)  # type: ignore[union-attr]
        state["step"] += 1
        state["exp_avg"].lerp_(gradient, 1 - beta1)  # type: ignore[arg-type]
        state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)  # type: ignore[arg-type]
    taken = float(states[0]["step"])
    mean_square = bank.sums([state["exp_avg_sq"] for state in states]) / (bank.size * (1 - beta2**taken))
    length: Tensor = settings["lr"] / (mean_square.sqrt() + settings["eps"])
    for axis, state in zip(bank.members, states, strict=True):
        moved, spread = axis.spread(length / (1 - beta1**taken), axis.parameter)
        moved.sub_(spread * axis.view(state["exp_avg"]))
    return length


def _settings(optimizer: Optimizer, bank: Bank) -> dict[str, Any]:
    """Return the optimiser's param_group that holds the bank; learning rates are read from it at every step."""
    homes = [
        index
        for parameter in bank.parameters
        for index, group in enumerate(optimizer.param_groups)
        if any(parameter is held for held in group["params"])
    ]
    if len(homes) != len(bank.parameters) or len(set(homes)) != 1:
        raise ValueError(
            f"`optimizer` should hold the groups of {bank.layer} in one of its param_groups. "
            f"Found {len(bank.parameters)} parameters in param_groups {sorted(set(homes))}."
        )
    settings = optimizer.param_groups[homes[0]]
    for option in ("amsgrad", "maximize"):
        if settings.get(option):
            raise ValueError(
                f"`optimizer` should not use {option}: its proximal step is not known. Found {option}=True."
            )
    return settings


@contextmanager
def _set_aside(moving: Sequence[Bank]) -> Iterator[None]:
    """Hide the gradients of the penalised weights, so that torch's step moves the others alone."""
    parameters = [parameter for bank in moving for parameter in bank.parameters]
    gradients = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
