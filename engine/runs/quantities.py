"""What is measured about a task and about a run: name, unit, direction. Free of torch, for pages and command lines.

Every number of a run is an event {…, task, split, quantity, value} (engine.runs.events). The vocabulary:

| split      | task | quantity                                  | when                                          |
|------------|------|-------------------------------------------|-----------------------------------------------|
| `train`    | each | `loss`: mean over the images since the    | ten times an epoch                            |
|            |      | last record                               |                                               |
| `train`    | each | `weight` [1] of its gradient in the trunk | ten times an epoch                            |
| `train`    | none | `alive` [1]: share of the groups that are | ten times an epoch                            |
|            |      | not zero; `strength` [1]; `penalty` [1];  |                                               |
|            |      | `images_per_second` [1/s]; of a strength  |                                               |
|            |      | that is learned, `held_out_cost`,         |                                               |
|            |      | `held_out_regret`, `held_out_error` [loss]|                                               |
|            |      | (engine.sparsity.learned), and            |                                               |
|            |      | `strength_least`, `strength_most` [1] of  |                                               |
|            |      | the layers, where each has its own        |                                               |
| `val`      | each | `loss` and the metrics of TASKS           | after each epoch, and at epoch 0 before it    |
| `constant` | each | the metrics of TASKS, of the best         | once, at epoch 0                              |
|            |      | prediction that ignores the image         |                                               |
| `model`    | none | `group_sparsity`, `parameter_sparsity`,   | after each epoch, and at epoch 0              |
|            |      | `mac_sparsity` [%]: the part of the       |                                               |
|            |      | penalised layers that is exactly zero;    |                                               |
|            |      | `removable_parameters`, `removable_macs`, |                                               |
|            |      | `gathered_macs` [%]: the part of the      |                                               |
|            |      | whole network that could be removed       |                                               |
| `start`    | none | `strength_max` [1]: the λ that outweighs  | once: over several batches where the strength |
|            |      | the fresh network's loss on every group   | is given in it, else of the first batch       |
| `kept`     | each | `loss` and the metrics of TASKS on the    | once, at the end, of the network that the run |
|            |      | validation split                          | stands for; at the epoch that it is from      |
| `kept`     | none | the quantities of `model`; `skill` [1]    | likewise                                      |
| `test`     | each | `loss` and the metrics of TASKS on the    | once, at the end, if a test was asked for     |
|            |      | test split                                |                                               |
| `predicted` | none | `latency_predicted`, `latency_measured`,   | once, at the end, with a target of latency or |
|            |      | `latency_low`, `latency_high` (80 % of the| memory: of the dense network, what a removal  |
|            |      | rounds) [%]; `memory_predicted`,          | saves                                         |
|            |      | `memory_measured` [%]                     |                                               |
| `conflict` | each | `cosine:<other>` [1] between the gradients| every `record_every` steps                    |
|            |      | of two tasks at the shared features       |                                               |
| `alarm`    | none | <layer>: groups alive, once ≤ 10 % are    | after each epoch                              |
| `removal`  | none | `parameters_before`, `parameters` [1],    | before the step from which on the smaller     |
|            |      | `macs_before`, `macs` [1 of one image]: of| network trains                                |
|            |      | the whole network, before and after       |                                               |
| `control`  | none | `strength`, `target` (the new one),       | when a user asked for it, at the step from    |
|            |      | `pause`, `resume`, `stop`; `undo`: before | which it holds; what was recorded before an   |
|            |      | the last removal                          | `undo` for later steps is void                |
"""

from winnow.data.sample import Field
from winnow.engine.specs.tasks import TASKS, Metric

__all__ = ["ALARM", "NEAR", "SPARSITIES", "Metric", "metric_title", "metrics"]
NEAR = 0.1  # of the largest norm of its layer: a living group below it is near the threshold
ALARM = 0.1  # of a layer's groups: where no more than these live, the layer is about to die
SPARSITIES = ("group_sparsity", "parameter_sparsity", "mac_sparsity")


def metrics(field: Field) -> tuple[Metric, ...]:
    """Return the metrics of a field, the one that stands for it first; an empty unit becomes the field's own."""
    known = TASKS[field.kind].metrics if field.learner is None else field.learner.metrics
    return tuple(Metric(own.name, own.label, own.unit or field.unit, own.better) for own in known)


def metric_title(task: str, metric: Metric) -> str:
    """Return what a task's metric is called in a table: with its unit, and an arrow in the direction that is better."""
    unit = f" [{metric.unit}]" if metric.unit not in ("", "1") else ""
    return f"{task}: {metric.label}{unit} {'↑' if metric.better == 'higher' else '↓'}"
