"""The metric of an optimiser: how far its step moves the weights for a unit of gradient, and that step itself.

A proximal step is right only in the metric of the step before it. Per optimiser:

- SGD: the step length is η. Torch's heavy-ball buffer grows to ∇F/(1−μ), so with momentum it is η (1−dampening)/(1−μ).
- Adam, AdamW: elementwise η/(√v̂ + ε), in which the prox has no closed form. Here the metric is constant within each
  group, D_g = √(mean of v̂ over g) + ε, or, where groups overlap, within each parameter; the step is taken in it too.

`momentum` is the gradient as the optimiser remembers it, in units of ∇F: with weights at zero, it is what decides
whether the next step wakes them.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from winnow.engine.sparsity.groups import Bank
from winnow.engine.sparsity.thresholds import gradient

Settings = dict[str, Any]


def settings_of(optimizer: Optimizer, bank: Bank) -> Settings:
    """Return the param_group that holds the bank; learning rates are read from it at every step.

    Raises:
        ValueError: the optimiser does not hold the bank in one param_group, or uses an option with no proximal step.

    """
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


def sgd_length(settings: Settings) -> Tensor:
    """Return SGD's step length, a scalar on the CPU, which broadcasts against any device."""
    momentum, rate = settings["momentum"], float(settings["lr"])
    return torch.tensor(rate * (1 - settings["dampening"]) / (1 - momentum) if momentum else rate)


@torch.no_grad()
def adam_group_step(optimizer: Optimizer, bank: Bank, settings: Settings) -> Tensor:
    """Move the bank by −(η/D_g) m̂ and return η/D_g, (channels,)."""
    states = [advance(optimizer, parameter, settings) for parameter in bank.parameters]
    beta1, beta2 = settings["betas"]
    taken = float(states[0]["step"])
    mean_square = bank.sums([state["exp_avg_sq"] for state in states]) / (bank.size * (1 - beta2**taken))
    length: Tensor = settings["lr"] / (mean_square.sqrt() + settings["eps"])
    for axis, state in zip(bank.members, states, strict=True):
        moved, spread = axis.spread(length / (1 - beta1**taken), axis.parameter)
        moved.sub_(spread * axis.view(state["exp_avg"]))
    return length


@torch.no_grad()
def adam_parameter_steps(
    optimizer: Optimizer,
    held: Iterable[tuple[nn.Parameter, Settings]],
    parts: Mapping[nn.Parameter, float] = MappingProxyType({}),
) -> dict[nn.Parameter, Tensor]:
    """Move each parameter by −(η/D) m̂ with one D for all its entries; return the lengths η/D, scalars.

    A parameter in `parts` is that part of a larger one, whose other entries are zero and count in the mean.
    """
    lengths = {}
    for parameter, settings in held:
        state = advance(optimizer, parameter, settings)
        beta1, beta2 = settings["betas"]
        taken = float(state["step"])
        deviation = (state["exp_avg_sq"].mean() * parts.get(parameter, 1.0) / (1 - beta2**taken)).sqrt() + settings[
            "eps"
        ]
        lengths[parameter] = settings["lr"] / deviation
        parameter.sub_(state["exp_avg"] * (lengths[parameter] / (1 - beta1**taken)))
    return lengths


def advance(optimizer: Optimizer, parameter: nn.Parameter, settings: Settings) -> dict[str, Tensor]:
    """Take the gradient into Adam's moments; they keep torch's own names, so that its state_dict stays torch's."""
    state: dict[str, Tensor] = optimizer.state[parameter]
    if not state:
        state["step"] = torch.tensor(0.0)
        state["exp_avg"] = torch.zeros_like(parameter)
        state["exp_avg_sq"] = torch.zeros_like(parameter)
    beta1, beta2 = settings["betas"]
    slope = gradient(parameter)
    if settings["weight_decay"] and not settings["decoupled_weight_decay"]:
        slope = slope.add(parameter, alpha=settings["weight_decay"])
    state["step"] += 1
    state["exp_avg"].lerp_(slope, 1 - beta1)
    state["exp_avg_sq"].mul_(beta2).addcmul_(slope, slope, value=1 - beta2)
    return state


@torch.no_grad()
def momentum(optimizer: Optimizer, parameters: Sequence[nn.Parameter], settings: Settings) -> list[Tensor]:
    """Return ∇F of each parameter as the optimiser remembers it: its bias-corrected mean, or the last gradient."""
    return [_remembered(optimizer, parameter, settings) for parameter in parameters]


def _remembered(optimizer: Optimizer, parameter: nn.Parameter, settings: Settings) -> Tensor:
    state = optimizer.state.get(parameter, {})
    if isinstance(optimizer, SGD):
        buffer = state.get("momentum_buffer")
        if buffer is not None:
            remembered: Tensor = buffer * ((1 - settings["momentum"]) / (1 - settings["dampening"]))
            return remembered
    elif state:
        corrected: Tensor = state["exp_avg"] / (1 - settings["betas"][0] ** float(state["step"]))
        return corrected
    return gradient(parameter)
