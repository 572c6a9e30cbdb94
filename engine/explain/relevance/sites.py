"""Where relevance is measured and channels are removed: sites, and the gates that are put there for a while.

A gate is between a tensor and one layer that reads it, so that its output belongs to this reader alone: the gradient
there is that of the paths through the reader, and a change there changes nothing else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from winnow.engine.sparsity.groups import Axis, input_groups

End = Literal["input", "output"]
Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Site:
    """The input or output of a layer; its tensor has `channels` channels along dimension `dim`."""

    name: str
    module: nn.Module
    end: End
    channels: int
    axis: Axis | None = None

    @property
    def dim(self) -> int:
        """The channel dimension: 1, but the last one for a linear layer."""
        return -1 if isinstance(self.module, nn.Linear) else 1

    def alive(self) -> list[bool]:
        """Return, per channel, whether the layer reads it with a weight that is not zero; always True at an output."""
        if self.axis is None:
            return [True] * self.channels
        found: list[bool] = (self.axis.squares() > 0).tolist()
        return found

    def per_channel(self, values: Tensor) -> Tensor:
        """Return (B, …, channels, …) as (B, channels, positions)."""
        return values.movedim(self.dim, 1).flatten(2) if values.dim() > 2 else values[:, :, None]

    def shaped(self, values: Tensor, like: Tensor) -> Tensor:
        """Return (channels,) in a shape that broadcasts against a tensor of this site."""
        shape = [1] * like.dim()
        shape[self.dim] = -1
        return values.to(like).view(shape)

    @contextmanager
    def changing(self, change: Change) -> Iterator[None]:
        """Let `change` replace the tensor at this site, at every call of the layer."""
        if self.end == "input":
            handle = self.module.register_forward_pre_hook(lambda _, given: (change(given[0]), *given[1:]))
        else:
            handle = self.module.register_forward_hook(lambda _, given, result: change(result))
        try:
            yield
        finally:
            handle.remove()


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


def shared_sites(model: nn.Module, example: Tensor) -> list[Site]:
    """Return the sites that tasks may share: the readers in `model.trunk` and its output, or else all readers."""
    trunk = getattr(model, "trunk", None)
    readers = _readers(model)
    if not isinstance(trunk, nn.Module):
        return list(readers.values())
    inside = [site for name, site in readers.items() if name.startswith("trunk.") or site.module is trunk]
    end = _output_site("trunk", trunk, model, example)
    return [*inside, *([end] if end is not None else [])]


def named_sites(model: nn.Module, layers: Sequence[str], example: Tensor) -> list[Site]:
    """Return the sites of the named layers, in this order.

    Raises:
        ValueError: a name that the model does not have, a name given twice, or an output without channels.

    """
    readers, modules = _readers(model), dict(model.named_modules())
    if len(set(layers)) != len(layers):
        raise ValueError(f"`layers` must name each layer once, got {', '.join(layers)}.")
    found = []
    for name in layers:
        site = readers.get(name)
        if site is None and name in modules and name:
            site = _output_site(name, modules[name], model, example)
        if site is None:
            raise ValueError(f"`layers` must name modules of the model whose tensors have channels, got {name!r}.")
        found.append(site)
    return found


def _readers(model: nn.Module) -> dict[str, Site]:
    axes: Mapping[str, Axis] = {group.layer: group.members[0] for group in input_groups(model)}
    modules = dict(model.named_modules())
    return {name: Site(name, modules.get(name, model), "input", axis.channels, axis) for name, axis in axes.items()}


def _output_site(name: str, module: nn.Module, model: nn.Module, example: Tensor) -> Site | None:
    """Return the site at a module's output; None where that is not one tensor with channels, or never computed."""
    seen: list[Any] = []
    handle = module.register_forward_hook(lambda _, given, result: seen.append(result))
    try:
        with torch.no_grad():
            model(example)
    finally:
        handle.remove()
    usable = bool(seen) and isinstance(seen[0], Tensor) and seen[0].dim() > 1
    return Site(name, module, "output", int(seen[0].shape[1]), None) if usable else None
