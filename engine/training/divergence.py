"""Numbers that are none: a training whose loss or weights became NaN or infinite ends, and one sentence says where."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class NonFiniteLossError(ArithmeticError):
    """A loss or a weight that is no number any more."""


def finite(losses: Mapping[str, Tensor], where: str) -> dict[str, float]:
    """Return the losses as numbers.

    Raises:
        NonFiniteLossError: one is none any more; the message says where.

    """
    values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
    for name, value in values.items():
        if not math.isfinite(value):
            raise NonFiniteLossError(f"loss became {_said(value)} at {where} (task {name})")
    return values


def refuse_diverged(net: nn.Module, metrics: Mapping[str, Mapping[str, float]], where: str) -> None:
    """Raise if a weight, a running statistic or a validation loss is no number.

    The loss of a task without labels is NaN and stays that; its name is not in `metrics`.

    Raises:
        NonFiniteLossError: the message says where, and names the task, or the tensor.

    """
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            kind = "NaN" if bool(tensor.isnan().any()) else "infinite"
            task = f"task {name.split('.')[1]}, " if name.startswith("heads.") else ""
            raise NonFiniteLossError(f"weights became {kind} at {where} ({task}{name})")
    for task, values in metrics.items():
        if not math.isfinite(values["loss"]):
            raise NonFiniteLossError(f"validation loss became {_said(values['loss'])} at {where} (task {task})")


def refuse_no_gradient(net: nn.Module) -> None:
    """Raise if no weight has a gradient after a backward pass: nothing would be trained.

    Raises:
        ValueError: always then; it says what usually takes gradients away.

    """
    if not any(parameter.grad is not None for parameter in net.parameters()):
        raise ValueError(
            "`network` must give outputs that depend on its weights, got no gradient for any of them. Take out detach, "
            "torch.no_grad and torch.set_grad_enabled(False), or unfreeze what is to be trained."
        )


def _said(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinite"
