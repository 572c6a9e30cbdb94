"""Recipes: the options of a published experiment by name; options that are given beside it take their place.

Source of both: R. Upadhyay et al., "Less is More", arXiv 2308.12114, and the settings of its published code. What is
called a fault of that code in its own analysis is not repeated: one optimiser for the whole run, one weight decay, the
penalty once, weights of tasks that are fixed, one checkpoint for all tasks. Its losses differ in part (ours: depth
absolute error in metres, not divided by the image's largest; normals without tanh), so do its heads for classes.
"""

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


def with_recipe(name: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a recipe, and those given instead of them.

    Raises:
        ValueError: there is no such recipe.

    """
    if name is None:
        return dict(given)
    chosen = {option: value for option, value in given.items() if value is not None}
    values = {**given, **entry(RECIPES, name, "recipe"), **chosen}
    if values["dataset"] == "celeba" and not values.get("layout") and not _has_masks(values.get("root")):
        values["layout"] = "raw3"  # the experiment has three classes, which these files hold only when asked for
    return values


def _has_masks(root: str | None) -> bool:
    return bool(root) and Path(str(root)).expanduser().joinpath(MASKS_3).is_dir()
