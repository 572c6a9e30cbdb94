"""Adam's moments of the penalised weights, and what an optimiser remembers of the gradient.

Moments are those of torch, under torch's names, in float32 for parameters of half precision: in float16, the square of
a gradient below 2e-4 is 0. The count of steps is on the CPU, where reading it waits for nothing, but for `capturable`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from winnow.engine.sparsity.groups import Bank
from winnow.engine.sparsity.groups.axis import wide, wide_type
from winnow.engine.sparsity.thresholds import gradient

Settings = dict[str, Any]
Homes = Mapping[Tensor, Settings]


def homes(optimizer: Optimizer) -> Homes:
    """Return the param_group of every parameter: rates and the like are read there at every step."""
    return {parameter: group for group in optimizer.param_groups for parameter in group["params"]}


def advance(optimizer: Optimizer, parameters: Iterable[nn.Parameter], known: Homes) -> None:
    """Take the gradients into Adam's moments; they keep torch's own names, so that its state_dict stays torch's."""
    alike: dict[tuple[int, torch.device, torch.dtype], list[nn.Parameter]] = {}
    for parameter in parameters:
        alike.setdefault((id(known[parameter]), parameter.device, parameter.dtype), []).append(parameter)
    for own in alike.values():
        settings = known[own[0]]
        states = [_state(optimizer, parameter, settings) for parameter in own]
        slopes = [_slope(optimizer, parameter, settings) for parameter in own]
        if own[0].device.type == "cpu":
            for state, slope in zip(states, slopes, strict=True):
                _blend([state], [slope], settings)
        else:
            _blend(states, slopes, settings)


def _blend(states: Sequence[dict[str, Tensor]], slopes: list[Tensor], settings: Settings) -> None:
    """Move the moments of several parameters towards gradient and square: a few launches for all on a GPU."""
    beta1, beta2 = (float(beta) for beta in settings["betas"])
    squares = [state["exp_avg_sq"] for state in states]
    torch._foreach_add_([state["step"] for state in states], 1)
    torch._foreach_lerp_([state["exp_avg"] for state in states], slopes, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, slopes, slopes, 1 - beta2)
    if settings.get("amsgrad"):
        torch._foreach_maximum_([state["max_exp_avg_sq"] for state in states], squares)


def _state(optimizer: Optimizer, parameter: nn.Parameter, settings: Settings) -> dict[str, Tensor]:
    state: dict[str, Tensor] = optimizer.state[parameter]
    on_device = settings.get("capturable", False)
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device if on_device else "cpu")
        for name in ("exp_avg", "exp_avg_sq"):
            state[name] = torch.zeros_like(parameter, dtype=wide_type(parameter.dtype))
    if settings.get("amsgrad") and "max_exp_avg_sq" not in state:
        state["max_exp_avg_sq"] = torch.zeros_like(parameter, dtype=wide_type(parameter.dtype))
    if not on_device and state["step"].device.type != "cpu":
        state["step"] = state["step"].cpu()
    return state


def _slope(optimizer: Optimizer, parameter: nn.Parameter, settings: Settings) -> Tensor:
    """Return the gradient with the weight decay that is part of the loss: Adam's, not AdamW's."""
    slope = gradient(parameter)
    decoupled = settings.get("decoupled_weight_decay", isinstance(optimizer, AdamW))
    if settings["weight_decay"] and not decoupled:
        return slope.add(parameter, alpha=settings["weight_decay"])
    return slope


@torch.no_grad()
def momentum(optimizer: Optimizer, bank: Bank, known: Homes) -> list[Tensor]:
    """Return ∇F of each member as the optimiser remembers it: its bias-corrected mean, or the last gradient.

    With weights at zero, it is what decides whether the next step wakes them.
    """
    return [_remembered(optimizer, parameter, known.get(parameter, {})) for parameter in bank.parameters]


def _remembered(optimizer: Optimizer, parameter: nn.Parameter, settings: Settings) -> Tensor:
    state = optimizer.state.get(parameter, {})
    if isinstance(optimizer, SGD):
        buffer = state.get("momentum_buffer")
        if buffer is not None and settings.get("dampening", 1.0) != 1:
            remembered: Tensor = wide(buffer) * ((1 - settings["momentum"]) / (1 - settings["dampening"]))
            return remembered
    elif state and settings:
        corrected: Tensor = state["exp_avg"] / risen(state, settings, 0)
        return corrected
    return gradient(parameter)


def second(state: Mapping[str, Tensor], settings: Settings) -> Tensor:
    """Return v, or with `amsgrad` the largest v so far."""
    return state["max_exp_avg_sq" if settings.get("amsgrad") else "exp_avg_sq"]


def risen(state: Mapping[str, Tensor], settings: Settings, place: int) -> Any:
    """Return 1 − βᵗ, how far a moment has risen from its start at 0: a number, or a tensor beside the parameter."""
    beta, step = float(settings["betas"][place]), state["step"]
    return 1 - beta ** (step if step.device.type != "cpu" else float(step))
