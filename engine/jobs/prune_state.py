"""A running pruning: its spec, its network and images, and the writer of its results."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from winnow.engine.jobs.prune_report import metrics_table
from winnow.engine.jobs.restore import Restored
from winnow.engine.jobs.writer import Writer
from winnow.engine.runs.run import Run
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.training.batches import Batch, Batches
from winnow.engine.training.evaluate import validated
from winnow.engine.training.loop import EpochDone

MetricsOf = dict[str, dict[str, float]]
BEFORE_REFIT = 0.3  # of the progress


class Stopped(Exception):  # noqa: N818 - an end, no error
    """The pruning was asked to stop."""


@dataclass
class Pruning:
    """One running pruning: its spec, its network, and the metrics so far."""

    run: Run
    spec: PruneSpec
    writer: Writer
    stop_requested: object
    restored: Restored
    device: torch.device
    validation: Batches
    training: Batches | None
    metrics: dict[str, MetricsOf] = field(default_factory=dict)

    @property
    def kept(self) -> list[str]:
        """The tasks whose heads are kept."""
        return [task for task in self.restored.tasks if not self.spec.tasks or task in self.spec.tasks]

    @property
    def dropped(self) -> bool:
        """Whether a head is removed."""
        return len(self.kept) < len(self.restored.tasks)

    def phase(self, phase: str, progress: float) -> None:
        """Write what is done next; `progress` is in [0, 1] before the refit.

        Raises:
            Stopped: the pruning was asked to stop.

        """
        share = BEFORE_REFIT if self.spec.refit_epochs else 1.0
        self.writer.status(phase=phase, progress=share * progress)
        self.check_stop()

    def check_stop(self) -> None:
        """Raise `Stopped` if the pruning was asked to stop."""
        if self.stop_requested:
            raise Stopped

    def evaluate(self, name: str, model: nn.Module, tasks: list[str]) -> None:
        """Write the metrics of a model on the validation images."""
        chosen = {task: self.restored.tasks[task] for task in tasks}
        self.write_metrics(name, validated(model, chosen, self.validation))

    def write_refit(self, record: EpochDone) -> None:
        """Write the metrics after an epoch of the refit: the table, and one event each."""
        values: dict[tuple[str | None, str], float | None] = {
            (task, name): value for task, own in record.metrics.items() for name, value in own.items()
        }
        self.writer.events((record.epoch, record.step), "val", values)
        self.write_metrics("refitted", record.metrics)

    def write_metrics(self, name: str, metrics: MetricsOf) -> None:
        """Add the metrics of one more model to the table."""
        self.metrics[name] = metrics
        self.writer.table("metrics", metrics_table(self.metrics, self.restored.tasks))


def image_batch(images: Batches, count: int) -> Tensor:
    """Return `count` images of a split as one batch; where there are fewer, they are repeated in turn."""
    found = torch.cat([batch.images for batch in first_images(images, count)])
    taken = found[torch.arange(count, device=found.device) % len(found)]
    return taken.contiguous(memory_format=torch.channels_last)


def first_images(images: Batches, count: int) -> list[Batch]:
    """Return the first `count` images of a split, in batches."""
    found: list[Batch] = []
    for batch in images.in_order():
        left = count - sum(len(taken.images) for taken in found)
        if left <= 0:
            break
        targets = {name: target[:left] for name, target in batch.targets.items()}
        found.append(Batch(batch.images[:left], targets))
    return found
