"""Losses and metrics leave out what is unlabelled, and agree with what they are called after."""

import math

import pytest
import torch

from winnow.data.catalog import DATASETS
from winnow.data.sample import Field
from winnow.engine.runs.quantities import metrics
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.classes import Segmentation
from winnow.engine.tasks.depth import Depth
from winnow.engine.tasks.normals import Normals

FIELDS = {**DATASETS["scenes"]().fields, **DATASETS["digits"]().fields}


def example(field: Field) -> torch.Tensor:
    torch.manual_seed(0)
    if field.kind == "normals":
        return torch.nn.functional.normalize(torch.randn(4, 6, 6, 3), dim=3)
    if field.kind == "depth":
        return torch.rand(4, 6, 6) + 0.5
    if field.kind == "regression":
        return torch.rand(4)
    classes = max(len(field.classes), 2)
    return torch.randint(0, classes, (4, 6, 6) if field.dense else (4,))


@pytest.mark.parametrize("name", FIELDS)
def test_a_task_has_the_metrics_it_promises_and_a_loss_that_can_be_followed(name: str):
    task = build_tasks(FIELDS, [name])[name]
    target = example(task.field)
    shape = (4, task.outputs, 6, 6) if task.field.dense else (4, task.outputs)
    prediction = torch.randn(shape, requires_grad=True)
    task.loss(prediction, target).backward()
    assert prediction.grad is not None
    assert prediction.grad.abs().sum() > 0
    meter = task.meter()
    meter.update(prediction.detach(), target)
    values = meter.compute()
    assert set(values) == {metric.name for metric in metrics(task.field)}
    assert all(math.isfinite(value) for value in values.values())


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if field.dense])
def test_metrics_are_pooled_whatever_the_batches(name: str):
    task = build_tasks(FIELDS, [name])[name]
    target, prediction = example(task.field), torch.randn(4, task.outputs, 6, 6)
    whole, parts = task.meter(), task.meter()
    whole.update(prediction, target)
    for i in (slice(0, 1), slice(1, 4)):
        parts.update(prediction[i], target[i])
    assert parts.compute() == pytest.approx(whole.compute())


def test_unlabelled_pixels_change_nothing():
    field = FIELDS["seg"]
    task, target, prediction = Segmentation(field), example(field), torch.randn(4, 13, 6, 6)
    target[:, 3:] = -1
    other = prediction.clone()
    other[:, :, 3:] = 100 * torch.randn(4, 13, 3, 6)
    torch.testing.assert_close(task.loss(prediction, target), task.loss(other, target))
    assert torch.isfinite(task.loss(prediction, torch.full_like(target, -1)))


def test_depth_errors_are_in_metres():
    meter = Depth(FIELDS["depth"]).meter()
    meter.update(torch.tensor([[[[3.0, 2.0, 9.0]]]]), torch.tensor([[[2.0, 2.0, 0.0]]]))
    expected = {
        "abs_error": 0.5, "rel_error": 25.0, "rmse": 0.5**0.5, "log_rmse": math.log(1.5) / 2**0.5,
        "delta_1": 50.0, "delta_2": 100.0, "delta_3": 100.0,
    }  # fmt: skip
    assert meter.compute() == pytest.approx(expected)


def test_angles_are_in_degrees_and_level_floors_count():
    meter = Normals(FIELDS["normals"]).meter()
    truth = torch.tensor([[[[0.0, -1.0, 0.0], [0.0, 0.0, 0.0]]]])
    guess = torch.tensor([0.0, -1.0, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, 1, 2)
    meter.update(guess, truth)
    values = meter.compute()
    assert values["mean_angle"] == pytest.approx(45.0)
    assert values["median_angle"] == pytest.approx(45.0, abs=0.03)


def test_iou_skips_classes_that_do_not_occur():
    meter = Segmentation(FIELDS["seg"]).meter()
    target = torch.tensor([[[0, 0, 1, 1]]])
    meter.update(torch.nn.functional.one_hot(torch.tensor([[[0, 0, 0, 1]]]), 13).movedim(3, 1).float(), target)
    assert meter.compute()["miou"] == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)


@pytest.mark.parametrize(("kind", "classes"), [("regression", ()), ("vector", ("x", "y")), ("map", ())])
@pytest.mark.parametrize("value", [0.1, 1e-30, 3e7])
def test_numbers_that_are_all_the_same_have_no_r2(kind: str, classes: tuple[str, ...], value: float):
    """What rounding leaves of their spread is no spread: it would divide to -1e18."""
    task = build_tasks({"it": Field(kind=kind, classes=classes)}, ["it"])["it"]
    meter = task.meter()
    for size in (3, 7, 64, 500):
        shape = {"map": (size, 4, 4), "vector": (size, 2), "regression": (size,)}[kind]
        prediction = torch.randn(size, task.outputs, *shape[1:][: 2 if kind == "map" else 0])
        meter.update(prediction, torch.full(shape, value))
    found = meter.compute()
    assert math.isnan(found["r2"])
    assert math.isfinite(found["mae"])


def test_a_split_without_any_edge_has_no_f_measure():
    task = build_tasks({"it": Field(kind="edges")}, ["it"])["it"]
    meter = task.meter()
    meter.update(torch.randn(2, 1, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64))
    assert all(math.isnan(value) for value in meter.compute().values())
