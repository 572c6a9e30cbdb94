"""A running pruning, and the tables that it writes.

| table      | columns                                                                                             |
|------------|-----------------------------------------------------------------------------------------------------|
| `units`    | layer, channel, idle (used by nothing before), gone (removed), score (NaN without a budget)         |
| `sweep`    | share, threshold, groups, parameters, macs [%], task, metric, value (`engine.pruning.sweep`)        |
| `saved`    | of (group, parameter, mac, latency), value [%]: the share of the network that is saved              |
| `removed`  | layer, shape_before, shape_after, parameters_before, parameters_after                               |
| `reasons`  | kind (kept, gathered, folded, constant, hollow, silent), layer, reason                              |
| `repair`   | layer, kind, before, after, strength, note (`engine.pruning.repair`); only where one is asked for   |
| `metrics`  | model (dense, pruned, repaired, refitted), task, metric, value, unit, higher_is_better; on the      |
|            | validation images                                                                                   |
| `images`   | image, task, metric, unit, better, dense, sparse, changed, changed_unit (training.per_image)        |
| `classes`  | image, task, class, name, intersection_dense, union_dense, intersection_sparse, union_sparse        |
| `measures` | model (dense, masked, pruned), quantity, batch, backend, value, low, high, unit, threads, steady    |

`measures` is a frame of `engine.measure.comparison.compare`. `masked` is the network with the removed channels set to
zero, in its old shape: it computes what the pruned one computes, and shows what zeros alone save. The certificate is
beside the tables (`engine.jobs.certificate_file`), and `spatial.safetensors` (`engine.explain.maps.store`): the images
that lost most, with targets and the predictions before (`dense`) and after.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor, nn

from winnow.engine.explain.maps.pictures import factor, image_array, prediction_array, target_array
from winnow.engine.explain.maps.store import write_spatial
from winnow.engine.export import NotDescribable, NotSame
from winnow.engine.jobs.restore import Restored
from winnow.engine.jobs.writer import Writer
from winnow.engine.measure.comparison import compare
from winnow.engine.measure.timing import Timing
from winnow.engine.runs.run import Run
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.training.batches import Batch, Batches
from winnow.engine.training.evaluate import metrics_table, validated
from winnow.engine.training.loop import EpochDone
from winnow.engine.training.per_image import MOST, judged_images

MetricsOf = dict[str, dict[str, float]]
BEFORE_REFIT = 0.3  # of the progress
PICTURES = 8  # images
SIDE = 128  # the longest side of a stored image [pixel]


def measures_table(
    models: Mapping[str, nn.Module], example: Tensor, spec: PruneSpec, tell: Callable[[str, float], None]
) -> tuple[pd.DataFrame, str]:
    """Return what several models cost and how long they take, side by side, and a sentence on what was not measured.

    Where ONNX Runtime cannot run a model, all are timed in torch alone.
    """
    timing = Timing(rounds=spec.rounds, threads=spec.threads)
    backends = None if spec.onnx else ("eager",)
    try:
        return compare(models, example, batches=spec.batches, backends=backends, timing=timing, progress=tell), ""
    except (NotDescribable, NotSame) as error:
        frame = compare(models, example, batches=spec.batches, backends=("eager",), timing=timing, progress=tell)
        return frame, f"not timed in ONNX Runtime: {error}"


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


def write_who_pays(pruning: Pruning, small: nn.Module) -> None:
    """Write the tables and the pictures of a pruning whose final network is `small`."""
    tasks = {name: pruning.restored.tasks[name] for name in pruning.kept}
    images, classes = judged_images(
        {"dense": pruning.restored.net.eval(), "sparse": small.eval()}, tasks, pruning.validation
    )
    if images.empty:
        return
    pruning.writer.table("images", images)
    pruning.writer.table("classes", classes)
    _write_pictures(pruning, small, worst_images(images))


def worst_images(images: pd.DataFrame, count: int = PICTURES) -> list[int]:
    """Return the images that lost most, in turns of the tasks: first the worst of every task, then the second of each.

    Images without labels, and those that lost equally much, come in the order of how far their predictions moved.
    """
    sign = images["better"].map({"higher": 1.0, "lower": -1.0})
    ranked = images.assign(lost=sign * (images["dense"] - images["sparse"]))
    ranked = ranked.sort_values(["lost", "changed"], ascending=False, kind="stable", na_position="last")
    turns = ranked.assign(turn=ranked.groupby("task").cumcount()).sort_values("turn", kind="stable")
    return [int(number) for number in dict.fromkeys(turns["image"])][:count]


@torch.inference_mode()
def _write_pictures(pruning: Pruning, small: nn.Module, numbers: list[int]) -> None:
    shown = _gathered(first_images(pruning.validation, MOST), numbers)
    by = factor(shown.images.shape[-2], shown.images.shape[-1], SIDE)
    arrays = {"images": image_array(shown.images, by)}
    fields = {name: pruning.restored.tasks[name].field for name in pruning.kept}
    for part, net in (("dense", pruning.restored.net), ("prediction", small)):
        given = net(shown.images)
        arrays |= {f"{part}.{name}": prediction_array(own, given[name], by) for name, own in fields.items()}
    for name, own in fields.items():
        if name in shown.targets:
            arrays[f"target.{name}"] = target_array(own, shown.targets[name], by)
    index = {
        "images": numbers,
        "size": list(shown.images.shape[-2:]),
        "tasks": {n: {"kind": f.kind, "classes": list(f.classes), "unit": f.unit} for n, f in fields.items()},
        "layers": {},
    }
    write_spatial(pruning.writer.folder, arrays, index)


def _gathered(batches: list[Batch], numbers: list[int]) -> Batch:
    images = torch.cat([batch.images for batch in batches])[numbers]
    targets = {name: torch.cat([batch.targets[name] for batch in batches])[numbers] for name in batches[0].targets}
    return Batch(images, targets)
