"""A probe: the model, the images, the objectives and the sites of a measurement, put together and checked once."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.inputs import as_batch, takes_one_input
from winnow.engine.explain.relevance.objectives import Loss, Objective, objectives
from winnow.engine.explain.relevance.refusals import NotAttributableError, stopped
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.explain.relevance.sites import Site, named_sites, recorded, shared_sites
from winnow.engine.graph.modes import evaluating, modules_called
from winnow.engine.graph.preserving import preserved
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batch, Batches

Tasks = Mapping[str, Task | Loss | None]
Images = Batches | Iterable[Any]

NO_GRADIENT = (
    "`model` must give outputs with gradients, got output `{}` with {}. Leave it out of the model's outputs, or name "
    "the others as `tasks`."
)


@dataclass(frozen=True)
class Probe:
    """A model and the images to measure it on: `batches()` yields them again each time, at most `chunk` at once.

    `left_out` names the layers that cannot be measured, and why.
    """

    model: nn.Module
    batches: Callable[[], Iterator[Batch]]
    objectives: Mapping[str, Objective]
    sites: tuple[Site, ...]
    settings: Settings
    left_out: Mapping[str, str] = field(default_factory=dict)

    def site(self, name: str) -> Site:
        """Return the site of a layer."""
        return next(site for site in self.sites if site.name == name)


def probe(
    model: nn.Module,
    batches: Images,
    *,
    layers: Sequence[str] | None = None,
    tasks: Tasks | None = None,
    settings: Settings | None = None,
) -> Probe:
    """Return the probe of a model.

    Args:
        model: any module. Its outputs are the tasks: a dict {task: tensor}, or any structure, whose tensors are then
            called by their paths ("decoder.depth", "0"; "output" where there is one tensor).
        batches: `engine.training.batches.Batches`, or batches that are `Batch`, pairs (inputs, {task: target}) or
            inputs alone. Inputs are one tensor, or a mapping of named or a tuple of positional ones. An iterator is
            read into memory once; anything else is read again for each pass.
        layers: names of layers; by default all that the tasks share.
        tasks: what the model's outputs are: `Task`s or functions (prediction, target) → (B,). By default those of
            `Batches`; without any, cross-entropy is taken for integer targets and squared error for others.
        settings: how to measure.

    Raises:
        ValueError: no images, an unknown layer, or a task without an output of the model.
        NotAttributableError: a layer named that no gradient reaches, or a model without a backward pass.

    """
    settings = settings or Settings()
    source = _source(batches)
    first = next(_chunked(source, settings), None)
    if first is None:
        raise ValueError("`batches` must hold at least one image, got none.")
    one = first.images[:1]  # enough to see the model's outputs
    with preserved(model), evaluating(model), modules_called(), torch.no_grad():
        model = takes_one_input(model, first)
        given = model(one)
        named = _tasks(given, tasks or getattr(batches, "tasks", None))
        explained = objectives(named, settings.of)
        few = first.images[:4]
        sites, left_out = (named_sites(model, layers, few), {}) if layers else shared_sites(model, few)
    sites, lost = _with_gradients(model, sites, one, named=bool(layers))
    left_out = {**left_out, **lost}
    if not sites:
        reasons = (
            "; ".join(f"{name}: {why}" for name, why in left_out.items()) or "it has no convolution or linear layer"
        )
        raise ValueError(f"`model` must have a layer that can be explained, got none. {reasons}.")
    found = Probe(model, lambda: _chunked(source, settings), explained, tuple(sites), settings, left_out)
    if layers or isinstance(getattr(model, "trunk", None), nn.Module):
        return found
    return replace(found, sites=_shared(found, first, lost))


def _with_gradients(
    model: nn.Module, sites: Sequence[Site], images: Tensor, named: bool
) -> tuple[list[Site], dict[str, str]]:
    """Return the sites that a gradient reaches, and why it does not reach the others; of those named, all must be."""
    lost = stopped(model, sites, images)
    if lost and named:
        name, why = next(iter(lost.items()))
        raise NotAttributableError(f"`layers` must name layers that can be explained, got {name!r}: {why}.")
    return [site for site in sites if site.name not in lost], lost


def _shared(found: Probe, first: Batch, lost: Mapping[str, str]) -> tuple[Site, ...]:
    """Return the sites that several outputs depend on."""
    shared = _used_by_several(found, first)
    if shared:
        return shared
    names = ", ".join(site.name for site in found.sites)
    others = "".join(f" {name}: {why}." for name, why in lost.items())
    raise ValueError(
        f"`model` must have a layer that several of its outputs depend on, got none: {names} serve one each. "
        f"Name them as `layers` to explain them.{others}"
    )


def warn_of_left_out(probed: Probe) -> None:
    """Warn of layers that are not among the results, by name."""
    if probed.left_out:
        reasons = "; ".join(f"{name}: {why}" for name, why in probed.left_out.items())
        warnings.warn(f"Some layers are left out. {reasons}.", stacklevel=3)


def restricted(probed: Probe, *, images: int | None = None, sites: Sequence[Site] | None = None) -> Probe:
    """Return the same on fewer images or at fewer sites."""
    settings = replace(probed.settings, images=images or probed.settings.images)
    own = tuple(probed.sites if sites is None else sites)
    return replace(probed, batches=lambda: _chunked(probed.batches, settings), sites=own, settings=settings)


def _source(batches: Images) -> Callable[[], Iterable[Any]]:
    if isinstance(batches, Batches):
        return batches.in_order
    kept: Iterable[Any] = list(batches) if isinstance(batches, Iterator) else batches
    return lambda: kept


def _chunked(source: Callable[[], Iterable[Any]], settings: Settings) -> Iterator[Batch]:
    left = settings.images
    for given in source():
        batch = as_batch(given)
        count = len(batch.images) if left is None else min(left, len(batch.images))
        for first in range(0, count, settings.chunk):
            part = slice(first, min(first + settings.chunk, count))
            yield Batch(batch.images[part], {name: target[part] for name, target in batch.targets.items()})
        left = None if left is None else left - count
        if left == 0:
            return


def _tasks(given: Mapping[str, Tensor], tasks: Tasks | None) -> dict[str, Any]:
    found = dict.fromkeys(given) if tasks is None else dict(tasks)
    if unknown := [name for name in found if name not in given]:
        raise ValueError(f"`tasks` must be outputs of the model, {', '.join(given)}, got {', '.join(unknown)}.")
    for name in found:
        if not given[name].is_floating_point():
            raise ValueError(NO_GRADIENT.format(name, f"{given[name].dtype}"))
    return found


def _used_by_several(found: Probe, batch: Batch) -> tuple[Site, ...]:
    """Return the sites that at least two tasks depend on; all sites that the task depends on where there is one."""
    least = min(2, len(found.objectives))
    with frozen_model(found.model), torch.enable_grad(), recorded(found.sites) as kept:
        predictions = found.model(batch.images[:1])
        counts = dict.fromkeys(kept, 0)
        calls = {name: [tensor for tensor in own if tensor.requires_grad] for name, own in kept.items()}
        tensors = {name: own[0] for name, own in calls.items() if own}
        for name in found.objectives:
            if not predictions[name].requires_grad:
                raise ValueError(NO_GRADIENT.format(name, "no gradient"))
            grads = torch.autograd.grad(
                predictions[name].sum(), list(tensors.values()), retain_graph=True, allow_unused=True
            )
            for site, grad in zip(tensors, grads, strict=True):
                counts[site] += grad is not None
    return tuple(site for site in found.sites if counts[site.name] >= least)
