"""Members of a group: slices of a parameter along its channel axis.

On a CPU sums go in two stages, first over rows, then over the kernel: that costs a third of a per-group norm, and a
tenth of a Python loop. Elsewhere they are one reduction, as there each operation costs a launch.

Parameters in half precision are summed in float32 (`wide`): squares of entries below 2e-4 are 0 in float16.

With g blocks (a grouped convolution), a parameter (g·R, C, …) is seen as (g, R, C, …), and its channels are counted
block after block. Splitting an axis is always a view, whatever the memory format. A window of the axis serves where
channels stand beside others (after a concatenation), several entries per channel where each is a block of columns
(after a flattening).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

PIECE = 1 << 17  # entries: half a megabyte, so that the squares are summed before they leave the cache
Kind = Literal["input", "output", "coupled"]


def wide_type(kind: torch.dtype) -> torch.dtype:
    """Return the type in which sums of numbers of type `kind` are taken: float32 at least."""
    return torch.promote_types(kind, torch.float32)


def wide(tensor: Tensor) -> Tensor:
    """Return a tensor in float32 at least."""
    return tensor.to(wide_type(tensor.dtype))


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Channels of a parameter along dimension `axis`: `length` of them from entry `start` on, `repeat` entries each.

    With `blocks` > 1 the channels are all of dimension 1, in each of that many equal parts of dimension 0.

    Raises:
        ValueError: a window and blocks at once; a window that is not on the axis.

    """

    parameter: nn.Parameter
    axis: int
    blocks: int = 1
    start: int = 0
    length: int | None = None
    repeat: int = 1

    def __post_init__(self) -> None:
        windowed = self.start > 0 or self.length is not None or self.repeat > 1
        if self.blocks > 1 and (windowed or self.axis != 1):
            raise ValueError(f"`blocks` must be 1 for a window or another axis than 1, got {self.blocks}.")
        end, extent = self.start + self.channels * self.repeat, self.extent
        if not 0 <= self.start < end <= extent:
            raise ValueError(f"`start` and `length` must lie on the axis, 0 to {extent}, got {self.start} to {end}.")

    @property
    def extent(self) -> int:
        """How many entries the whole axis has, all blocks together."""
        return self.blocks * self.parameter.shape[self.axis]

    @property
    def channels(self) -> int:
        """How many channels there are, all blocks together."""
        return self.length if self.length is not None else (self.extent - self.start) // self.repeat

    @property
    def size(self) -> int:
        """The number of weights per channel."""
        return self.parameter.numel() // self.extent * self.repeat

    def view(self, tensor: Tensor) -> Tensor:
        """Return the channels' part of a tensor of the parameter's shape, seen in blocks: (g·R, …) as (g, R, …)."""
        if self.blocks > 1:
            return tensor.view(self.blocks, -1, *tensor.shape[1:])
        entries = self.channels * self.repeat
        return (tensor if entries == self.extent else tensor.narrow(self.axis, self.start, entries))[None]

    def sums(self, tensor: Tensor) -> Tensor:
        """Sum a tensor of the parameter's shape over everything but the channel: (channels,), in float32 at least."""
        return self.view_sums(self.view(wide(tensor)))

    def view_sums(self, view: Tensor) -> Tensor:
        """Sum what `view` returned over everything but the channel: (channels,)."""
        last = view.dim() > 3 and view.stride(2) == 1  # channels last in memory: flattened any other way, it is copied
        if view.device.type != "cpu":
            others = self.others(view)
            entries = (view.sum(others) if others else view).flatten()
        elif self.axis == 0:
            rows = view[0].movedim(1, -1) if last else view[0]
            entries = rows.flatten(1).sum(1) if rows.dim() > 1 else rows
        elif self.axis == 1 and last:
            entries = view.movedim(2, -1).flatten(1, -2).sum(1).flatten()
        elif self.axis == 1:
            per_block = view.sum(1)  # (g, C, …)
            entries = (per_block.flatten(2).sum(2) if per_block.dim() > 2 else per_block).flatten()
        else:
            entries = view[0].movedim(self.axis, 0).flatten(1).sum(1)
        return entries.view(-1, self.repeat).sum(1) if self.repeat > 1 else entries

    def squares(self) -> Tensor:
        """Sum the squares of the parameter over everything but the channel: (channels,), in float32 at least."""
        view = self.view(self.parameter.detach())
        if view.device.type != "cpu":
            others = self.others(view)
            at_once = self.repeat == 1 and bool(others)
            return self.norms_of(view, others).square() if at_once else self.view_sums(wide(view).square())
        rows = (
            max(1, PIECE * view.shape[1] // max(view.numel(), 1))
            if self.repeat == 1 and self.axis < 2
            else view.shape[1]
        )
        if rows >= view.shape[1]:
            return self.view_sums(wide(view).square())
        sums = [self.view_sums(wide(piece).square()) for piece in torch.split(view, rows, 1)]  # of cache size
        return torch.cat(sums) if self.axis == 0 else torch.stack(sums).sum(0)

    def norms(self) -> Tensor:
        """Return the norm of the parameter over everything but the channel: (channels,), in float32 at least."""
        view = self.view(self.parameter.detach())
        return self.norms_of(view, self.others(view))

    def norms_of(self, view: Tensor, others: list[int]) -> Tensor:
        """Return `norms` for the parameter's part, `view`, and the dimensions `others` of it, which are known."""
        if view.device.type == "cpu" or self.repeat > 1 or not others:
            return self.squares().sqrt()
        norms: Tensor = torch.linalg.vector_norm(view, dim=others, dtype=wide_type(view.dtype))
        return norms.flatten()

    def others(self, view: Tensor) -> list[int]:
        """Return the dimensions of a view in blocks that are not the channel's."""
        return [dimension for dimension in range(1, view.dim()) if dimension != self.axis + 1]

    def spread(self, values: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the channels' part of `like`, and `values` (channels,) in a shape that broadcasts against it."""
        view = self.view(like)
        return view, self.entries(values).reshape(self.broadcast(view))

    def entries(self, values: Tensor) -> Tensor:
        """Return a vector over the channels for every entry of the axis that belongs to one."""
        return values.repeat_interleave(self.repeat) if self.repeat > 1 else values

    def broadcast(self, view: Tensor) -> list[int]:
        """Return the shape in which a vector over the channels broadcasts against a view in blocks."""
        shape = [self.blocks] + [1] * (view.dim() - 1)
        shape[self.axis + 1] = -1
        return shape

    @torch.no_grad()
    def move_(self, lengths: Tensor, moment: Tensor) -> None:
        """Subtract each channel's length times a tensor of the parameter's shape, in place, rounded once."""
        view, spread = self.spread(lengths, self.parameter)
        if moment.dtype == view.dtype:
            view.addcmul_(spread, self.view(moment), value=-1)
        else:
            view.sub_(spread * self.view(moment))

    @property
    def whole(self) -> bool:
        """Whether it is the whole parameter, as one channel."""
        return self.repeat == self.extent > 1

    def same(self, other: "Axis") -> bool:
        """Whether both mean the same channels of the same parameter."""
        return self.structure == other.structure

    @property
    def structure(self) -> tuple[int, ...]:
        """What tells this from another slice of the same or another parameter."""
        return id(self.parameter), self.axis, self.blocks, self.start, self.channels, self.repeat


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Weights that live or die together: channel `channel` of every axis in `members`, reported under `layer`.

    `apart`: it is one of several that do the same work, each in a bank of its own (experts of a mixture), so that no
    floor of a bank keeps it.
    """

    layer: str
    channel: int
    kind: Kind
    members: tuple[Axis, ...]
    apart: bool = False

    @property
    def size(self) -> int:
        """The number of weights, |g|."""
        return sum(axis.size for axis in self.members)

    def norm(self) -> Tensor:
        """Return ‖w_g‖₂, a scalar. For all groups at once, `Bank.norms` is far quicker."""
        with torch.no_grad():
            return sum(axis.squares()[self.channel] for axis in self.members).sqrt()  # type: ignore[union-attr]
