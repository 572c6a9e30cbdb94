"""Example inputs at another batch size: images repeated in turn, or as many as are needed."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from winnow.engine.graph.trace import named_inputs


def batch_size(inputs: Mapping[str, Any]) -> int:
    """Return the length of the first tensor with an axis, the number of images of an example.

    Raises:
        ValueError: there is none, or it is empty.

    """
    lengths = [len(leaf) for leaf in _pytree.tree_leaves(dict(inputs)) if isinstance(leaf, Tensor) and leaf.dim()]
    if not lengths or not lengths[0]:
        raise ValueError(f"`example_inputs` should hold a tensor of at least one image. Found lengths {lengths}.")
    return lengths[0]


def batched(model: nn.Module, example_inputs: Any, size: int) -> dict[str, Any]:
    """Return example inputs by name with `size` images; a tensor that is not as long as the first one stays as it is.

    Raises:
        ValueError: `size` is no positive whole number, or the example is empty.

    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"`batches` should be whole numbers from 1. Found {size!r}.")
    inputs = named_inputs(model, example_inputs)
    length = batch_size(inputs)

    def repeated(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.dim() or len(leaf) != length:
            return leaf
        taken = leaf[torch.arange(size, device=leaf.device) % length]
        return taken.contiguous(memory_format=torch.channels_last) if _channels_last(leaf) else taken

    return {name: _pytree.tree_map(repeated, value) for name, value in inputs.items()}


def _channels_last(leaf: Tensor) -> bool:
    return leaf.dim() == 4 and leaf.is_contiguous(memory_format=torch.channels_last) and not leaf.is_contiguous()
