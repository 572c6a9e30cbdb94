"""What is left of a model when certain entries of its tensors stay, and the dense model made of that again.

A checkpoint that was stored after a removal holds the smaller tensors and these entries, `{tensor: {axis: entries}}`.
No graph is needed: layers take the sizes that their weights have.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winnow.engine.graph.partition import Labels
from winnow.engine.pruning.shrinking import CutWeight, copied
from winnow.engine.pruning.sizes import fit_layers

Stays = Mapping[str, Mapping[int, Labels]]


@dataclass(frozen=True, eq=False)
class Left:
    """A smaller model, and how each tensor was cut."""

    model: nn.Module
    cuts: tuple[CutWeight, ...]


def left_of(model: nn.Module, stays: Stays) -> Left:
    """Return a copy of a model with the entries that stay.

    Of its layers, only convolutions, linear layers, norms per channel and PReLU may change their sizes.
    """
    twin, cuts = copied(model, stays)
    fit_layers(twin, model)
    return Left(twin, tuple(cuts.values()))


def composed(before: Stays, then: Stays) -> dict[str, dict[int, Labels]]:
    """Return the entries of the first model's tensors that stay after two removals, one after the other."""
    found = {name: dict(axes) for name, axes in before.items()}
    for name, axes in then.items():
        own = found.setdefault(name, {})
        for axis, entries in axes.items():
            own[axis] = own[axis][entries] if axis in own else entries
    return found


def widened(tensor: Tensor, shape: torch.Size, stays: Mapping[int, Labels], fill: float = 0.0) -> Tensor:
    """Return a tensor of the dense shape: what is left of it at its own places, `fill` elsewhere."""
    for axis, entries in stays.items():
        lengths = list(tensor.shape)
        lengths[axis] = shape[axis]
        places = torch.from_numpy(entries).to(tensor.device)
        tensor = tensor.new_full(lengths, fill).index_copy_(axis, places, tensor)
    return tensor


def dense_state(small: Mapping[str, Tensor], stays: Stays, dense: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state for the dense model in which all that went is zero: it gives what the smaller one gives.

    `dense` is a state of the dense model, for its shapes. Running variances of what went are 1.
    """
    return {
        name: widened(tensor, dense[name].shape, stays.get(name, {}), float(name.endswith("running_var")))
        for name, tensor in small.items()
    }
