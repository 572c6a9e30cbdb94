"""The main metric against prepared targets is that of the task's own meter."""

import math

import pytest
import torch
from torch import Tensor

from winnow.data.sample import Field
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.main_metric import ByMeter, NoMetric, OfClasses, main_metric

NAMES = tuple("abcde")
FIELDS = {
    "segmentation": Field(kind="segmentation", classes=NAMES),
    "classification": Field(kind="classification", classes=NAMES),
    "depth": Field(kind="depth"),
    "normals": Field(kind="normals"),
    "edges": Field(kind="edges"),
    "regression": Field(kind="regression"),
}
DENSE = (3, 7, 6)


def _target(kind: str, chance: torch.Generator) -> Tensor:
    if kind in ("segmentation", "classification"):
        return torch.randint(-1, len(NAMES), DENSE if kind == "segmentation" else DENSE[:1], generator=chance)
    if kind == "normals":
        directions = torch.nn.functional.normalize(torch.randn(*DENSE, 3, generator=chance), dim=3)
        return directions * (torch.rand(*DENSE, 1, generator=chance) > 0.3)
    if kind == "edges":
        return torch.randint(0, 2, DENSE, generator=chance)
    return (torch.rand(DENSE if kind == "depth" else DENSE[:1], generator=chance) - 0.3).clamp(min=0)


def _prediction(kind: str, outputs: int, chance: torch.Generator) -> Tensor:
    space = () if kind in ("classification", "regression") else DENSE[1:]
    return torch.randn(DENSE[0], outputs, *space, generator=chance)


@pytest.mark.parametrize("spoilt", ["", "nan", "nothing known"])
@pytest.mark.parametrize("kind", FIELDS)
def test_main_metric(kind: str, spoilt: str):
    """Over two batches it is the first metric of the task's meter, NaN where that is."""
    task, chance = build_tasks(FIELDS, (kind,))[kind], torch.Generator().manual_seed(0)
    found, meter = main_metric(task), task.meter()
    assert isinstance(found, ByMeter) == (kind in ("edges", "regression"))
    for _ in range(2):
        target, prediction = _target(kind, chance), _prediction(kind, task.outputs, chance)
        if spoilt == "nan":
            prediction[0] = float("nan")
        elif spoilt and kind not in ("edges", "regression"):
            target = torch.full_like(target, -1 if kind in ("segmentation", "classification") else 0)
        found.update(prediction, found.prepared(target))
        meter.update(prediction, target)
    assert found.name is not None
    assert found.value() == pytest.approx(meter.compute()[found.name], rel=1e-12, nan_ok=True)


def test_main_metric_of_a_plain_function():
    """A function has no metric."""
    found = main_metric(lambda prediction, target: prediction)
    assert type(found) is NoMetric
    assert found.name is None
    assert math.isnan(found.value())


def test_classes_are_measured_by_name():
    """Each measure of the confusion matrix can be the main one."""
    task = build_tasks(FIELDS, ("classification",))["classification"]
    assert type(main_metric(task)) is OfClasses
