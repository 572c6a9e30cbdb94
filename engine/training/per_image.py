"""Networks judged image by image, to see who pays for sparsity, and which class.

A mean over a split hides that a few images, or one class, bear the loss (Hooker et al., arXiv 1911.05248, 2010.03058).
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.data.sample import Field
from winnow.engine.runs.quantities import Metric, metrics
from winnow.engine.tasks.task import Task
from winnow.engine.tasks.unspecified import Unspecified
from winnow.engine.training.batches import Batches

MOST = 256  # images that are judged one by one
PERCENT, DEGREES = "%", "°"
Nets = Mapping[str, nn.Module]
Moved = Callable[[Tensor, Tensor], Tensor]


def _flipped(one: Tensor, other: Tensor) -> Tensor:
    return 100 * (one.argmax(1) != other.argmax(1)).float().reshape(len(one), -1).mean(1)


def _switched(one: Tensor, other: Tensor) -> Tensor:
    return 100 * ((one > 0) != (other > 0)).float().flatten(1).mean(1)


def _turned(one: Tensor, other: Tensor) -> Tensor:
    cosine = (functional.normalize(one, dim=1) * functional.normalize(other, dim=1)).sum(1).clamp(-1, 1)
    return torch.rad2deg(cosine.double().acos()).flatten(1).mean(1)


def _away(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).abs().flatten(1).mean(1)


MOVED: Mapping[str, Moved] = {
    "segmentation": _flipped,
    "classification": _flipped,
    "edges": _switched,
    "multilabel": _switched,
    "normals": _turned,
    "depth": _away,
    "regression": _away,
    "vector": _away,
    "map": _away,
}
"""By kind of task, how far two raw predictions are apart, (B,): flipped [%], turned [°], moved [unit ÷ scale]."""


@torch.inference_mode()
def judged_images(
    nets: Nets, tasks: Mapping[str, Task], batches: Batches, most: int = MOST
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what each image gets of each network, and the overlap of every class in each image.

    Args:
        nets: {name: network}; each gives the outputs of all `tasks`.
        tasks: those with targets; of a task that only has outputs there is nothing to judge.
        batches: the split; its first `most` images are judged.
        most: how many.

    Returns:
        Images: image (its number in the split), task, metric, unit, better, one column per network, NaN where the
        image has no label of the task; with two networks also changed and changed_unit: how far their predictions are
        apart, labels or not.
        Classes (segmentation): image, task, class, name, then intersection_<net> and union_<net> [pixel] per network.

    """
    rows: list[dict[str, object]] = []
    classes: list[pd.DataFrame] = []
    for first, images, targets in _few(batches, most):
        given = {name: net(images) for name, net in nets.items()}
        for task_name, task in tasks.items():
            metric = _main(task)
            if metric is None or task_name not in targets:
                continue
            predictions = {name: own[task_name] for name, own in given.items()}
            values = {name: _values(task, metric, own, targets[task_name]) for name, own in predictions.items()}
            moved = _moved(task.field, list(predictions.values()))
            for place in range(len(images)):
                named = {name: own[place] for name, own in values.items()}
                described = {"metric": metric.name, "unit": metric.unit or task.field.unit, "better": metric.better}
                rows.append({"image": first + place, "task": task_name, **described, **named, **moved(place)})
            if task.field.kind == "segmentation" and task.field.learner is None:
                classes += [_classes(task_name, task.field, predictions, targets[task_name], first)]
    return pd.DataFrame(rows), pd.concat(classes, ignore_index=True) if classes else pd.DataFrame(
        columns=["image", "task", "class", "name", *(f"{of}_{net}" for net in nets for of in ("intersection", "union"))]
    )


def _few(batches: Batches, most: int) -> Iterator[tuple[int, Tensor, Mapping[str, Tensor]]]:
    first = 0
    for batch in batches.in_order():
        left = min(most - first, len(batch.images))
        if left <= 0:
            return
        yield first, batch.images[:left], {name: target[:left] for name, target in batch.targets.items()}
        first += left


def _main(task: Task) -> Metric | None:
    if isinstance(task, Unspecified):
        return None
    return metrics(task.field)[0]


def _values(task: Task, metric: Metric, prediction: Tensor, target: Tensor) -> list[float]:
    """Return the metric of every image alone, NaN without a label."""
    found = []
    for place in range(len(target)):
        own = slice(place, place + 1)
        if not task.counts(target[own]).any():
            found.append(float("nan"))
            continue
        meter = task.meter()
        meter.update(prediction[own], target[own])
        found.append(meter.compute()[metric.name])
    return found


def _moved(field: Field, predictions: list[Tensor]) -> Callable[[int], dict[str, object]]:
    if len(predictions) != 2 or field.kind not in MOVED:
        return lambda place: {}
    if field.learner is not None:  # how far outputs of the user's own are apart is not known
        return lambda place: {"changed": float("nan"), "changed_unit": ""}
    far = MOVED[field.kind](*(own.float() for own in predictions)).cpu()
    unit = PERCENT if MOVED[field.kind] in (_flipped, _switched) else DEGREES if field.kind == "normals" else field.unit
    if MOVED[field.kind] is _away and field.kind != "depth":
        far = far * float(np.mean(field.scale))
    return lambda place: {"changed": float(far[place]), "changed_unit": unit}


def _classes(task: str, field: Field, predictions: Mapping[str, Tensor], target: Tensor, first: int) -> pd.DataFrame:
    """Return one row per image and class that is there or predicted."""
    count, images = len(field.classes), len(target)
    known = target >= 0
    labels = (torch.arange(images, device=target.device)[:, None, None] * count).expand_as(target)

    def per_class(values: Tensor, where: Tensor) -> np.ndarray:
        found = torch.bincount((labels + values)[where], minlength=images * count)
        return np.asarray(found.reshape(images, count).cpu())

    truth = per_class(target, known)
    frame = pd.DataFrame(
        {
            "image": first + np.repeat(np.arange(images), count),
            "task": task,
            "class": np.tile(np.arange(count), images),
            "name": np.tile(np.array(field.classes, object), images),
        }
    )
    for name, prediction in predictions.items():
        said = prediction.argmax(1)
        both = per_class(target, known & (said == target))
        frame[f"intersection_{name}"] = both.ravel()
        frame[f"union_{name}"] = (truth + per_class(said, known) - both).ravel()
    unions = frame[[f"union_{name}" for name in predictions]]
    return frame[(unions > 0).any(axis=1)].reset_index(drop=True)
