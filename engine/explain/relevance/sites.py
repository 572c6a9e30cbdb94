"""Where relevance is measured and channels are removed: sites, and the gates that are put there for a while.

A gate is between a tensor and one layer that reads it, so that its output belongs to this reader alone: the gradient
there is that of the paths through the reader, and a change there changes nothing else. A layer that is never called,
but whose weight is read by a function (`out_proj` of an attention layer), has its gate at that function.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from winnow.engine.explain.relevance.layout import (
    Layout,
    NoLayoutError,
    alike,
    image_axis,
    of_no_layer,
    other_images,
    written_channels,
)
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.functions import opened, opens
from winnow.engine.graph.modes import requiring_grad
from winnow.engine.sparsity.groups import Axis, input_groups

End = Literal["input", "output"]
Change = Callable[[Tensor], Tensor]
READING = (
    functional.linear,
    functional.conv1d,
    functional.conv2d,
    functional.conv3d,
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
)  # fmt: skip - functions that read their first argument with their second


@dataclass(frozen=True, eq=False)
class Site:
    """The input or output of a layer, `module`; its tensor has `channels` channels, and lies as `layout` says.

    `read_by` is where the weight is read by a function: the innermost module that is called around it.
    """

    name: str
    module: nn.Module
    end: End
    channels: int
    axis: Axis | None = None
    layout: Layout = field(default_factory=Layout)
    read_by: nn.Module | None = None

    @property
    def begins(self) -> nn.Module:
        """The module whose call begins before the site is passed."""
        return self.module if self.read_by is None else self.read_by

    def alive(self) -> list[bool]:
        """Return, per channel, whether the layer reads it with a weight that is not zero; always True at an output."""
        if self.axis is None:
            return [True] * self.channels
        found: list[bool] = (self.axis.squares() > 0).tolist()
        return found

    def per_channel(self, values: Tensor) -> Tensor:
        """Return a tensor of this site as (B, channels, positions)."""
        return self.layout.per_channel(values)

    def shaped(self, values: Tensor, like: Tensor) -> Tensor:
        """Return (channels,) in a shape that broadcasts against a tensor of this site."""
        shape = [1] * like.dim()
        shape[self.layout.channels] = -1
        return values.to(like).view(shape)

    @contextmanager
    def changing(self, change: Change) -> Iterator[None]:
        """Let `change` replace the tensor at this site, at every call of the layer."""
        if self.read_by is not None and self.axis is not None:
            with _Reading(self.axis.parameter, change):
                yield
            return
        if self.end == "input":
            handle = self.module.register_forward_pre_hook(lambda _, given: (change(given[0]), *given[1:]))
        else:
            handle = self.module.register_forward_hook(lambda _, given, result: change(result))
        try:
            yield
        finally:
            handle.remove()


ONE_LAYER = "`trunk` is one layer, and its name is that of what it reads; put it into an nn.Sequential"


class _Reading(TorchFunctionMode):
    """Changes what a function multiplies with one weight."""

    def __init__(self, weight: Tensor, change: Change) -> None:
        super().__init__()
        self._weight, self._change = weight, change

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if opens(func) and func.__module__ == functional.__name__:  # composed of others in Python: look inside
            with self:
                return opened(func)(*args, **kwargs)
        if len(args) > 1 and args[1] is self._weight and func in READING:
            args = (self._change(args[0]), *args[1:])
        return func(*args, **kwargs)


class Gate(nn.Module):
    """Passes a tensor on as a tensor of its own; Captum attributes to it as to a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the same values as another tensor, which can have a gradient."""
        passed = x.view_as(x)
        return passed if passed.requires_grad or not torch.is_grad_enabled() else passed.requires_grad_()


@contextmanager
def gates_at(sites: Sequence[Site]) -> Iterator[dict[str, Gate]]:
    """Put a gate at every site; yield them by the sites' names."""
    gates = {site.name: Gate() for site in sites}
    with ExitStack() as stack:
        for site in sites:
            stack.enter_context(site.changing(gates[site.name]))
        yield gates


@contextmanager
def recorded(sites: Sequence[Site]) -> Iterator[dict[str, list[Tensor]]]:
    """Put a gate at every site and keep its outputs; yield them by name, one tensor for every call of the layer."""
    kept: dict[str, list[Tensor]] = {site.name: [] for site in sites}
    with gates_at(sites) as gates, ExitStack() as stack:
        for site in sites:
            handle = gates[site.name].register_forward_hook(_keeping(kept[site.name], site.end == "output"))
            stack.callback(handle.remove)
        yield kept


def _keeping(kept: list[Tensor], written: bool) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    def keep(_: nn.Module, given: Any, passed: Tensor) -> Tensor:
        kept.append(passed)
        return passed.clone() if written else passed  # a reader of an output may write into it

    return keep


def shared_sites(model: nn.Module, images: Tensor) -> tuple[list[Site], dict[str, str]]:
    """Return the sites that tasks may share, and why others are left out, by name.

    They are the readers in `model.trunk` and its output, or else all readers.
    """
    trunk = getattr(model, "trunk", None)
    readers = _readers(model)
    if not isinstance(trunk, nn.Module):
        found, left_out = _laid_out(model, list(readers.values()), images)
        return found, {**left_out, **of_no_layer(model, readers, images)}
    inside = [site for name, site in readers.items() if name.startswith("trunk.") or site.module is trunk]
    if any(site.name == "trunk" for site in inside):  # what it reads and what it gives cannot have one name
        found, left_out = _laid_out(model, inside, images)
        return found, {**left_out, "trunk (what it gives)": ONE_LAYER}
    try:
        end = [_output_site("trunk", trunk, model, images)]
    except NoLayoutError as error:
        found, left_out = _laid_out(model, inside, images)
        return found, {**left_out, "trunk": str(error)}
    found, left_out = _laid_out(model, [*inside, *end], images)
    own = {name: why for name, why in of_no_layer(model, readers, images).items() if name.startswith("trunk.")}
    return found, {**left_out, **own}


def named_sites(model: nn.Module, layers: Sequence[str], images: Tensor) -> list[Site]:
    """Return the sites of the named layers, in this order.

    Raises:
        ValueError: a name that the model does not have, a name given twice, or a tensor in which images or channels
            cannot be told apart.

    """
    readers, modules = _readers(model), dict(model.named_modules())
    if len(set(layers)) != len(layers):
        raise ValueError(f"`layers` must name each layer once, got {', '.join(layers)}.")
    found = []
    for name in layers:
        if name not in readers and (name not in modules or not name):
            raise ValueError(f"`layers` must name modules of the model whose tensors have channels, got {name!r}.")
        try:
            found.append(readers.get(name) or _output_site(name, modules[name], model, images))
        except NoLayoutError as error:
            raise ValueError(_refusal(name, str(error))) from error
    sites, left_out = _laid_out(model, found, images)
    for name, why in left_out.items():
        raise ValueError(_refusal(name, why))
    return sites


def _refusal(name: str, why: str) -> str:
    return f"`layers` must name layers that can be explained, got {name!r}: {why}."


def _readers(model: nn.Module) -> dict[str, Site]:
    axes: Mapping[str, Axis] = {group.layer: group.members[0] for group in input_groups(model)}
    modules = dict(model.named_modules())
    return {
        name: Site(name, modules.get(name, model), "input", axis.channels, axis, _read_from(modules.get(name, model)))
        for name, axis in axes.items()
    }


def _read_from(module: nn.Module) -> Layout:
    """Return the layout of what a layer reads, as far as the layer says it: the axis of the channels, from the end."""
    kernel = {
        nn.Conv1d: 1,
        nn.Conv2d: 2,
        nn.Conv3d: 3,
        nn.ConvTranspose1d: 1,
        nn.ConvTranspose2d: 2,
        nn.ConvTranspose3d: 3,
    }
    return Layout(channels=-1 - next((axes for kind, axes in kernel.items() if isinstance(module, kind)), 0))


def _output_site(name: str, module: nn.Module, model: nn.Module, images: Tensor) -> Site:
    readers = {site.module: site.layout.channels for site in _readers(model).values()}
    axis, channels = written_channels(model, module, readers, images)
    return Site(name, module, "output", channels, layout=Layout(channels=axis))


@torch.no_grad()
def _laid_out(model: nn.Module, sites: Sequence[Site], images: Tensor) -> tuple[list[Site], dict[str, str]]:
    """Return the sites with their layouts, and why others are left out."""
    placed = _with_readers(model, sites, images)
    passes = []
    for given in other_images(images):
        with recorded(placed) as kept:
            model(given)
        passes.append(kept)
    found, left_out = [], {}
    for site in placed:
        try:
            calls = zip(*(kept[site.name] for kept in passes), strict=True)
            layouts = [replace(site.layout, **_images(*tensors)) for tensors in calls]
            if not layouts and _matters(model, site, images):
                raise NoLayoutError("its weight is used by an operation that is not known")
            found.append(replace(site, layout=alike(layouts)) if layouts else site)
        except (NoLayoutError, ValueError) as error:
            left_out[site.name] = str(error)
    return found, left_out


def _images(few: Tensor, more: Tensor, other: Tensor) -> dict[str, Any]:
    axis, each, alternating = image_axis(few, more, other)
    return {"images": axis, "each": each, "alternating": alternating}


def _with_readers(model: nn.Module, sites: Sequence[Site], images: Tensor) -> list[Site]:
    """Return the sites; those whose layer is never called with the module around it that is."""
    called: set[nn.Module] = set()
    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(module.register_forward_pre_hook(lambda module, _: called.add(module)).remove)
        model(images)
    modules = dict(model.named_modules())
    return [site if site.module in called else replace(site, read_by=_around(site, modules, called)) for site in sites]


def _around(site: Site, modules: Mapping[str, nn.Module], called: Collection[nn.Module]) -> nn.Module:
    name = site.name
    while name and modules.get(name) not in called:
        name = name.rpartition(".")[0]
    return modules[name]


def _matters(model: nn.Module, site: Site, images: Tensor) -> bool:
    """Return whether any output depends on the weight of a site."""
    if site.axis is None:
        return False
    weight = site.axis.parameter
    with torch.enable_grad(), requiring_grad([weight], wanted=True):
        total = sum(tensor.float().sum() for _, tensor in flatten(model(images)) if tensor.requires_grad)
        if not isinstance(total, Tensor):
            return False
        return torch.autograd.grad(total, weight, allow_unused=True)[0] is not None
