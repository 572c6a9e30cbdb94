"""Batches from memory: order and flips of an epoch are pure functions of (seed, epoch), so any can be redone."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.data.stacking import Stacked
from winnow.engine.tasks.task import Task
from winnow.engine.training.distributed.ranks import ALONE, Ranks
from winnow.engine.training.zooming import window_at, zoomed

HELD_OUT = 1  # seeds which images are held out; the order of an epoch has the two numbers (seed, epoch)


@dataclass(frozen=True)
class Batch:
    """Images (B, C, H, W) in [0, 1], channels last in memory, and the targets of each task."""

    images: Tensor
    targets: dict[str, Tensor]


class Batches:
    """A stacked split as batches on a device."""

    def __init__(self, stacked: Stacked, tasks: Mapping[str, Task], size: int, device: torch.device) -> None:
        self._images = torch.from_numpy(stacked.images)
        self._targets = {name: torch.from_numpy(stacked.targets[name]) for name in tasks}
        self._tasks, self._size, self._device = tasks, size, device
        self._turns = stacked.turns or (len(stacked.images),)

    @property
    def steps(self) -> int:
        """Full batches per epoch; an incomplete one is left out of training."""
        return sum(length // self._size for length in self._turns)

    @property
    def shortest_part(self) -> int:
        """How many images the smallest of the parts has that no batch mixes."""
        return min(self._turns)

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self._images)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks that the targets belong to."""
        return self._tasks

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return int(self._images.shape[3])

    @property
    def device(self) -> torch.device:
        """Where the batches come to lie."""
        return self._device

    def parted(self, share: float, seed: int) -> "tuple[Batches, Batches]":
        """Return the batches without a random share of the images, and those of that share; both keep their order.

        Raises:
            ValueError: one of the two would have no full batch.

        """
        held = [round(share * length) for length in self._turns]
        least = min(min(own, length - own) for own, length in zip(held, self._turns, strict=True))
        if least < self._size:
            needed, shortest = math.ceil(100 * self._size / self.shortest_part) / 100, self.shortest_part
            mend = f"Give {needed:g} to {1 - needed:g}" if needed <= 0.5 else "Give a smaller --batch-size"
            raise ValueError(
                f"`held_out` must give both parts a full batch of {self._size} of the {shortest} training images, got "
                f"{share:g} of them. {mend}."
            )
        chance, starts = np.random.default_rng([seed, 0, HELD_OUT]), np.cumsum([0, *self._turns[:-1]])
        orders = [start + chance.permutation(length) for start, length in zip(starts, self._turns, strict=True)]
        rest = [np.sort(order[own:]) for order, own in zip(orders, held, strict=True)]
        return self._only(rest), self._only([np.sort(order[:own]) for order, own in zip(orders, held, strict=True)])

    def _only(self, parts: Sequence[NDArray[np.int64]]) -> "Batches":
        """Return some of the images, by the parts that no batch mixes."""
        other, places = copy.copy(self), torch.from_numpy(np.concatenate(parts))
        other._images, other._turns = self._images[places], tuple(map(len, parts))
        other._targets = {name: target[places] for name, target in self._targets.items()}
        return other

    def example(self) -> Tensor:
        """Return the first image as a batch of one."""
        return self._take(torch.arange(1)).images

    def target(self, task: str) -> Tensor:
        """Return all targets of a task."""
        return self._targets[task]

    def one_colour(self) -> bool:
        """Return whether all values of all images are the same."""
        return bool(self._images.min() == self._images.max())

    def one_value(self, task: str) -> bool:
        """Return whether all labels of a task are the same; what is missing (NaN, -1 of a class) is no label."""
        target = self._targets[task]
        known = target[target.isfinite() if target.is_floating_point() else target >= 0]
        return bool(known.numel()) and bool(known.min() == known.max())

    def shuffled(
        self, seed: int, epoch: int, flips: bool, skip: int = 0, ranks: Ranks = ALONE, zoom: float = 1.0
    ) -> Iterator[Batch]:
        """Yield the batches of a training epoch from batch `skip` on; with `flips`, half of the images mirrored.

        With `zoom` above 1, a random part of each image is enlarged by a factor from 1 to `zoom`.

        Parts that no batch mixes take turns.

        Of several `ranks`, each gets its own images of every batch, in turn: micro-batches of all of them are those of
        one alone, where the numbers divide.
        """
        chance = np.random.default_rng([seed, epoch])
        order = torch.from_numpy(self._order(chance))
        mirrored = torch.from_numpy(chance.random(len(self._images)) < 0.5)
        places = torch.from_numpy(chance.random((len(self._images), 3)))  # factor, row and column of the part
        flips = flips and all(task.field.dense for task in self._tasks.values())
        for first in range(skip * self._size, self.steps * self._size, self._size):
            own = torch.arange(first + ranks.index, first + self._size, ranks.count)
            batch = self._take(order[own])
            batch = self._zoom(batch, places[own], zoom) if zoom > 1 else batch
            yield self._mirror(batch, mirrored[own].to(self._device)) if flips else batch

    def _order(self, chance: np.random.Generator) -> NDArray[np.int64]:
        """Return the images of an epoch; of several parts, whole batches of each, evenly spread over the epoch."""
        starts = np.cumsum([0, *self._turns[:-1]])
        parts: list[NDArray[np.int64]] = [
            start + chance.permutation(length) for start, length in zip(starts, self._turns, strict=True)
        ]
        if len(parts) == 1:
            return parts[0]
        whole = [part[: len(part) // self._size * self._size].reshape(-1, self._size) for part in parts]
        due = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in whole])
        order: NDArray[np.int64] = np.concatenate(whole)[np.argsort(due, kind="stable")].ravel()
        return order

    def in_order(self, ranks: Ranks = ALONE) -> Iterator[Batch]:
        """Yield all samples once, in order; of several `ranks`, each gets every so many-th batch."""
        for indices in torch.split(torch.arange(len(self._images)), self._size)[ranks.index :: ranks.count]:
            yield self._take(indices)

    def _take(self, indices: Tensor) -> Batch:
        images = self._images[indices].to(self._device).permute(0, 3, 1, 2)
        images = images.float().div_(255) if images.dtype == torch.uint8 else images
        targets = {name: _wide(target[indices].to(self._device)) for name, target in self._targets.items()}
        return Batch(images, targets)

    def _zoom(self, batch: Batch, places: Tensor, zoom: float) -> Batch:
        height, width = batch.images.shape[-2:]
        parts = [
            window_at(height, width, 1 + (zoom - 1) * factor, (row, column)) for factor, row, column in places.tolist()
        ]
        fields = {name: task.field for name, task in self._tasks.items()}
        return Batch(*zoomed(batch.images, batch.targets, fields, parts))

    def _mirror(self, batch: Batch, chosen: Tensor) -> Batch:
        def either(mirrored: Tensor, plain: Tensor) -> Tensor:
            return torch.where(chosen.view(-1, *[1] * (plain.dim() - 1)), mirrored, plain)

        targets = {name: either(self._tasks[name].mirror(t), t) for name, t in batch.targets.items()}
        return Batch(either(batch.images.flip(3), batch.images), targets)


def _wide(target: Tensor) -> Tensor:
    """Return classes as int64, which losses need; in memory they may take fewer bytes."""
    return target if target.is_floating_point() else target.long()
