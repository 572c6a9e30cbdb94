"""Whether a proximal step can be taken at all, said by name before anything has moved; and what it must follow.

A model may change under its optimiser: `.double()`, `.half()` and `.to(device)` keep the parameters and replace what is
in them, layers are frozen and unfrozen, param_groups are added. All of that is followed. Parameters that are replaced
as objects (`fully_shard`, a new model) are refused.
"""

import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer

from winnow.engine.sparsity import moments, preconditioner
from winnow.engine.sparsity.groups import Bank, Group
from winnow.engine.sparsity.groups.axis import wide_type
from winnow.engine.sparsity.groups.bank import Kept
from winnow.engine.sparsity.moments import Homes
from winnow.engine.sparsity.penalties import Penalty

STEPS = (SGD, Adam, AdamW)  # whose proximal step is known
TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def refuse_kinds(optimizer: object, groups: object, penalty: object, kept: object) -> None:
    """Raise where an argument of `Proximal` is something else than it should be; each message says what to give."""
    if type(optimizer) not in STEPS:
        raise TypeError(
            f"`optimizer` must be SGD, Adam or AdamW of torch.optim, got {_kind(optimizer)}. {_instead(optimizer)}"
        )
    if not isinstance(groups, Sequence) or not all(isinstance(own, Group) for own in groups):
        odd = (
            next((own for own in groups if not isinstance(own, Group)), groups) if isinstance(groups, list) else groups
        )
        raise TypeError(
            f"`groups` must be a list of groups, got {_kind(odd)}. Make them from the model: input_groups(net), "
            "output_groups(net) or coupled_groups(net, example)."
        )
    if isinstance(penalty, type) or not all(hasattr(penalty, part) for part in ("strength", "prox_", "refuse")):
        raise TypeError(f"`penalty` must be a penalty such as GroupLasso(0.01), got {_kind(penalty)}.")
    if kept is not None and not isinstance(kept, Kept):
        raise TypeError(f"`kept` must be Kept or None, got {_kind(kept)}. Write Kept(floor=0.05).")


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _instead(optimizer: object) -> str:
    """Say what to give in the place of an optimiser without a proximal step."""
    if isinstance(optimizer, type):
        return f"Make one: {optimizer.__name__}(net.parameters(), lr=0.01)."
    if isinstance(optimizer, LBFGS):
        return (
            "LBFGS searches along a line for the least loss without the penalty, so its result has no exact zeros. "
            "Take SGD or AdamW; for few parameters, SGD on the whole data set."
        )
    if hasattr(optimizer, "optimizer") and hasattr(optimizer, "penalty"):
        return "Give it the optimiser inside: proximal.optimizer."
    if isinstance(optimizer, STEPS):
        return (
            "A subclass may step otherwise, and the proximal step must be that of its metric. Give torch's own, and "
            "put what yours adds into a hook (register_step_pre_hook) or a scheduler."
        )
    if isinstance(optimizer, Optimizer):
        return "The proximal step must have the metric of the step before it, which is known for these three. Take one."
    return "Make one: torch.optim.AdamW(net.parameters(), lr=1e-3)."


def refuse_other_state(state: Mapping[str, Any], optimizer: Optimizer, banks: Sequence[Bank]) -> None:
    """Raise where a state_dict of `Proximal` is that of other groups, or of another kind of optimiser."""
    needed = "momentum" if isinstance(optimizer, SGD) else "betas"
    if any(needed not in settings for settings in state["param_groups"]):
        raise ValueError(
            f"`state_dict` must be that of {type(optimizer).__name__}, got one without {needed}. Load it into the kind "
            "of optimiser that saved it, or train on without it."
        )
    _refuse_other_shapes(state, optimizer)
    own = state.get("proximal", {})
    sizes = [len(norms) for norms in own.get("norms", ())]
    found = list(zip(own.get("layers", [bank.layer for bank in banks]), sizes, strict=False))
    wanted = [(bank.layer, bank.channels) for bank in banks]
    if sizes and (found != wanted or len(sizes) != len(wanted)):
        told = [", ".join(f"{layer} ({size})" for layer, size in part) for part in (wanted, found)]
        raise ValueError(
            f"`state_dict` must be that of the same groups in the same order, {told[0]}, got {told[1]}. Build the "
            "model and the groups as they were when it was saved."
        )


def _refuse_other_shapes(state: Mapping[str, Any], optimizer: Optimizer) -> None:
    numbers = [number for settings in state["param_groups"] for number in settings["params"]]
    parameters = [parameter for settings in optimizer.param_groups for parameter in settings["params"]]
    for number, parameter in zip(numbers, parameters, strict=False):
        for name, value in state["state"].get(number, {}).items():
            if name != "step" and isinstance(value, Tensor) and value.shape != parameter.shape:
                raise ValueError(
                    f"`state_dict` must be that of the same parameters in the same order, got {name} of shape "
                    f"{tuple(value.shape)} for a parameter of shape {tuple(parameter.shape)}. Give the optimiser the "
                    "parameters as it had them when it was saved."
                )


def support_of(banks: Sequence[Bank], living: Sequence[Tensor], given: Sequence[Tensor] | None) -> list[Tensor]:
    """Return which groups may live: those given, or those that live now.

    Raises:
        ValueError: it is not one truth value for each group.

    """
    found = list(living if given is None else given)
    wanted = [(bank.channels,) for bank in banks]
    shapes = [tuple(alive.shape) for alive in found]
    if shapes != wanted:
        raise ValueError(
            f"`support` must hold one vector per bank, of shapes {wanted}, got {shapes}. Make it from `norms`: "
            "[norms != 0 for norms in proximal.norms]."
        )
    return [alive.bool() for alive in found]


def refuse_still(banks: Sequence[Bank]) -> None:
    """Raise where nothing can move; warn of banks that cannot."""
    if not banks:
        raise ValueError(
            "`groups` must hold at least one group, got none: nothing would be penalised. Make them from a module that "
            "has convolution or linear layers, with `input_groups`, `output_groups` or `coupled_groups`."
        )
    still = [bank.layer for bank in banks if not bank.moves]
    if len(still) == len(banks):
        raise ValueError(
            f"`groups` must hold weights that train, got frozen ones only (requires_grad False): {_some(still)}. "
            "Unfreeze them, or train without Proximal."
        )
    if still:
        warnings.warn(
            f"Groups of frozen layers are left as they are and not counted: {_some(still)}. "
            "With requires_grad_(True), they are penalised from the next step on.",
            stacklevel=4,
        )


def written(banks: Sequence[Bank]) -> list[list[nn.Parameter]]:
    """Return the parameters that a step writes to, for each bank."""
    return [bank.parameters if bank.moves else [] for bank in banks]


def still(banks: Sequence[Bank]) -> list[nn.Parameter]:
    """Return the frozen members: a gradient of zeros or of an earlier step would let momentum move them."""
    members = [axis.parameter for bank in banks for axis in bank.all_members]
    return [parameter for parameter in members if not parameter.requires_grad]


def warn_of_none(known: Homes) -> None:
    """Warn of a step without any gradient: it moves nothing, whatever the network does that the loop trains."""
    if all(parameter.grad is None for parameter in known):
        warnings.warn(
            "Proximal.step found no gradient in any parameter of its optimiser, so it moves nothing. Call backward() "
            "before it. If the network was copied, or its parameters were replaced, as load_state_dict(assign=True) "
            "does, make groups and optimiser from the network that you train.",
            stacklevel=5,
        )


def refuse(
    optimizer: Optimizer, banks: Sequence[Bank], penalty: Penalty, overlap: bool, own: Sequence[list[nn.Parameter]]
) -> Homes:
    """Raise if a step is not known for these settings, parameters or gradients; return the home of each parameter.

    `own` is what `written` returns for the banks.
    """
    known = moments.homes(optimizer)
    for settings in optimizer.param_groups:
        _refuse_settings(optimizer, settings)
    one_rate = preconditioner.has_one_rate(optimizer)
    for bank, parameters in zip(banks, own, strict=True):
        for parameter in parameters:
            _refuse_parameter(parameter, bank, known)
        if parameters:
            several = not one_rate and preconditioner.differs_by_member(optimizer, parameters, known)
            penalty.refuse(bank.layer, several or (overlap and not isinstance(optimizer, SGD)))
    return known


def _refuse_settings(optimizer: Optimizer, settings: Mapping[str, Any]) -> None:
    for option in ("maximize", "differentiable"):
        if settings.get(option):
            instead = "Minimise the negative" if option == "maximize" else "Leave the option out"
            raise ValueError(
                f"`optimizer` must not use {option}, got {option}=True: its proximal step is not known. {instead}."
            )
    rate = settings["lr"]
    if not isinstance(rate, Tensor) and not 0 <= rate < math.inf:
        raise ValueError(f"`lr` must be a finite number ≥ 0, got {rate}. Look at the scheduler that sets it.")
    if isinstance(optimizer, SGD) and not 0 <= settings["momentum"] < 1:
        raise ValueError(f"`momentum` must be in [0, 1), got {settings['momentum']}: the step would have no length.")


def _refuse_parameter(parameter: nn.Parameter, bank: Bank, known: Homes) -> None:
    if getattr(parameter, "device_mesh", None) is not None:
        raise TypeError(
            f"`groups` must hold whole parameters, got a shard (DTensor, as of fully_shard) in {bank.layer}: the norm "
            "of a group needs all its weights. Train in DistributedDataParallel instead."
        )
    if parameter.dtype not in TYPES:
        kind = str(parameter.dtype).removeprefix("torch.")
        raise TypeError(
            f"`groups` must hold real numbers of 16 to 64 bits, got {kind} in {bank.layer}. Leave the layer out of the "
            "groups, or train it in another type."
        )
    if parameter not in known:
        raise ValueError(
            f"`optimizer` must hold the groups of {bank.layer} in its param_groups, got none with its weight of shape "
            f"{tuple(parameter.shape)}. Give it to the optimiser, freeze it with requires_grad_(False), or make the "
            "groups again if the model's parameters were replaced."
        )
    if parameter.grad is not None and parameter.grad.layout != parameter.layout:
        raise ValueError(f"`grad` must be dense, got a sparse one in {bank.layer}. Use sparse=False.")


def seen(banks: Sequence[Bank], known: Homes) -> list[tuple[Any, ...]]:
    """Return what may change under an optimiser: place, type and freedom of every parameter."""
    parameters = {axis.parameter: None for bank in banks for axis in bank.all_members} | dict.fromkeys(known)
    return [(p.device, p.dtype, p.requires_grad) for p in parameters]


def move_state(optimizer: Optimizer, penalised: Collection[Tensor]) -> None:
    """Put an optimiser's moments where its parameters are, and in their type."""
    for parameter, state in optimizer.state.items():
        kind = (
            wide_type(parameter.dtype) if parameter in penalised and not isinstance(optimizer, SGD) else parameter.dtype
        )
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and name != "step":
                state[name] = value.to(parameter.device, kind)
            elif isinstance(value, Tensor) and value.device.type != "cpu":
                state[name] = value.to(parameter.device)


def restore_wide(optimizer: Optimizer, saved: Mapping[str, Any], penalised: Collection[Tensor]) -> None:
    """Take moments in float32 from a state_dict again, which torch has rounded to the parameters' half precision."""
    if isinstance(optimizer, SGD):
        return
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    for parameter, number in zip(ordered, numbers, strict=True):
        wide = wide_type(parameter.dtype)
        if parameter not in penalised or wide == parameter.dtype:
            continue
        for name, value in saved["state"].get(number, {}).items():
            if name != "step" and isinstance(value, Tensor):
                optimizer.state[parameter][name] = value.detach().clone().to(parameter.device, wide)


def _some(layers: Sequence[str]) -> str:
    return ", ".join(layers[:5]) + (f" and {len(layers) - 5} more" if len(layers) > 5 else "")
