"""A split is judged alike in batches of any size; what has no label has no number, and what is NaN stays NaN."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from winnow.data.sample import Field
from winnow.data.stacking import Stacked
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.divergence import NonFiniteLossError, refuse_diverged
from winnow.engine.training.evaluate import labelled, validated

FIELDS = {
    "class": Field(kind="classification", classes=("x", "y", "z")),
    "seg": Field(kind="segmentation", classes=("x", "y")),
    "depth": Field(kind="depth", unit="m"),
    "normals": Field(kind="normals"),
    "edges": Field(kind="edges"),
}


class Fixed(nn.Module):
    """Predicts the same for an image in any batch."""

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        level = self.value * x.mean((1, 2, 3))
        dense = level[:, None, None, None]
        return {
            "class": level[:, None] * torch.tensor([0.3, -0.2, 0.1]),
            "seg": dense * torch.tensor([0.4, -0.3])[None, :, None, None].expand(-1, -1, 4, 4),
            "depth": dense.expand(-1, 1, 4, 4) + 1,
            "normals": dense * torch.tensor([0.1, 0.2, 1.0])[None, :, None, None].expand(-1, -1, 4, 4),
            "edges": dense.expand(-1, 1, 4, 4),
        }


def split(known: int, size: int = 7) -> Batches:
    """Return 20 images, the first `known` of which have labels."""
    chance = np.random.default_rng(0)
    normals = chance.normal(size=(20, 4, 4, 3)).astype(np.float32)
    targets = {
        "class": chance.integers(0, 3, 20),
        "seg": chance.integers(0, 2, (20, 4, 4)),
        "depth": chance.uniform(1, 3, (20, 4, 4)).astype(np.float32),
        "normals": normals / np.linalg.norm(normals, axis=-1, keepdims=True),
        "edges": chance.integers(0, 2, (20, 4, 4)),
    }
    for name, target in targets.items():
        target[known:] = -1 if name in ("class", "seg", "edges") else 0
    images = chance.uniform(0, 1, (20, 8, 8, 3)).astype(np.float32)
    return Batches(Stacked(images, targets), build_tasks(FIELDS, [*FIELDS]), size, torch.device("cpu"))


def test_a_loss_is_that_of_the_whole_split_at_every_size_of_the_batches():
    found = [validated(Fixed(), split(6).tasks, split(6, size)) for size in (1, 2, 6, 7, 20)]
    for other in found[1:]:
        for name, values in other.items():
            assert values == pytest.approx(found[0][name], rel=1e-5), name


def test_a_task_without_labels_has_no_number():
    batches = split(0)
    for name, values in validated(Fixed(), batches.tasks, batches).items():
        assert not labelled(batches.tasks[name], batches, name).any()
        assert all(math.isnan(value) for value in values.values()), name
        assert all(math.isnan(value) for value in batches.tasks[name].meter().compute().values()), name


def test_predictions_that_are_nan_have_no_metric():
    batches = split(6)
    for name, values in validated(Fixed(math.nan), batches.tasks, batches).items():
        assert all(math.isnan(value) for value in values.values()), (name, values)


def test_weights_and_losses_that_are_none_are_named():
    net = nn.ModuleDict({"trunk": nn.Linear(2, 2), "heads": nn.ModuleDict({"depth": nn.Linear(2, 1)})})
    refuse_diverged(net, {"depth": {"loss": 1.0}}, "epoch 1, step 9")
    with pytest.raises(NonFiniteLossError, match=r"validation loss became NaN at epoch 1, step 9 \(task depth\)"):
        refuse_diverged(net, {"depth": {"loss": math.nan}}, "epoch 1, step 9")
    nn.init.constant_(net["heads"]["depth"].bias, math.inf)
    with pytest.raises(NonFiniteLossError, match=r"became infinite at epoch 2, step 9 \(task depth, heads.depth.bias"):
        refuse_diverged(net, {}, "epoch 2, step 9")
    nn.init.constant_(net["trunk"].weight, math.nan)
    with pytest.raises(NonFiniteLossError, match=r"weights became NaN at epoch 2, step 9 \(trunk.weight\)"):
        refuse_diverged(net, {}, "epoch 2, step 9")
