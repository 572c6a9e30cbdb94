"""One session of training, from a start or a resume to the end or a stop: it writes results and meets requests."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import torch

from winnow.engine.jobs.epoch_report import EpochReport
from winnow.engine.jobs.live_changes import LiveChanges
from winnow.engine.jobs.network_file import write_network
from winnow.engine.jobs.snapshots import Snapshots
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.writer import ResultWriter, Values
from winnow.engine.runs.control import ControlReader
from winnow.engine.runs.log_marks import cut_to_checkpoint, marks
from winnow.engine.runs.norm_log import Layer, NormLog
from winnow.engine.sparsity.counts import share_alive
from winnow.engine.sparsity.learned import Learned
from winnow.engine.sparsity.strength import strength_max
from winnow.engine.training.balancing.gradients import conflict
from winnow.engine.training.batches import Batches
from winnow.engine.training.checkpoint import keep_before_removal, load_checkpoint, save_checkpoint
from winnow.engine.training.divergence import refuse_diverged
from winnow.engine.training.loop import EpochDone, StepDone, constant_metrics, train, validate
from winnow.engine.training.removal import Removed
from winnow.engine.training.state import Training

RECORDS_PER_EPOCH = 10
PAUSE_POLL = 0.1  # s
Records = Iterator[StepDone | EpochDone | Removed]


class TrainingSession:
    """Trains until the end or until a stop is requested, and writes the results."""

    def __init__(
        self,
        training: Training,
        batches: Batches,
        validation: Batches,
        writer: ResultWriter,
        stop_requested: StopRequest,
    ) -> None:
        self.training, self.batches, self.validation, self.writer = training, batches, validation, writer
        self._report = EpochReport(training, writer)
        self._snapshots = Snapshots(training, validation.example(), writer)
        self._stop_requested = stop_requested
        self._control = ControlReader(writer.folder / "control.json")
        self._changes = LiveChanges(training, writer)
        self._losses: dict[str, list[float]] = defaultdict(list)
        self._every = max(1, batches.steps // RECORDS_PER_EPOCH)
        self._clock, self._first = time.monotonic(), training.step
        self._last = (self._clock, training.step)

    def begin(self) -> None:
        """Load the newest checkpoint, or write what is known before the first step."""
        folder, training = self.writer.folder, self.training
        skipped = load_checkpoint(folder / "weights", training)
        if skipped:
            self.writer.remark(f"damaged checkpoints were skipped: {', '.join(skipped)}")
        banks = training.proximal.dense_banks
        self._losses |= cut_to_checkpoint(folder, training.step)
        NormLog(folder / "groups").begin([Layer(bank.layer, bank.channels, bank.size) for bank in banks])
        if message := write_network(folder / "weights", training, self.batches.example()):
            self.writer.remark(message)
        if training.step == 0:
            constant = constant_metrics(training.tasks, self.batches, self.validation)
            self._report.metrics((0, 0), "constant", constant)
            metrics = validate(training, self.validation)
            refuse_diverged(training.net, metrics, "the start")
            self._report.epoch(0, metrics)
        else:
            self._report.resume()
            self._changes.resumed(self._control.read())
        self._snapshots.begin()
        self._first = training.step
        self._clock = time.monotonic()
        self._last = (self._clock, training.step)
        self.writer.status(phase="training")

    def train(self, watch: Callable[[Records], Records] = iter) -> str:
        """Train until the end or a stop; return the state. `watch` passes the records on, and may end them early."""
        for record in watch(train(self.training, self.batches, self.validation)):
            if isinstance(record, EpochDone):
                self._report.epoch(record.epoch, record.metrics)
                self._snapshots.after_epoch(record)
                if self._ends_here(record):
                    return "stopped"
                self._save(record.epoch)
            elif isinstance(record, Removed):
                keep_before_removal(self.writer.folder / "weights", record.step)
                self._write_removal(record)
            else:
                self._count(record)
                asked = self._meet_requests(record)
                if record.step % self.batches.steps and asked and self._ends_here(record):
                    return "stopped"
        self._report.tables()
        return "done"

    def _ends_here(self, record: StepDone | EpochDone) -> bool:
        """Stop if that is asked for; after an epoch's last step that waits for its validation. The last epoch ends."""
        last = record.step == self.training.spec.epochs * self.batches.steps
        if last or not (self._control.read().stop or self._stop_requested):
            return False
        self.writer.events((record.epoch, record.step), "control", {(None, "stop"): None})
        self._report.tables()
        self._save(record.epoch)
        return True

    def _save(self, epoch: int) -> None:
        """Store a checkpoint that knows how long the logs are."""
        folder = self.writer.folder
        save_checkpoint(folder / "weights", self.training, epoch, marks(folder, dict(self._losses)))

    def _count(self, record: StepDone) -> None:
        """Collect the losses, and write their means ten times an epoch."""
        for task, loss in record.losses.items():
            self._losses[task].append(loss)
        total = self.training.spec.epochs * self.batches.steps
        now = time.monotonic()
        pace = (now - self._clock) / max(record.step - self._first, 1)
        if record.step == 1:
            self._write_strength_max()
        if record.step % self._every == 0 or record.step == 1:
            self._write_step(record, now)
        if record.balance.gramian is not None and len(self.training.tasks) > 1:
            self._write_conflict(record, record.balance.gramian)
        self.writer.tick(
            epoch=record.epoch, step=record.step, progress=record.step / total, remaining=pace * (total - record.step)
        )

    def _write_step(self, record: StepDone, now: float) -> None:
        then, step = self._last
        rate = (record.step - step) * self.training.spec.batch_size / max(now - then, 1e-9)
        self._last = (now, record.step)
        proximal = self.training.proximal
        weights = dict(zip(self.training.tasks, record.balance.weights.tolist(), strict=True))
        values: dict[tuple[str | None, str], float | None] = {
            (task, "loss"): float(np.mean(losses)) for task, losses in self._losses.items()
        }
        values |= {(task, "weight"): weight for task, weight in weights.items()}
        values |= {
            (None, "alive"): share_alive(proximal.dense_banks, proximal.whole(proximal.norms)),
            (None, "strength"): record.strength,
            (None, "images_per_second"): rate,
        }
        if isinstance(self.training.controller, Learned):
            values |= {(None, name): value for name, value in self.training.controller.told().items()}
        penalty = float(proximal.value())
        if math.isfinite(penalty):  # where it is not, the next loss is not either, and that ends the run
            values[None, "penalty"] = penalty
        self.writer.events((record.epoch, record.step), "train", values)
        self.writer.tick(images_per_second=rate)
        self._losses.clear()

    def _write_strength_max(self) -> None:
        """Write λ_max of the first batch, whose gradients are still there, unless it was measured on more before."""
        proximal = self.training.proximal
        if self.training.spec.penalty.strength_of == "max" or not proximal.banks:
            return
        with suppress(ArithmeticError):  # the step itself says what is wrong with such gradients
            self.writer.events(
                (0, 0), "start", {(None, "strength_max"): strength_max(proximal.banks, proximal.penalty)}
            )

    def _write_removal(self, record: Removed) -> None:
        values: Values = {
            (None, "parameters_before"): float(record.before.parameters),
            (None, "parameters"): float(record.after.parameters),
            (None, "macs_before"): record.before.macs,
            (None, "macs"): record.after.macs,
        }
        self.writer.events((record.epoch, record.step), "removal", values)

    def _write_conflict(self, record: StepDone, gramian: torch.Tensor) -> None:
        pairs = conflict(gramian, tuple(self.training.tasks))
        values: Values = {
            (str(row.task), f"cosine:{row.other}"): float(row.cosine)  # type: ignore[arg-type]
            for row in pairs.itertuples()
            if math.isfinite(row.cosine)  # type: ignore[arg-type]  # a gradient of 0 has no direction
        }
        self.writer.events((record.epoch, record.step), "conflict", values)

    def _meet_requests(self, record: StepDone) -> bool:
        """Do what the user asks; return whether that is to stop."""
        control = self._control.read()
        place = (record.epoch, record.step)
        self._changes.obey(control, place)
        if control.pause and not control.stop and not self._stop_requested:
            self._wait(place)
            return self._meet_requests(record)
        return control.stop or bool(self._stop_requested)

    def _wait(self, place: tuple[int, int]) -> None:
        """Wait until asked to go on or to stop."""
        self.writer.events(place, "control", {(None, "pause"): None})
        self.writer.status(paused=True, phase="paused", remaining=None)
        began = time.monotonic()
        while (control := self._control.read()).pause and not control.stop and not self._stop_requested:
            time.sleep(PAUSE_POLL)
        self._clock += time.monotonic() - began
        self.writer.status(paused=False, phase="training")
        self.writer.events(place, "control", {(None, "resume"): None})
