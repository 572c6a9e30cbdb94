"""A bench: the network of a pruning beside the dense one, in every form that runs here, and where its time goes.

| table      | columns                                                                                             |
|------------|-----------------------------------------------------------------------------------------------------|
| `best`     | form, batch, threads, dense, compact [s], speed_up, achieved, steady: each network in its best layout |
| `speeds`, `layers`, `lost`, `machine`, `left_out` | `engine.measure.bench`                                       |
| `metrics`  | model (dense, compact), form (float32, int8), task, metric, value, unit, higher_is_better; on the   |
|            | validation images; only where int8 is timed                                                         |
| `said`     | sentence: the result in words                                                                       |

The digests of the tables are noted with the end of the job, as those of every job are (`engine.runs.digests`).
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import pandas as pd
import torch
from torch import nn

from winnow.data.recorded import RecordedData
from winnow.engine.export import load_model
from winnow.engine.jobs.prune_report import first_images
from winnow.engine.jobs.restore import Restored, restored_network
from winnow.engine.jobs.run_data import first_image, prepare, run_images
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.measure.bench import BenchSettings, bench
from winnow.engine.measure.forms import usable_forms
from winnow.engine.measure.gains import COMPACT, DENSE, MASKED, best_forms, in_a_sentence
from winnow.engine.pruning.masking import silence
from winnow.engine.pruning.units import units
from winnow.engine.runs.derived import DerivedJob, find_derived_job
from winnow.engine.runs.run import Run
from winnow.engine.specs.bench import BenchSpec
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.training.batches import Batches
from winnow.engine.training.evaluate import metrics_table, validated

NO_TRAINING_IMAGES = "a recorded run holds no training images, on which the ranges of int8 are measured"
OTHER_CHANNELS = "the run has other channels than when it was pruned: prune it again"


class _StoppedError(Exception):
    """The bench was asked to stop."""


class _Judged:
    """The metrics of networks on the validation images, those of the tasks that the pruning has kept."""

    def __init__(self, run: Run, restored: Restored, pruning: DerivedJob) -> None:
        asked = pruning.spec
        kept = (asked.tasks if isinstance(asked, PruneSpec) else ()) or tuple(restored.tasks)
        self._run, self._all = run, restored.tasks
        self._kept = {name: restored.tasks[name] for name in kept}
        self.found: list[pd.DataFrame] = []

    def __call__(self, model: str, form: str, module: nn.Module) -> None:
        """Judge a network in a form; the masked one gives what the compact one gives."""
        if model != MASKED:
            with torch.inference_mode():
                judged = validated(module, self._kept, self._batches)
            self.found.append(metrics_table({model: judged}, self._all).assign(form=form))

    @cached_property
    def _batches(self) -> Batches:
        return run_images(self._run, self._all, "val", torch.device("cpu"), lambda phase: None)


def run_bench(run: Run, spec: BenchSpec, writer: ResultWriter, stop_requested: StopRequest) -> str:
    """Time the network of a pruning and write the tables; return the final state, `done` or `stopped`.

    Raises:
        FileNotFoundError: the run has no such pruning.
        ValueError: that pruning is not done, or its network is damaged.

    """
    pruning = find_derived_job(run, "prune", spec.pruning)
    if pruning.recorded_status().state != "done":
        raise ValueError(f"`pruning` must be done, got {pruning.id}: {pruning.status.state}. Wait, or take another.")

    def tell(what: str, part: float) -> None:
        writer.status(phase=what, progress=part)
        if stop_requested:
            raise _StoppedError

    try:
        _measured(run, spec, pruning, writer, tell)
    except _StoppedError:
        return "stopped"
    return "done"


def _measured(run: Run, spec: BenchSpec, pruning: DerivedJob, writer: ResultWriter, tell: Any) -> None:
    device = prepare(max(spec.threads), "cpu", own_code=run.spec.steps_in_own_code)
    tell("reading the run", 0.0)
    restored = restored_network(run, device)
    example = first_image(run)
    compact = load_model(pruning.path / "model").eval()
    masked = _masked(restored.net, example, pruning)
    models = {DENSE: restored.net} | ({} if masked is None else {MASKED: masked}) | {COMPACT: compact}
    forms = _forms(run, spec)
    calibration = _calibration(run, restored, spec, device) if "int8" in forms else []
    settings = BenchSettings(forms, spec.batches, spec.threads, spec.rounds)
    judged = _Judged(run, restored, pruning)
    judge = judged if "int8" in forms and not usable_forms()["int8"] else None
    tables = bench(models, example, settings, calibration=calibration, judge=judge, progress=tell)
    missing = [[MASKED, "", OTHER_CHANNELS]] if masked is None else []
    missing += [["", form, NO_TRAINING_IMAGES] for form in spec.forms if form not in forms]
    more = pd.DataFrame(missing, columns=tables["left_out"].columns)
    tables["left_out"] = pd.concat([tables["left_out"], more], ignore_index=True) if missing else tables["left_out"]
    for name, frame in tables.items():
        writer.table(name, frame)
    writer.table("best", best_forms(tables["speeds"]))
    sentence = in_a_sentence(tables["speeds"], tables["lost"])
    writer.table("said", pd.DataFrame({"sentence": [sentence]}))
    writer.conclude(sentence)
    if judge is not None:
        writer.table("metrics", pd.concat(judged.found, ignore_index=True))


def _forms(run: Run, spec: BenchSpec) -> tuple[Any, ...]:
    """Return the forms that can be timed: int8 needs training images."""
    forms = tuple(form for form in spec.forms if form != "int8" or not isinstance(run.spec.data, RecordedData))
    if not forms:
        raise ValueError(f"`forms` must hold another one than int8 for this run, got int8 alone: {NO_TRAINING_IMAGES}.")
    return forms


def _masked(net: nn.Module, example: torch.Tensor, pruning: DerivedJob) -> nn.Module | None:
    """Return the run's network with the removed channels set to zero, None where it has other channels by now."""
    gone = pruning.table("units")["gone"].to_numpy(bool)
    found = units(net, example)
    return silence(net, found.chosen(gone)) if len(found) == len(gone) else None


def _calibration(run: Run, restored: Restored, spec: BenchSpec, device: torch.device) -> list[Mapping[str, Any]]:
    """Return training images one by one, by the name of the network's input."""
    images = run_images(run, restored.tasks, "train", device, lambda phase: None, spec.calibration)
    found = torch.cat([batch.images for batch in first_images(images, spec.calibration)])
    return [{"images": one[None]} for one in found]
