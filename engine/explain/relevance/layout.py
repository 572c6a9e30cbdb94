"""Which axis of a tensor inside a model counts the images, and which the channels: found out by running the model.

Nothing is assumed of dimension 0. Transformers put time first, windows are folded into the batch, linear layers read
their channels from the last axis. So the model runs on two and on three images: the axis that grows with them counts
them. Then one of the three is replaced: the rows that change are its own. Where they are not, images influence one
another (or chance decides), and no number of one image can be given: such a site is left out, by name.

The channels of what a layer reads are along the axis that the layer itself takes them from. Those of a module's output
are along the axis of the layer that reads it next, or of the one that wrote it, or of the channel graph
(`engine.graph`), or else the one axis that stays as long when the model runs on other sizes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.graph.calls import Call
from winnow.engine.graph.examples import at_other_sizes
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.trace import trace

FEW, MORE = 2, 3  # images
SAME = 1e-5  # of the largest change: below it, a row has not changed
OF_NO_LAYER = (
    "it is not the weight of a layer: one tensor holds several. Write each (an expert) as a module to have it explained"
)
ALONE = "its images influence one another in evaluation mode, or its results are random"


class NoLayoutError(ValueError):
    """A tensor in which the numbers of one image cannot be told from those of others; the message says why."""


@dataclass(frozen=True)
class Layout:
    """Where a tensor has its images and its channels.

    `images` is the axis of the images, each with `each` entries in a row there, or, where they are `alternating`, in
    every B-th place; `channels` is the axis of the channels.
    """

    images: int = 0
    channels: int = 1
    each: int = 1
    alternating: bool = False

    def per_channel(self, values: Tensor) -> Tensor:
        """Return a tensor as (B, channels, positions)."""
        found = values.movedim((self.images % values.dim(), self.channels % values.dim()), (0, 1))
        if self.each > 1 and self.alternating:
            found = found.reshape(self.each, -1, *found.shape[1:]).movedim(0, 2)
        elif self.each > 1:
            found = found.reshape(-1, self.each, *found.shape[1:]).movedim(1, 2)
        return found.flatten(2) if found.dim() > 2 else found[:, :, None]


def image_axis(few: Tensor, more: Tensor, other: Tensor) -> tuple[int, int, bool]:
    """Return the axis of the images, the entries of each there, and whether they alternate.

    Args:
        few: the tensor for FEW images.
        more: for MORE images.
        other: for the same, but that the first image is another one.

    Raises:
        NoLayoutError: no axis counts the images, or their entries cannot be told apart.

    """
    grown = [a for a in range(more.dim()) if few.dim() == more.dim() and few.shape[a] * MORE == more.shape[a] * FEW]
    if len(grown) != 1 or more.shape != other.shape:
        raise NoLayoutError(f"its tensor {tuple(more.shape)} has {len(grown)} axes that count the images, not one")
    (axis,) = grown
    each = more.shape[axis] // MORE
    change = (more - other).abs().movedim(axis, 0).flatten(1).amax(1) if more.numel() else more.new_zeros(1)
    rows = set((change > SAME * change.max()).nonzero().ravel().tolist()) if change.max() > 0 else set()
    in_a_row, alternate = rows <= set(range(each)), rows <= set(range(0, MORE * each, MORE))
    if not in_a_row and not alternate:
        raise NoLayoutError(ALONE)
    if each > 1 and in_a_row and alternate:
        raise NoLayoutError("the entries of its images cannot be told apart")
    return axis, each, not in_a_row


def other_images(images: Any) -> tuple[Any, Any, Any]:
    """Return FEW images, MORE images, and the latter with another first one; images are a tensor or `Inputs`."""
    few, more = (images[torch.arange(count) % len(images)] for count in (FEW, MORE))
    return few, more, _with_another(more) if isinstance(more, Tensor) else more.changed(_with_another)


def _with_another(images: Tensor) -> Tensor:
    other, generator = images.clone(), torch.Generator().manual_seed(0)
    if images.dtype == torch.bool:
        return other  # a mask: with another one, what the image is could vanish
    if images.is_floating_point():
        noise = torch.randn(other[0].shape, generator=generator, dtype=torch.float64).to(other)
        other[0] = other[0] / 2 + noise * (other.std() + 1e-3)
    else:
        values = images.flatten()
        other[0] = values[torch.randint(len(values), other[0].shape, generator=generator).to(values.device)]
    return other


def written_channels(
    model: nn.Module, module: nn.Module, readers: Mapping[nn.Module, int], images: Tensor
) -> tuple[int, int]:
    """Return the axis of the channels of a module's output, and how many they are.

    `readers` are layers and the axis that each reads its channels from.

    Raises:
        NoLayoutError: it is never computed, is not one tensor, or its channels cannot be found.

    """
    seen, known = _output_and_neighbours(model, module, readers, images)
    if not isinstance(seen, Tensor) or seen.dim() < 2:
        raise NoLayoutError("its output is not one tensor with channels")
    axis = next((axis for axis, tensor in known if tensor is seen), None)
    if axis is None and seen.dim() == 2:  # the other one counts the images
        axis = 1
    if axis is None:
        axis = _in_graph(model, module, images)
    if axis is None:
        axis = _at_other_sizes(model, module, images)
    if axis is None:
        raise NoLayoutError("the axis of its channels is not known: name the layers that read it instead")
    return axis, seen.shape[axis]


@torch.no_grad()
def _output_and_neighbours(
    model: nn.Module, module: nn.Module, readers: Mapping[nn.Module, int], images: Tensor
) -> tuple[Any, list[tuple[int, Any]]]:
    """Return a module's output, and what layers read and write, each with the axis of its channels."""
    seen: list[Any] = []
    known: list[tuple[int, Any]] = []

    def reading(axis: int) -> Callable[[nn.Module, Any], None]:
        return lambda _, given: known.append((axis, given[0])) if given else None

    def writing(axis: int) -> Callable[[nn.Module, Any, Any], None]:
        return lambda _, given, result: known.append((axis, result))

    writers = dict(readers) | {own: -1 for own in model.modules() if isinstance(own, nn.LayerNorm)}
    handles = [module.register_forward_hook(lambda _, given, result: seen.append(result))]
    handles += [layer.register_forward_pre_hook(reading(axis)) for layer, axis in readers.items()]
    handles += [layer.register_forward_hook(writing(axis)) for layer, axis in writers.items()]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return (seen[0] if seen else None), known


class _Ending(nn.Module):
    """A model that returns what one of its modules returns."""

    def __init__(self, model: nn.Module, module: nn.Module) -> None:
        super().__init__()
        self.model, self._place = model, [module]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the output of the module."""
        seen: list[Tensor] = []
        handle = self._place[0].register_forward_hook(lambda _, given, result: seen.append(result))
        try:
            self.model(images)
        finally:
            handle.remove()
        return {"output": seen[0]}


def _in_graph(model: nn.Module, module: nn.Module, images: Tensor) -> int | None:
    try:
        graph = trace(_Ending(model, module), Call((images,)))
    except NotTraceable:
        return None
    labels = graph.carriers[graph.ends["output"][0]].labels
    long = [axis - labels.ndim for axis in range(labels.ndim) if labels.shape[axis] > 1]
    return long[0] if len(long) == 1 else None


@torch.no_grad()
def _at_other_sizes(model: nn.Module, module: nn.Module, images: Tensor) -> int | None:
    """Return the one axis that is as long at every other size that the model takes."""
    ending = _Ending(model, module)
    shape = ending(images)["output"].shape
    stay = set(range(1, len(shape)))
    for call in at_other_sizes(Call((images,))).values():
        with suppress(Exception):  # whatever the model says of a size that it does not take
            other = ending(*call.args)["output"].shape
            stay &= {axis for axis in range(len(shape)) if other[axis] == shape[axis]}
    return stay.pop() - len(shape) if len(stay) == 1 else None


def alike(layouts: Sequence[Layout]) -> Layout:
    """Return the one layout of all calls of a layer.

    Raises:
        NoLayoutError: they differ.

    """
    if len(set(layouts)) > 1:
        raise NoLayoutError("its calls have their images along different axes")
    return layouts[0]


def of_no_layer(model: nn.Module, readers: Collection[str], images: Tensor) -> dict[str, str]:
    """Return the weights of products that are no layer's, as those of experts in one tensor, and why they are no site.

    The layers that are sites are `readers`. A model that cannot be traced has none that is known.
    """
    large = [name for name, weight in model.named_parameters() if weight.dim() > 2]
    own = [name for name in large if name.rpartition(".")[0] not in readers]
    if not own:
        return {}
    try:
        sites = trace(model, images[:1]).sites
    except (NotTraceable, ValueError, RuntimeError):
        return {}
    read = {site.parameter for site in sites if site.role == "reader"}
    return {name: OF_NO_LAYER for name in own if name in read}
