"""Whether a proximal step can be taken at all, said by name before anything has moved; and what it must follow.

A model may change under its optimiser: `.double()`, `.half()` and `.to(device)` keep the parameters and replace what is
in them, layers are frozen and unfrozen, param_groups are added. All of that is followed. Parameters that are replaced
as objects (`fully_shard`, a new model) are refused.
"""

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from winnow.engine.sparsity import moments, preconditioner
from winnow.engine.sparsity.groups import Bank
from winnow.engine.sparsity.groups.axis import wide_type
from winnow.engine.sparsity.moments import Homes
from winnow.engine.sparsity.penalties import Penalty


def refuse_still(banks: Sequence[Bank]) -> None:
    """Raise where nothing can move; warn of banks that cannot."""
    if not banks:
        raise ValueError(
            "`groups` must hold at least one group, got none: nothing would be penalised. Draw them from a module that "
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


def refuse(
    optimizer: Optimizer, banks: Sequence[Bank], penalty: Penalty, overlap: bool, own: Sequence[list[nn.Parameter]]
) -> Homes:
    """Raise if a step is not known for these settings, parameters or gradients; return the home of each parameter.

    `own` is what `written` returns for the banks.
    """
    known = moments.homes(optimizer)
    for settings in optimizer.param_groups:
        for option in ("maximize", "differentiable"):
            if settings.get(option):
                raise ValueError(
                    f"`optimizer` must not use {option}, got {option}=True: its proximal step is not known."
                )
        if isinstance(optimizer, SGD) and not 0 <= settings["momentum"] < 1:
            raise ValueError(
                f"`momentum` must be in [0, 1), got {settings['momentum']}: the step would have no length."
            )
    one_rate = preconditioner.has_one_rate(optimizer)
    for bank, parameters in zip(banks, own, strict=True):
        for parameter in parameters:
            _refuse_parameter(parameter, bank, known)
        if parameters:
            several = not one_rate and preconditioner.differs_by_member(optimizer, parameters, known)
            penalty.refuse(bank.layer, several or (overlap and not isinstance(optimizer, SGD)))
    return known


def _refuse_parameter(parameter: nn.Parameter, bank: Bank, known: Homes) -> None:
    if getattr(parameter, "device_mesh", None) is not None:
        raise TypeError(
            f"`groups` must hold whole parameters, got a shard (DTensor, as of fully_shard) in {bank.layer}: the norm "
            "of a group needs all its weights. Train in DistributedDataParallel instead."
        )
    if parameter not in known:
        raise ValueError(
            f"`optimizer` must hold the groups of {bank.layer} in its param_groups, got none with its weight of shape "
            f"{tuple(parameter.shape)}. Give it to the optimiser, freeze it with requires_grad_(False), or draw the "
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
        if parameter in penalised and wide_type(parameter.dtype) != parameter.dtype:
            for name, value in saved["state"].get(number, {}).items():
                if name != "step" and isinstance(value, Tensor):
                    kept = value.detach().clone().to(parameter.device, wide_type(parameter.dtype))
                    optimizer.state[parameter][name] = kept


def _some(layers: Sequence[str]) -> str:
    return ", ".join(layers[:5]) + (f" and {len(layers) - 5} more" if len(layers) > 5 else "")
