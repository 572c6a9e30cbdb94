"""The validation images of a recorded run: the user's batches, and the sample of them that is kept with the run.

With the sample, a run is pruned and explained without the user's data:

sample/val.safetensors   images (N, C, H, W) as the network takes them, and target.<task> (N, …)
sample/val.json          the manifest: {format_version, images, targets (names of tasks), bytes, sha256}
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from winnow.data.sample import Field
from winnow.data.stacking import Stacked
from winnow.engine.graph.modes import evaluating
from winnow.engine.jobs.loop_values import fitting_images, fitting_target
from winnow.engine.runs.digests import digest, verified
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.reading import read_object, taken_apart
from winnow.engine.runs.run import Run
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batch

Metrics = dict[str, dict[str, float]]
FOLDER, MANIFEST, IMAGES = "sample", "val.json", "images"
LARGEST = 64  # images


def write_sample(folder: Path, images: Tensor, targets: Mapping[str, Tensor]) -> None:
    """Store images (N, C, H, W) and the targets of the tasks in a run's folder, the manifest last."""
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    tensors = {IMAGES: images, **{f"target.{name}": target for name, target in targets.items()}}
    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})
    replace((place / MANIFEST).with_suffix(".safetensors"), content)
    known = {"images": len(images), "targets": list(targets)}
    manifest = {"format_version": 1, **known, "bytes": len(content), "sha256": digest(content)}
    replace_json(place / MANIFEST, manifest)


def read_sample(run: Run, split: str) -> Stacked:
    """Return the sample of a recorded run: images (N, H, W, C), and targets by task; {} where none were stored.

    Raises:
        ValueError: another split than val, no sample, or a damaged one.

    """
    if split != "val":
        raise ValueError(
            f"`split` must be val for a recorded run, got {split}: only a sample of its validation images is stored."
        )
    manifest = run.path / FOLDER / MANIFEST
    if not manifest.is_file():
        raise ValueError(
            f"`run` must hold a sample of images, got none in {run.id}. Give record() an `example` of images, "
            "(B, C, H, W), or a `loader`."
        )
    content = verified(manifest)
    if content is None or read_object(manifest).get("format_version") != 1:
        raise ValueError(f"`run` must hold its sample as it was stored, got a damaged one in {run.id}.")
    with taken_apart(manifest):
        tensors = _tensors(content)
        images = tensors.pop(IMAGES).float().permute(0, 2, 3, 1).contiguous()
    return Stacked(images.numpy(), {name.removeprefix("target."): own.numpy() for name, own in tensors.items()})


def _tensors(content: bytes) -> dict[str, Tensor]:
    try:
        return load(content)
    except SafetensorError as error:  # a digest that agrees with bytes that are no tensors
        raise ValueError(str(error)) from error


def sampled_targets(run: Run) -> list[str]:
    """Return the tasks whose targets are in the sample of a recorded run; none without a sample."""
    manifest = run.path / FOLDER / MANIFEST
    with taken_apart(manifest):
        return [str(task) for task in read_object(manifest)["targets"]] if manifest.is_file() else []


@dataclass(frozen=True)
class Loader:
    """Batches of a loader that can be read again and again: (images, {task: target}), with one task the target alone.

    `counts` is what each task's loss divides by over all of them, `sample` the first images with their targets.
    """

    loader: Iterable[Any]
    told: "ToldBatches"
    device: torch.device
    counts: Mapping[str, Tensor]
    sample: Batch

    @classmethod
    def read(cls, loader: Iterable[Any], told: "ToldBatches", device: torch.device, keep: int) -> "Loader":
        """Read a loader once, look at every value, and keep its first images, those of one size.

        Raises:
            ValueError: it can be read only once, is empty, or holds other batches.

        """
        if isinstance(loader, Iterator):
            raise ValueError("`loader` must be readable again after each epoch, got an iterator. Give the DataLoader.")
        if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
            raise ValueError(f"`loader` must be a DataLoader or a list of batches, got {type(loader).__name__}.")
        tasks = told.tasks
        counts: dict[str, Tensor] = {}
        images: list[Tensor] = []
        targets: dict[str, list[Tensor]] = {name: [] for name in tasks}
        kept = 0
        for given in _quietly(loader):
            batch = told.batch(given, values=True)
            for name, task in tasks.items():
                own = task.counts(batch.targets[name]).cpu()
                counts[name] = counts[name] + own if name in counts else own
            if kept < keep and (not images or images[0].shape[1:] == batch.images.shape[1:]):
                images.append(batch.images[: keep - kept].cpu())
                for name in tasks:
                    targets[name].append(batch.targets[name][: keep - kept].cpu())
                kept += len(images[-1])
        if not images:
            raise ValueError("`loader` must hold at least one batch, got none.")
        sample = Batch(torch.cat(images), {name: torch.cat(own) for name, own in targets.items()})
        return cls(loader, told, device, counts, sample)

    @torch.no_grad()
    def metrics(self, net: nn.Module, first: bool = False) -> Metrics:
        """Return {task: {loss and metrics}} over all batches; NaN for a task without labels.

        A loss is NaN where the loader gave other labels than when it was first read: what it divides by is not known.

        Raises:
            ValueError: that is so at the `first` time.

        """
        tasks = self.told.tasks
        meters = {name: task.meter() for name, task in tasks.items()}
        losses, counts = dict.fromkeys(tasks, 0.0), {name: torch.zeros_like(own) for name, own in self.counts.items()}
        with evaluating(net):
            for given in _quietly(self.loader):
                batch = self.told.batch(given)
                predictions = net(batch.images.to(self.device))
                for name, task in tasks.items():
                    own, target = predictions[name].float(), batch.targets[name].to(self.device)
                    losses[name] += float(task.loss(own, target, self.counts[name].to(self.device)))
                    meters[name].update(own, target)
                    counts[name] += task.counts(target).cpu()
        for name in self._other(counts, first):
            losses[name] = math.nan
        found = {name: {"loss": losses[name], **meters[name].compute()} for name in tasks}
        return {name: own if self.counts[name].any() else dict.fromkeys(own, math.nan) for name, own in found.items()}

    def _other(self, counts: Mapping[str, Tensor], refused: bool) -> list[str]:
        """Return the tasks that had other numbers of labels when the loader was first read; raise where `refused`."""
        other = [name for name, own in counts.items() if not torch.equal(own, self.counts[name])]
        if other and refused:
            found = " and then ".join(str(int(own[other[0]].sum())) for own in (self.counts, counts))
            raise ValueError(
                f"`loader` must give the same images each time it is read, got {found} labels of {other[0]}. Leave out "
                "augmentation, random sampling, and drop_last with shuffle."
            )
        return other


def _quietly(loader: Iterable[Any]) -> Iterator[Any]:
    """Yield the batches of a loader; torch's random numbers are then as they were.

    A DataLoader draws from them: without this, a loop that is recorded would train otherwise than one that is not.
    """
    with torch.random.fork_rng(devices=[]):
        yield from loader


@dataclass(frozen=True)
class ToldBatches:
    """How the batches of a loader must be: images like `example`, targets of the tasks; those of `fields` are known."""

    tasks: Mapping[str, Task]
    fields: Mapping[str, Field]
    example: Tensor

    def batch(self, given: Any, values: bool = False) -> Batch:
        """Return a batch as losses take it; with `values`, every value has been looked at.

        Raises:
            ValueError: it is of another form, shape or type, or holds a value that its field cannot have.

        """
        batch = batch_of(given, tuple(self.tasks))
        images = fitting_images(batch.images, self.example)
        known = {
            name: fitting_target(name, field, batch.targets[name], images, values)
            for name, field in self.fields.items()
        }
        return Batch(images, {**batch.targets, **known})


def batch_of(given: Any, tasks: tuple[str, ...]) -> Batch:
    """Return a batch of a user's loader.

    Raises:
        ValueError: it is no pair of images and targets, or lacks the target of a task.

    """
    try:
        images, targets = given
    except (TypeError, ValueError):
        raise ValueError(
            f"`loader` must give pairs (images, {{task: target}}), got {type(given).__name__}. Wrap it in a class "
            "whose __iter__ gives such pairs."
        ) from None
    if isinstance(targets, Tensor) and len(tasks) == 1:
        targets = {tasks[0]: targets}
    if not isinstance(images, Tensor) or not isinstance(targets, Mapping):
        found = f"({type(images).__name__}, {type(targets).__name__})"
        raise ValueError(
            f"`loader` must give pairs (images, {{task: target}}) of tensors, got {found}. Wrap it in a class whose "
            "__iter__ names the targets."
        )
    if missing := [name for name in tasks if name not in targets]:
        raise ValueError(f"`loader` must give a target for each task, got none for {', '.join(missing)}.")
    if other := [f"{name} {type(targets[name]).__name__}" for name in tasks if not isinstance(targets[name], Tensor)]:
        raise ValueError(
            f"`loader` must give targets as tensors, got {', '.join(other)}. Where a label is missing, give -1 for a "
            "class and NaN for a number; for names of classes give their places in `classes`."
        )
    return Batch(images, {name: targets[name] for name in tasks})
