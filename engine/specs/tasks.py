"""The kinds of task by the kind of their target: what learns it, and the metrics that it is evaluated by.

`TASKS` is the registry. Its names are those of `data.kinds.KINDS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from winnow.engine.specs.registry import Reference


@dataclass(frozen=True)
class Metric:
    """A figure of merit: its name in events, its label on an axis, its unit ("": the field's), which way is better."""

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower"]


@dataclass(frozen=True)
class TaskKind:
    """A kind of task: the class that learns it (`engine.tasks.task.Task`), and its metrics, the main one first."""

    make: Reference
    metrics: tuple[Metric, ...]


TASKS: Mapping[str, TaskKind] = MappingProxyType(
    {
        "segmentation": TaskKind(
            Reference("winnow.engine.tasks.classes", "Segmentation"),
            (
                Metric("miou", "mean IoU", "%", "higher"),
                Metric("pixel_accuracy", "pixel accuracy", "%", "higher"),
            ),
        ),
        "depth": TaskKind(
            Reference("winnow.engine.tasks.depth", "Depth"),
            (
                Metric("abs_error", "absolute error", "m", "lower"),
                Metric("rel_error", "relative error", "%", "lower"),
                Metric("rmse", "RMSE", "m", "lower"),
                Metric("delta_1", "ratio below 1.25", "%", "higher"),
            ),
        ),
        "normals": TaskKind(
            Reference("winnow.engine.tasks.normals", "Normals"),
            (
                Metric("mean_angle", "mean angle", "°", "lower"),
                Metric("median_angle", "median angle", "°", "lower"),
                Metric("within_11", "within 11.25°", "%", "higher"),
                Metric("within_22", "within 22.5°", "%", "higher"),
                Metric("within_30", "within 30°", "%", "higher"),
            ),
        ),
        "edges": TaskKind(
            Reference("winnow.engine.tasks.edges", "Edges"),
            (
                Metric("f_measure", "F at the best threshold", "%", "higher"),
                Metric("average_precision", "average precision", "%", "higher"),
            ),
        ),
        "classification": TaskKind(
            Reference("winnow.engine.tasks.classes", "Classification"),
            (
                Metric("accuracy", "accuracy", "%", "higher"),
                Metric("balanced_accuracy", "mean recall over classes", "%", "higher"),
            ),
        ),
        "regression": TaskKind(
            Reference("winnow.engine.tasks.regression", "Regression"),
            (
                Metric("mae", "mean absolute error", "", "lower"),
                Metric("rmse", "RMSE", "", "lower"),
                Metric("r2", "R²", "1", "higher"),
            ),
        ),
        "unspecified": TaskKind(
            Reference("winnow.engine.tasks.unspecified", "Unspecified"),
            (Metric("loss", "loss", "1", "lower"),),
        ),
    }
)
