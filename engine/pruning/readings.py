"""What a layer reads and gives at sampled places, as a plain linear map: y = x W' + b, one row per place.

A linear layer has a row per token; a convolution one per place of its output, with the patch under the kernel as
columns. Sampling keeps a layer of any size within a few thousand rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
Reader = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def is_reader(module: nn.Module) -> TypeGuard[Reader]:
    """Return whether a module is a linear layer or a convolution of torch, and computes what that computes."""
    kinds = (nn.Linear, *CONVOLUTIONS)
    plain = any(isinstance(module, kind) and type(module).forward is kind.forward for kind in kinds)
    return plain and isinstance(module._parameters.get("weight"), nn.Parameter)


def columns_of(layer: Reader) -> Tensor:
    """Return the weight as a matrix for each group: (groups, channels, columns)."""
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    return layer.weight.detach().flatten(1).view(groups, -1, layer.weight[0].numel())


@dataclass(frozen=True)
class Places:
    """Some entries of a layer's output: an index tensor (P,) for each axis but that of the channels."""

    axes: tuple[Tensor, ...]

    def outputs(self, output: Tensor, linear: bool) -> Tensor:
        """Return the output there, (P, channels)."""
        return output[self.axes] if linear else output.movedim(1, -1)[self.axes]

    def inputs(self, layer: Reader, given: Tensor) -> Tensor:
        """Return what the layer reads there, (groups, P, columns): columns as `weight.flatten(1)` has them."""
        if isinstance(layer, nn.Linear):
            return given[self.axes][None]
        padded = _padded(layer, given).movedim(1, -1)
        taps = [
            place[:, None] * stride + torch.arange(size, device=given.device) * dilation
            for place, stride, size, dilation in zip(
                self.axes[1:], layer.stride, layer.kernel_size, layer.dilation, strict=True
            )
        ]
        count = len(taps)
        spread = [tap.reshape(len(tap), *[1] * axis, -1, *[1] * (count - axis - 1)) for axis, tap in enumerate(taps)]
        patches = padded[(self.axes[0].reshape(-1, *[1] * count), *spread)]  # (P, *kernel, channels)
        rows = patches.movedim(-1, 1).reshape(len(patches), layer.groups, -1)
        return rows.transpose(0, 1)


def sampled(output: Tensor, linear: bool, count: int, generator: torch.Generator) -> Places:
    """Return `count` places of an output at random, each once, in order; all where there are fewer."""
    shape = output.shape[:-1] if linear else (output.shape[0], *output.shape[2:])
    chosen = torch.randperm(math.prod(shape), generator=generator)[:count].sort().values.to(output.device)
    return Places(torch.unravel_index(chosen, shape))


def _padded(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, given: Tensor) -> Tensor:
    """Return the input with the layer's padding."""
    around: Sequence[int] = layer._reversed_padding_repeated_twice
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return functional.pad(given, tuple(around), mode=mode)
