"""The kinds of task by the kind of their target: what learns it, and the metrics that it is evaluated by.

`TASKS` is the registry. Its names are those of `data.kinds.KINDS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import Field

from winnow.data.code import PATTERN, Code
from winnow.data.sample import Learner
from winnow.data.sample import Metric as Metric
from winnow.engine.specs.frozen import Frozen
from winnow.engine.specs.registry import Reference


@dataclass(frozen=True)
class TaskKind:
    """A kind of task: the class that learns it (`engine.tasks.task.Task`), and its metrics, the main one first."""

    make: Reference
    metrics: tuple[Metric, ...]


ERRORS = (
    Metric("mae", "mean absolute error", "", "lower"),
    Metric("rmse", "RMSE", "", "lower"),
    Metric("r2", "R²", "1", "higher"),
)
"""The metrics of numbers; an empty unit becomes the field's own."""

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
                Metric("log_rmse", "RMSE of the logarithm", "1", "lower"),
                Metric("delta_1", "ratio below 1.25", "%", "higher"),
                Metric("delta_2", "ratio below 1.25²", "%", "higher"),
                Metric("delta_3", "ratio below 1.25³", "%", "higher"),
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
        "multilabel": TaskKind(
            Reference("winnow.engine.tasks.multilabel", "MultiLabel"),
            (
                Metric("accuracy", "mean accuracy over labels", "%", "higher"),
                Metric("f1", "mean F1 over labels", "%", "higher"),
                Metric("auroc", "mean area under the ROC curve", "%", "higher"),
            ),
        ),
        "regression": TaskKind(Reference("winnow.engine.tasks.regression", "Regression"), ERRORS),
        "vector": TaskKind(Reference("winnow.engine.tasks.regression", "Vector"), ERRORS),
        "map": TaskKind(Reference("winnow.engine.tasks.regression", "Map"), ERRORS),
        "unspecified": TaskKind(
            Reference("winnow.engine.tasks.unspecified", "Unspecified"),
            (Metric("loss", "loss", "1", "lower"),),
        ),
    }
)


class OwnTask(Frozen):
    """A task kind of the user's own, MODULE:THING: what learns a field in place of the task of its kind."""

    code: str = Field(pattern=PATTERN, max_length=200, description="MODULE:THING; THING(field) returns the task")
    path: str = Field(max_length=4096, description="folder that the module is imported from")
    metrics: tuple[Metric, ...] = Field(min_length=1, description="what it is evaluated by, the main metric first")

    def own_code(self) -> Code:
        """Return the code that it names."""
        return Code(self.code, self.path, "task")

    @property
    def learner(self) -> Learner:
        """What a field holds of it."""
        return Learner(self.code, self.path, self.metrics)
