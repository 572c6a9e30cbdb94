"""Calls at other sizes: more or fewer images, another resolution, another length."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.graph.calls import Call, length_of, with_length
from winnow.engine.graph.trace import named_inputs

MAPS = 4  # tensors of so many dimensions or more are maps: channels along dimension 1, space behind it


def images(call: Call) -> int:
    """Return the number of images of a call: what was found by its outputs, else `engine.graph.calls.length_of`.

    Raises:
        ValueError: there is none, or it is empty.

    """
    if not (length := length_of(call)):
        lengths = [len(leaf) for _, leaf in call.tensors() if leaf.dim()]
        raise ValueError(f"`example_inputs` must hold a tensor of at least one image, got lengths {lengths}.")
    return length


def with_images(call: Call, size: int) -> Call:
    """Return a call with `size` images, taken in turn; a tensor of another length than that of `images` stays as it is.

    Raises:
        ValueError: `size` is no positive whole number, or the call has no image.

    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"`size` must be a whole number from 1, got {size!r}. Give the number of images.")
    length = images(call)
    found = call.changed(lambda leaf: _resized(leaf, 0, size) if leaf.dim() and len(leaf) == length else leaf)
    return replace(found, images=size if call.images else 0)


def at_other_sizes(call: Call) -> dict[str, Call]:
    """Return the call at other resolutions and lengths, by their description: twice as large, and one more.

    Every axis but the first (the images) and but dimension 1 of maps (the channels) may be space or length. Axes of
    one length are changed together, so that masks and positions go with what they belong to. Whether a model takes
    such a size is for the caller to try.
    """
    found: dict[str, Call] = {}
    for length in dict.fromkeys(length for _, leaf in call.tensors() for _, length in _lengths(leaf)):
        for title, size in ((f"{length} → {2 * length}", 2 * length), (f"{length} → {length + 1}", length + 1)):
            found[title] = call.changed(lambda leaf, length=length, size=size: _stretched(leaf, length, size))
    maps = [leaf for _, leaf in call.tensors() if leaf.dim() >= MAPS]
    if len({length for leaf in maps for _, length in _lengths(leaf)}) > 1:
        found["maps twice as large"] = call.changed(_doubled)
    return found


def at_half_size(call: Call, length: int) -> dict[str, Call]:
    """Return the call with axes of one length half as long, by its description; nothing where it is 1."""
    half = length // 2
    return {f"{length} → {half}": call.changed(lambda leaf: _stretched(leaf, length, half))} if half else {}


def _doubled(leaf: Tensor) -> Tensor:
    for axis, length in _lengths(leaf) if leaf.dim() >= MAPS else ():
        leaf = _resized(leaf, axis, 2 * length)
    return leaf


def _stretched(leaf: Tensor, length: int, size: int) -> Tensor:
    for axis, found in _lengths(leaf):
        leaf = _resized(leaf, axis, size) if found == length else leaf
    return leaf


def _lengths(leaf: Tensor) -> Iterator[tuple[int, int]]:
    """Yield the axes that may be space or length, with their extent."""
    for axis in range(2 if leaf.dim() >= MAPS else 1, leaf.dim()):
        if leaf.shape[axis] > 1:
            yield axis, leaf.shape[axis]


def _resized(leaf: Tensor, axis: int, size: int) -> Tensor:
    index = torch.arange(size, device=leaf.device) % leaf.shape[axis]
    taken = leaf.index_select(axis, index)
    return taken.contiguous(memory_format=torch.channels_last) if is_channels_last(leaf) else taken


def is_channels_last(leaf: Tensor) -> bool:
    """Return whether a tensor (B, C, H, W) lies channels last in memory, and not also in the usual order."""
    return leaf.dim() == 4 and leaf.is_contiguous(memory_format=torch.channels_last) and not leaf.is_contiguous()


def batch_size(inputs: Mapping[str, Any]) -> int:
    """Return `images` of named inputs."""
    return images(Call(kwargs=inputs))


def batched(model: nn.Module, example_inputs: Any, size: int) -> dict[str, Any]:
    """Return example inputs by name with `size` images; see `with_images`."""
    call = with_length(model, Call(kwargs=named_inputs(model, example_inputs)))
    return dict(with_images(call, size).kwargs)
