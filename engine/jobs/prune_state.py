"""A pruning under way: what was asked, the network, the images, and the pen that writes what is found."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from winnow.engine.jobs.prune_report import metrics_table
from winnow.engine.jobs.restore import Restored
from winnow.engine.jobs.writer import Pen
from winnow.engine.runs.run import Run
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.training.batches import Batch, Batches
from winnow.engine.training.evaluate import validated
from winnow.engine.training.loop import EpochDone

MetricsOf = dict[str, dict[str, float]]
BEFORE_REFIT = 0.3  # of the progress


class Stopped(Exception):  # noqa: N818 - an end, no error
    """Somebody asked the pruning to end."""


@dataclass
class Pruning:
    """One pruning under way: what was asked, the network, and what is known by now."""

    run: Run
    spec: PruneSpec
    pen: Pen
    ending: object
    restored: Restored
    device: torch.device
    validation: Batches
    training: Batches | None
    metrics: dict[str, MetricsOf] = field(default_factory=dict)

    @property
    def kept(self) -> list[str]:
        """The tasks whose heads stay."""
        return [task for task in self.restored.tasks if not self.spec.tasks or task in self.spec.tasks]

    @property
    def dropped(self) -> bool:
        """Whether a head goes."""
        return len(self.kept) < len(self.restored.tasks)

    def phase(self, phase: str, progress: float) -> None:
        """Say what comes next, `progress` in [0, 1] before the refit.

        Raises:
            Stopped: somebody asked to end.

        """
        share = BEFORE_REFIT if self.spec.refit_epochs else 1.0
        self.pen.status(phase=phase, progress=share * progress)
        self.go_on()

    def go_on(self) -> None:
        """Raise `Stopped` if somebody asked to end."""
        if self.ending:
            raise Stopped

    def judge(self, name: str, model: nn.Module, tasks: list[str]) -> None:
        """Write the metrics of a model on the validation images."""
        chosen = {task: self.restored.tasks[task] for task in tasks}
        self.write_metrics(name, validated(model, chosen, self.validation))

    def refitted(self, record: EpochDone) -> None:
        """Write the metrics after an epoch of the refit: the table, and an event each."""
        values: dict[tuple[str | None, str], float | None] = {
            (task, name): value for task, own in record.metrics.items() for name, value in own.items()
        }
        self.pen.events((record.epoch, record.step), "val", values)
        self.write_metrics("refitted", record.metrics)

    def write_metrics(self, name: str, metrics: MetricsOf) -> None:
        """Write the metrics of one more model beside the others."""
        self.metrics[name] = metrics
        self.pen.table("metrics", metrics_table(self.metrics, self.restored.tasks))


def pictures(images: Batches, count: int) -> Tensor:
    """Return the first images of a split, in turn as often as it takes, as one batch."""
    found = torch.cat([batch.images for batch in first(images, count)])
    taken = found[torch.arange(count, device=found.device) % len(found)]
    return taken.contiguous(memory_format=torch.channels_last)


def first(images: Batches, count: int) -> list[Batch]:
    """Return the first `count` images of a split, in batches."""
    found: list[Batch] = []
    for batch in images.in_order():
        left = count - sum(len(taken.images) for taken in found)
        if left <= 0:
            break
        targets = {name: target[:left] for name, target in batch.targets.items()}
        found.append(Batch(batch.images[:left], targets))
    return found
