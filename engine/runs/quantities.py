"""What is measured about a task and about a run: name, unit, direction. Free of torch, for pages and command lines.

Every number of a run is an event {…, task, split, quantity, value} (engine.runs.events). The vocabulary:

| split      | task | quantity                                  | when                                          |
|------------|------|-------------------------------------------|-----------------------------------------------|
| `train`    | each | `loss`: mean over the images since the    | ten times an epoch                            |
|            |      | last record                               |                                               |
| `train`    | each | `weight` [1] of its gradient in the trunk | ten times an epoch                            |
| `train`    | none | `alive` [1]: share of the groups that are | ten times an epoch                            |
|            |      | not zero; `strength` [1]; `penalty` [1];  |                                               |
|            |      | `images_per_second` [1/s]                 |                                               |
| `val`      | each | `loss` and the metrics of METRICS         | after each epoch, and at epoch 0 before it    |
| `constant` | each | the metrics of METRICS, of the best       | once, at epoch 0                              |
|            |      | prediction that ignores the image         |                                               |
| `model`    | none | `group_sparsity`, `parameter_sparsity`,   | after each epoch, and at epoch 0              |
|            |      | `mac_sparsity` [%]: the part of the       |                                               |
|            |      | penalised layers that is exactly zero;    |                                               |
|            |      | `removable_parameters`, `removable_macs`, |                                               |
|            |      | `gathered_macs` [%]: the part of the      |                                               |
|            |      | whole network that could be removed       |                                               |
| `start`    | none | `strength_max` [1]: the λ that outweighs  | once, where the strength is given in it       |
|            |      | the fresh network's loss on every group   |                                               |
| `kept`     | each | `loss` and the metrics of METRICS on the  | once, at the end, of the network that the run |
|            |      | validation split                          | stands for; at the epoch that it is from      |
| `kept`     | none | the quantities of `model`; `skill` [1]    | likewise                                      |
| `test`     | each | `loss` and the metrics of METRICS on the  | once, at the end, if a test was asked for     |
|            |      | test split                                |                                               |
| `conflict` | each | `cosine:<other>` [1] between the gradients| every `record_every` steps                    |
|            |      | of two tasks at the shared features       |                                               |
| `alarm`    | none | <layer>: groups alive, once ≤ 10 % are    | after each epoch                              |
| `removal`  | none | `parameters_before`, `parameters` [1],    | before the step from which on the smaller     |
|            |      | `macs_before`, `macs` [1 of one image]: of| network trains                                |
|            |      | the whole network, before and after       |                                               |
| `control`  | none | `strength` (the new one), `pause`,        | when a user asked for it, at the step from    |
|            |      | `resume`, `stop`; `undo`: back to before  | which it holds; what was recorded before an   |
|            |      | the last removal                          | `undo` for later steps is void                |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from winnow.data.sample import Field, Kind

NEAR = 0.1  # of the largest norm of its layer: a living group below it is near the threshold
ALARM = 0.1  # of a layer's groups: where no more than these live, the layer is about to die
SPARSITIES = ("group_sparsity", "parameter_sparsity", "mac_sparsity")


@dataclass(frozen=True)
class Metric:
    """A figure of merit: its name in events, its label on an axis, its unit and which way is better."""

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower"]


METRICS: Mapping[Kind, tuple[Metric, ...]] = MappingProxyType(
    {
        "segmentation": (
            Metric("miou", "mean IoU", "%", "higher"),
            Metric("pixel_accuracy", "pixel accuracy", "%", "higher"),
        ),
        "depth": (
            Metric("abs_error", "absolute error", "m", "lower"),
            Metric("rel_error", "relative error", "%", "lower"),
            Metric("rmse", "RMSE", "m", "lower"),
            Metric("delta_1", "ratio below 1.25", "%", "higher"),
        ),
        "normals": (
            Metric("mean_angle", "mean angle", "°", "lower"),
            Metric("median_angle", "median angle", "°", "lower"),
            Metric("within_11", "within 11.25°", "%", "higher"),
            Metric("within_22", "within 22.5°", "%", "higher"),
            Metric("within_30", "within 30°", "%", "higher"),
        ),
        "edges": (
            Metric("f_measure", "F at the best threshold", "%", "higher"),
            Metric("average_precision", "average precision", "%", "higher"),
        ),
        "classification": (
            Metric("accuracy", "accuracy", "%", "higher"),
            Metric("balanced_accuracy", "mean recall over classes", "%", "higher"),
        ),
        "regression": (
            Metric("mae", "mean absolute error", "", "lower"),
            Metric("rmse", "RMSE", "", "lower"),
            Metric("r2", "R²", "1", "higher"),
        ),
    }
)


def metrics(field: Field) -> tuple[Metric, ...]:
    """Return the metrics of a field, the one that stands for it first; an empty unit becomes the field's own."""
    return tuple(
        Metric(metric.name, metric.label, metric.unit or field.unit, metric.better) for metric in METRICS[field.kind]
    )
