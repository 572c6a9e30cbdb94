"""What is not labelled takes no part in losses, counts, metrics and gradients, whatever the kind of target."""

import math

import numpy as np
import pytest
import torch

from winnow.data.kinds import KINDS
from winnow.data.sample import Field, Sample
from winnow.data.stacking import stack
from winnow.data.validation import validate
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batches
from winnow.engine.training.evaluate import validated

NAMES = ("a", "b", "c")
FIELDS = {kind: Field(kind=kind, classes=NAMES, scale=2.0) for kind in KINDS if kind != "unspecified"}
FIELDS |= {
    f"weighted {kind}": Field(kind=kind, classes=NAMES, weights=(0.5, 1, 3)) for kind in KINDS if KINDS[kind].weighted
}
N, SIDE = 6, 5


def target(field: Field, generator: np.random.Generator, share: float) -> np.ndarray:
    """Return a target of which a share, drawn entry by entry, is known."""
    kind = KINDS[field.kind]
    shape = kind.shape((SIDE, SIDE), len(field.classes))
    if kind.whole:
        values = generator.integers(0, kind.levels or len(field.classes), shape)
    else:
        values = generator.uniform(0.5, 3, shape).astype(np.float32)
    if field.kind == "normals":
        values /= np.linalg.norm(values, axis=-1, keepdims=True)
        return values * (generator.random(shape[:-1]) < share)[..., None].astype(np.float32)
    return np.where(generator.random(shape) < share, values, kind.missing).astype(values.dtype)


class Partly:
    """Images of which some are labelled, some in part, and some not at all."""

    name = "partly"
    fields = FIELDS

    def __len__(self) -> int:
        return N

    def sample(self, index: int) -> Sample:
        generator = np.random.default_rng(index)
        image = generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        share = (1.0, 0.0, 0.6)[index % 3]
        return Sample(image, {name: target(field, generator, share) for name, field in FIELDS.items()})


class Fixed(torch.nn.Module):
    """Predicts from a table that knows each image by its sum."""

    def __init__(self, tasks: dict[str, Task]) -> None:
        super().__init__()
        self.tasks = tasks

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        for name, task in self.tasks.items():
            ramp = torch.arange(1.0, task.outputs + 1)
            plain = torch.sin(9 * images.mean((1, 2, 3)))[:, None] + ramp.cos()
            dense = torch.sin(9 * images.mean(1))[:, None] + ramp.cos().view(1, -1, 1, 1)
            found[name] = dense if task.field.dense else plain
        return found


def batches(size: int) -> Batches:
    return Batches(stack(Partly(), list(FIELDS)), build_tasks(FIELDS, list(FIELDS)), size, torch.device("cpu"))


def test_missing_values_pass_the_check_of_every_kind():
    for name, field in FIELDS.items():
        kind = KINDS[field.kind]
        unknown = kind.unknown((SIDE, SIDE), len(field.classes))
        validate(Sample(np.zeros((SIDE, SIDE, 3), np.uint8), {name: unknown}), {name: field}, "unknown")


def test_losses_and_metrics_of_a_split_do_not_depend_on_the_batches():
    tasks = build_tasks(FIELDS, list(FIELDS))
    found = [validated(Fixed(tasks), tasks, batches(size)) for size in (2, 4, 6)]
    for other in found[1:]:
        for name in FIELDS:
            assert other[name] == pytest.approx(found[0][name], rel=1e-5), name
    assert all(math.isfinite(value) for own in found[0].values() for value in own.values())


@pytest.mark.parametrize("name", FIELDS)
def test_what_is_missing_has_no_gradient_and_adds_nothing(name: str):
    task = build_tasks(FIELDS, [name])[name]
    generator = np.random.default_rng(1)
    values = torch.from_numpy(np.stack([target(FIELDS[name], generator, share) for share in (0.6, 0.0, 1.0)]))
    shape = (3, task.outputs, SIDE, SIDE) if task.field.dense else (3, task.outputs)
    prediction = torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = task.loss(prediction, values)
    loss.backward()
    assert prediction.grad is not None
    assert prediction.grad[1].abs().max() == 0
    assert prediction.grad[2].abs().max() > 0
    assert prediction.grad.isfinite().all()
    alone = [task.loss(prediction[i : i + 1], values[i : i + 1], task.counts(values)) for i in range(3)]
    torch.testing.assert_close(sum(alone), loss)
    torch.testing.assert_close(task.constant(values).isfinite().all(), torch.tensor(True))


@pytest.mark.parametrize("name", FIELDS)
def test_a_target_without_any_label_has_loss_zero_and_no_metric(name: str):
    task = build_tasks(FIELDS, [name])[name]
    none = torch.from_numpy(np.stack([KINDS[task.field.kind].unknown((SIDE, SIDE), 3)] * 2))
    shape = (2, task.outputs, SIDE, SIDE) if task.field.dense else (2, task.outputs)
    assert float(task.loss(torch.randn(shape), none)) == 0
    assert not task.counts(none).any()
    meter = task.meter()
    meter.update(torch.randn(shape), none)
    assert all(math.isnan(value) for value in meter.compute().values())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kind": "depth", "weights": (1.0,)}, "`weights` must be left out for fields of kind depth"),
        ({"kind": "segmentation", "classes": NAMES, "weights": (1, 2)}, "`weights` must be 3 positive numbers"),
        ({"kind": "classification", "classes": NAMES, "weights": (1, 2, 0)}, "`weights` must be 3 positive numbers"),
        ({"kind": "classification", "classes": NAMES, "weights": (1, 2, math.nan)}, "`weights` must be 3 positive"),
        ({"kind": "multilabel"}, "`classes` must name the values of a multilabel field, got none"),
    ],
)
def test_a_field_that_contradicts_itself_is_refused(settings: dict, says: str):
    with pytest.raises(ValueError, match=says):
        Field(**settings)
