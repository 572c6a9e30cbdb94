"""Who pays for a pruning: every image before and after, and pictures of those that lost most.

| table     | columns                                                                                           |
|-----------|---------------------------------------------------------------------------------------------------|
| `images`  | image, task, metric, unit, better, dense, sparse, changed, changed_unit (training.per_image)      |
| `classes` | image, task, class, name, intersection_dense, union_dense, intersection_sparse, union_sparse      |

Beside them is `spatial.safetensors` (explain.maps.store): targets, and predictions before (`dense`) and after.
"""

import pandas as pd
import torch
from torch import nn

from winnow.engine.explain.maps.pictures import factor, image_array, prediction_array, target_array
from winnow.engine.explain.maps.store import write_spatial
from winnow.engine.jobs.prune_report import Pruning, first_images
from winnow.engine.training.batches import Batch
from winnow.engine.training.per_image import MOST, judged_images

PICTURES = 8  # images
SIDE = 128  # the longest side of a stored image [pixel]


def write_who_pays(pruning: Pruning, small: nn.Module) -> None:
    """Write the tables and the pictures of a pruning whose final network is `small`."""
    tasks = {name: pruning.restored.tasks[name] for name in pruning.kept}
    images, classes = judged_images(
        {"dense": pruning.restored.net.eval(), "sparse": small.eval()}, tasks, pruning.validation
    )
    if images.empty:
        return
    pruning.writer.table("images", images)
    pruning.writer.table("classes", classes)
    _write_pictures(pruning, small, worst(images))


def worst(images: pd.DataFrame, count: int = PICTURES) -> list[int]:
    """Return the images that lost most, in turns of the tasks: first the worst of every task, then the second of each.

    Images without labels, and those that lost equally much, come in the order of how far their predictions moved.
    """
    sign = images["better"].map({"higher": 1.0, "lower": -1.0})
    ranked = images.assign(lost=sign * (images["dense"] - images["sparse"]))
    ranked = ranked.sort_values(["lost", "changed"], ascending=False, kind="stable", na_position="last")
    turns = ranked.assign(turn=ranked.groupby("task").cumcount()).sort_values("turn", kind="stable")
    return [int(number) for number in dict.fromkeys(turns["image"])][:count]


@torch.inference_mode()
def _write_pictures(pruning: Pruning, small: nn.Module, numbers: list[int]) -> None:
    shown = _gathered(first_images(pruning.validation, MOST), numbers)
    by = factor(shown.images.shape[-2], shown.images.shape[-1], SIDE)
    arrays = {"images": image_array(shown.images, by)}
    fields = {name: pruning.restored.tasks[name].field for name in pruning.kept}
    for part, net in (("dense", pruning.restored.net), ("prediction", small)):
        given = net(shown.images)
        arrays |= {f"{part}.{name}": prediction_array(field, given[name], by) for name, field in fields.items()}
    for name, field in fields.items():
        if name in shown.targets:
            arrays[f"target.{name}"] = target_array(field, shown.targets[name], by)
    index = {
        "images": numbers,
        "size": list(shown.images.shape[-2:]),
        "tasks": {n: {"kind": f.kind, "classes": list(f.classes), "unit": f.unit} for n, f in fields.items()},
        "layers": {},
    }
    write_spatial(pruning.writer.folder, arrays, index)


def _gathered(batches: list[Batch], numbers: list[int]) -> Batch:
    images = torch.cat([batch.images for batch in batches])[numbers]
    targets = {name: torch.cat([batch.targets[name] for batch in batches])[numbers] for name in batches[0].targets}
    return Batch(images, targets)
