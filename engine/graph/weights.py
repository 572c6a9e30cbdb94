"""The weights as they stand now, seen by the graph: values by name, and where they are exactly zero."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.engine.graph.records import Product

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Weights:
    """A reading of a model's parameters and buffers; what is asked for twice is computed once.

    `training`: whether only those constants count that hold in training mode as well.
    """

    def __init__(self, model: nn.Module, training: bool = False) -> None:
        self.training = training
        self._tensors: dict[str, Tensor] = dict(model.named_parameters(remove_duplicate=False))
        self._tensors.update(model.named_buffers(remove_duplicate=False))
        if empty := [name for name, tensor in self._tensors.items() if tensor.is_meta]:
            raise ValueError(
                f"`model` must hold weights, got {', '.join(empty[:3])} without values (device meta). Call "
                "model.to_empty(device='cpu') and load a state dict."
            )
        self._nonzero: dict[str, Flags] = {}
        self._entries: dict[str, Flags] = {}
        self._values: dict[str, Values] = {}

    def tensor(self, name: str) -> Tensor:
        """Return a parameter or buffer without its history."""
        return self._tensors[name].detach()

    def values(self, name: str) -> Values:
        """Return a small parameter or buffer as numbers."""
        if name not in self._values:
            self._values[name] = self.tensor(name).to(device="cpu", dtype=torch.float64).numpy()
        return self._values[name]

    def nonzero(self, product: Product) -> Flags:
        """Return (rows, columns): whether any weight of the kernel is not exactly zero (squares could underflow)."""
        if product.weight not in self._nonzero:
            self._nonzero[product.weight] = _any_nonzero(self.tensor(product.weight))
        found = self._nonzero[product.weight]
        return np.asarray(found.T) if product.transposed else found

    def rows_nonzero(self, name: str) -> Flags:
        """Return (rows,): whether any weight of a row is not exactly zero."""
        if name not in self._nonzero:
            self._nonzero[name] = np.asarray(_any_nonzero(self.tensor(name)).any(1))
        return self._nonzero[name]

    def any_nonzero(self, name: str) -> Flags:
        """Return (rows, columns): whether any weight of the kernel is not exactly zero, as the parameter has them."""
        if name not in self._entries:
            self._entries[name] = _any_nonzero(self.tensor(name))
        return self._entries[name]

    def nonzero_over(self, name: str, rows: int, columns: int | None) -> Flags:
        """Return (rows, columns): whether any entry is not zero over all axes but these two; (rows, 1) without one."""
        key = f"{name}:{rows}:{columns}"
        if key not in self._entries:
            weight = self.tensor(name)
            kept = [rows] if columns is None else [rows, columns]
            order = [*kept, *(axis for axis in range(weight.dim()) if axis not in kept)]
            moved = (weight != 0).permute(order).reshape(*(weight.shape[axis] for axis in kept), -1).any(-1)
            self._entries[key] = moved.reshape(weight.shape[rows], -1).cpu().numpy()
        return self._entries[key]

    def kernel_sums(self, product: Product) -> Values:
        """Return (rows, columns): the weights summed over the kernel, what a constant input is multiplied by."""
        weight = self.tensor(product.weight)
        summed = (weight.flatten(2).sum(2, dtype=torch.float64) if weight.dim() > 2 else weight.double()).cpu().numpy()
        return summed.T if product.transposed else summed


def _any_nonzero(weight: Tensor) -> Flags:
    """Return (dimension 0, dimension 1): whether any entry of the kernel is not zero.

    One pass per place of the kernel: three times as fast on a CPU as a reduction over so short an axis.
    """
    plain = weight.device.type == "cpu" and weight.dtype != torch.bfloat16
    nonzero = np.asarray((weight if plain else weight != 0).cpu().numpy() != 0)
    places = nonzero.reshape(*nonzero.shape[:2], -1)
    found: Flags = places[..., 0].copy()
    for place in range(1, places.shape[2]):
        found |= places[..., place]
    return found
