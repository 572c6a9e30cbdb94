"""A probe: the model, the images, the objectives and the sites of a measurement, put together and checked once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.objectives import Loss, Objective, objectives
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.explain.relevance.sites import Site, named_sites, recorded, shared_sites
from winnow.engine.graph.modes import evaluating
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batch, Batches

Tasks = Mapping[str, Task | Loss | None]
Images = Batches | Iterable[Any]


@dataclass(frozen=True)
class Probe:
    """A model and the images to measure it on: `batches()` yields them again each time, at most `chunk` at once."""

    model: nn.Module
    batches: Callable[[], Iterator[Batch]]
    objectives: Mapping[str, Objective]
    sites: tuple[Site, ...]
    settings: Settings

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
        model: any module whose forward returns a dict {task: tensor}.
        batches: `engine.training.batches.Batches`, or batches that are `Batch`, pairs (images, {task: target}) or
            images alone. An iterator is read into memory once; anything else is read again for each pass.
        layers: names of layers; by default all that the tasks share.
        tasks: what the model's outputs are: `Task`s or functions (prediction, target) → (B,). By default those of
            `Batches`; without any, cross-entropy is taken for integer targets and squared error for others.
        settings: how to measure.

    Raises:
        ValueError: no images, an unknown layer, or a task without an output of the model.

    """
    settings = settings or Settings()
    source = _source(batches)
    first = next(_chunked(source, settings), None)
    if first is None:
        raise ValueError("`batches` must hold at least one image, got none.")
    one = first.images[:1]  # enough to see the model's outputs
    with evaluating(model), torch.no_grad():
        given = model(one)
        named = _tasks(given, tasks or getattr(batches, "tasks", None))
        explained = objectives(named, settings.of)
        sites = named_sites(model, layers, one) if layers else shared_sites(model, one)
    found = Probe(model, lambda: _chunked(source, settings), explained, tuple(sites), settings)
    if not layers and not isinstance(getattr(model, "trunk", None), nn.Module):
        return Probe(model, found.batches, explained, _used_by_several(found, first), settings)
    return found


def restricted(probed: Probe, *, images: int | None = None, sites: Sequence[Site] | None = None) -> Probe:
    """Return the same on fewer images or at fewer sites."""
    settings = replace(probed.settings, images=images or probed.settings.images)
    own = tuple(probed.sites if sites is None else sites)
    return Probe(probed.model, lambda: _chunked(probed.batches, settings), probed.objectives, own, settings)


def _source(batches: Images) -> Callable[[], Iterable[Any]]:
    if isinstance(batches, Batches):
        return batches.in_order
    kept: Iterable[Any] = list(batches) if isinstance(batches, Iterator) else batches
    return lambda: kept


def _chunked(source: Callable[[], Iterable[Any]], settings: Settings) -> Iterator[Batch]:
    left = settings.images
    for given in source():
        batch = _batch(given)
        count = len(batch.images) if left is None else min(left, len(batch.images))
        for first in range(0, count, settings.chunk):
            part = slice(first, min(first + settings.chunk, count))
            yield Batch(batch.images[part], {name: target[part] for name, target in batch.targets.items()})
        left = None if left is None else left - count
        if left == 0:
            return


def _batch(given: Any) -> Batch:
    if isinstance(given, Batch):
        return given
    if isinstance(given, Tensor):
        return Batch(given, {})
    images, targets = given
    return Batch(images, dict(targets))


def _tasks(given: Mapping[str, Tensor], tasks: Tasks | None) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"`model` must return a dict {{task: tensor}}, got {type(given).__name__}.")
    if tasks is None:
        return dict.fromkeys(given)
    if unknown := [name for name in tasks if name not in given]:
        raise ValueError(f"`tasks` must be outputs of the model, {', '.join(given)}, got {', '.join(unknown)}.")
    return dict(tasks)


def _used_by_several(found: Probe, batch: Batch) -> tuple[Site, ...]:
    """Return the sites that at least two tasks depend on; all sites that the task depends on where there is one."""
    least = min(2, len(found.objectives))
    with frozen_model(found.model), torch.enable_grad(), recorded(found.sites) as kept:
        predictions = found.model(batch.images[:1])
        counts = dict.fromkeys(kept, 0)
        tensors = {name: calls[0] for name, calls in kept.items() if calls}
        for name in found.objectives:
            grads = torch.autograd.grad(
                predictions[name].sum(), list(tensors.values()), retain_graph=True, allow_unused=True
            )
            for site, grad in zip(tensors, grads, strict=True):
                counts[site] += grad is not None
    return tuple(site for site in found.sites if counts[site.name] >= least)
