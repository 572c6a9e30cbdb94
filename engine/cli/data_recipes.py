"""Recipes: the options of a published experiment by name; options that are given beside it take their place.

Source of both: R. Upadhyay et al., "Less is More", arXiv 2308.12114, and the settings of its published code. What we
take for faults of that code is not repeated: one optimiser for the whole run, one weight decay, the penalty once, equal
weights of tasks, one checkpoint for all tasks. Its losses differ in part (ours: depth absolute error in metres, not
divided by the image's largest; normals without tanh), so do its heads for classes.

`--faithful` repeats those of its choices that a spec can say (`FAITHFUL`); `NOT_REPEATED` names the others.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from winnow.data.layouts.celeba import MASKS_3
from winnow.engine.specs.registry import entry

PAPER: Mapping[str, Any] = MappingProxyType(
    {
        "height": 256, "width": 256, "flips": False,
        "network": "residual", "block": "bottleneck", "stem": "large", "dilated": True,
        "widths": "64,128,256,512", "blocks": "3,4,6,3", "head": "aspp", "head_width": 256,
        "penalty": "group_lasso", "groups": "input", "scope": "trunk", "weights": "size",
        "optimiser": "adamw", "learning_rate": 1e-4, "weight_decay": 0.1, "schedule": "constant",
        "epochs": 1000, "keep": "best",
    }
)  # fmt: skip
"""What both experiments share: a dilated ResNet-D-50 from scratch, DeepLab heads, input groups of the trunk."""
RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "less-is-more-nyuv2": MappingProxyType(
            {
                **PAPER, "name": "less-is-more-nyuv2", "dataset": "nyu", "tasks": "seg,depth,normals",
                "batch_size": 16, "patience": 25, "strength": 1e-6,
            }
        ),
        "less-is-more-celeba": MappingProxyType(
            {
                **PAPER, "name": "less-is-more-celeba", "dataset": "celeba", "tasks": "seg,male,smiling",
                "batch_size": 32, "patience": 10, "strength": 1e-5,
            }
        ),
    }
)  # fmt: skip
UNTRAINED = math.exp(-1)  # weight of a task whose uncertainty is 1 and in no optimiser
FAITHFUL: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "less-is-more-nyuv2": MappingProxyType({"fresh_state": True}),
        "less-is-more-celeba": MappingProxyType({"fresh_state": True, "split_by": "random"}),
    }
)
"""What the published code does differently: it makes a new optimiser each epoch, and splits the faces at random. Both
also weigh each task by `UNTRAINED`."""
NOT_REPEATED = (
    "the penalty added to the loss beside its proximal step, second moments without bias correction in that step, "
    "batch norms updated once per task, early stopping of single tasks, its own checkpoint for each task, "
    "its losses of depth, normals and classes, its list of faces"
)


def with_recipe(name: str | None, given: Mapping[str, Any], faithful: bool = False) -> dict[str, Any]:
    """Return the options of a recipe, and those given instead of them; `faithful` adds `FAITHFUL`.

    Raises:
        ValueError: there is no such recipe, or `faithful` without one.

    """
    if name is None:
        if faithful:
            raise ValueError(f"`faithful` must come with --recipe, one of {', '.join(RECIPES)}, got none.")
        return dict(given)
    chosen = {option: value for option, value in given.items() if value is not None}
    recipe = {**entry(RECIPES, name, "recipe"), **(FAITHFUL[name] if faithful else {})}
    values = {**given, **recipe, **chosen}
    if faithful and values.get("task_weights") is None and values.get("balancing") is None:
        values["balancing"] = "static"
        values["task_weights"] = ",".join(f"{task}={UNTRAINED:.6g}" for task in values["tasks"].split(","))
    if values["dataset"] == "celeba" and not values.get("layout") and not _has_masks(values.get("root")):
        values["layout"] = "raw3"  # the experiment has three classes, which these files hold only when asked for
    return values


def _has_masks(root: str | None) -> bool:
    return bool(root) and Path(str(root)).expanduser().joinpath(MASKS_3).is_dir()
