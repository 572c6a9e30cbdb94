"""A training run from spec to last checkpoint: data, network, loop and pen composed. The worker's torch half."""

import time
from collections import defaultdict
from dataclasses import asdict

import numpy as np
import torch

from data.catalog import load
from data.stacking import Stacked, stack
from engine.batches import Batches
from engine.checkpoint import load_checkpoint, save_checkpoint
from engine.control import ControlReader
from engine.files import replace_json
from engine.networks.multitask import build_network
from engine.norms import Layer
from engine.reporting import Reporter
from engine.spec import DigitsData, TrainSpec
from engine.tally import living
from engine.tasks.build import build_tasks
from engine.training import EpochDone, StepDone, Training, begin, constant_metrics, start_at_constants, train, validate

RECORDS_PER_EPOCH = 10
PAUSE_POLL = 0.1  # s


def run_training(reporter: Reporter, asked_to_end: list[bool]) -> str:
    """Train the reporter's run from where it stands; return the final state, `done` or `stopped`."""
    spec = reporter.run.spec
    device = _prepare(spec)
    tasks = build_tasks(load(spec.data.dataset, split="val", **_options(spec, "val")).fields, spec.tasks)
    batches, validation = (
        Batches(_read(spec, split, reporter), tasks, spec.batch_size, device) for split in ("train", "val")
    )
    reporter.status(phase="building the network")
    torch.manual_seed(spec.seed)
    training = begin(spec, build_network(spec.network, tasks, batches.channels), tasks, batches)
    start_at_constants(training, batches)
    session = Session(training, batches, validation, reporter, asked_to_end)
    session.enter()
    return session.go()


class Session:
    """One stretch of training under a user's eyes: steps counted, wishes granted, results written."""

    def __init__(
        self, training: Training, batches: Batches, validation: Batches, reporter: Reporter, ending: list[bool]
    ) -> None:
        self.training, self.batches, self.validation, self.reporter = training, batches, validation, reporter
        self._ending = ending
        self._control = ControlReader(reporter.run.path / "control.json")
        self._granted: float | None = None
        self._losses: dict[str, list[float]] = defaultdict(list)
        self._every = max(1, batches.steps // RECORDS_PER_EPOCH)
        self._clock, self._first = time.monotonic(), training.step
        self._last = (self._clock, training.step)

    def enter(self) -> None:
        """Take up the newest checkpoint, or write what is known before the first step."""
        run, training = self.reporter.run, self.training
        skipped = load_checkpoint(run.path / "weights", training)
        if skipped:
            self.reporter.status(message=f"damaged checkpoints were passed over: {', '.join(skipped)}")
        banks = training.proximal.banks
        run.norms.begin([Layer(bank.layer, bank.channels, bank.size) for bank in banks])
        (run.path / "weights").mkdir(exist_ok=True)
        network = training.spec.network.model_dump(mode="json")
        described = {name: asdict(task.field) for name, task in training.tasks.items()}
        replace_json(
            run.path / "weights" / "network.json",
            {"network": network, "tasks": described, "channels": self.batches.channels},
        )
        if training.step == 0:
            constant = constant_metrics(training.tasks, self.batches, self.validation)
            self._metrics((0, 0), "constant", constant)
            self._metrics((0, 0), "val", validate(training, self.validation))
            self._groups(0)
        self._first = training.step
        self._clock = time.monotonic()
        self._last = (self._clock, training.step)
        self.reporter.status(phase="training", started=self.reporter.run.recorded_status().started)

    def go(self) -> str:
        """Train until the end, or until somebody asks to stop."""
        for record in train(self.training, self.batches, self.validation):
            if isinstance(record, EpochDone):
                self._metrics((record.epoch, record.step), "val", record.metrics)
                self._groups(record.epoch)
                save_checkpoint(self.reporter.run.path / "weights", self.training, record.epoch)
            else:
                self._count(record)
                if self._grant(record):
                    save_checkpoint(self.reporter.run.path / "weights", self.training, record.epoch)
                    return "stopped"
        return "done"

    def _count(self, record: StepDone) -> None:
        """Gather the losses, write their means ten times an epoch."""
        for task, loss in record.losses.items():
            self._losses[task].append(loss)
        total = self.training.spec.epochs * self.batches.steps
        now = time.monotonic()
        pace = (now - self._clock) / max(record.step - self._first, 1)
        if record.step % self._every == 0 or record.step == self._first + 1:
            self._write_step(record, now)
        self.reporter.tick(
            epoch=record.epoch, step=record.step, progress=record.step / total, remaining=pace * (total - record.step)
        )

    def _write_step(self, record: StepDone, now: float) -> None:
        then, step = self._last
        rate = (record.step - step) * self.training.spec.batch_size / max(now - then, 1e-9)
        self._last = (now, record.step)
        norms = torch.cat(self.training.proximal.norms)
        values: dict[tuple[str | None, str], float | None] = {
            (task, "loss"): float(np.mean(losses)) for task, losses in self._losses.items()
        }
        values |= {
            (None, "alive"): float((norms > 0).float().mean()),
            (None, "strength"): record.strength,
            (None, "penalty"): float(self.training.proximal.value()),
            (None, "images_per_second"): rate,
        }
        self.reporter.events((record.epoch, record.step), "train", values)
        self.reporter.tick(images_per_second=rate)
        self._losses.clear()

    def _grant(self, record: StepDone) -> bool:
        """Do what the user asks; return whether that is to stop."""
        control = self._control.read()
        place = (record.epoch, record.step)
        if control.strength is not None and control.strength != self._granted:
            self._granted = control.strength
            if control.strength != self.training.controller.base:
                self.training.controller.base = control.strength
                self.reporter.events(place, "control", {(None, "strength"): control.strength})
        if control.pause and not control.stop and not self._ending:
            self._wait(place)
            control = self._control.read()
            return self._grant(record) if not control.stop else self._stop(place)
        return self._stop(place) if control.stop or self._ending else False

    def _stop(self, place: tuple[int, int]) -> bool:
        self.reporter.events(place, "control", {(None, "stop"): None})
        return True

    def _wait(self, place: tuple[int, int]) -> None:
        """Stand still until asked to go on or to stop."""
        self.reporter.events(place, "control", {(None, "pause"): None})
        self.reporter.status(paused=True, phase="paused", remaining=None)
        began = time.monotonic()
        while (control := self._control.read()).pause and not control.stop and not self._ending:
            time.sleep(PAUSE_POLL)
        self._clock += time.monotonic() - began
        self.reporter.status(paused=False, phase="training")
        self.reporter.events(place, "control", {(None, "resume"): None})

    def _metrics(self, place: tuple[int, int], split: str, metrics: dict[str, dict[str, float]]) -> None:
        self.reporter.events(
            place, split, {(task, name): value for task, values in metrics.items() for name, value in values.items()}
        )

    def _groups(self, epoch: int) -> None:
        """Write the norms of all groups and the three sparsities."""
        proximal, step = self.training.proximal, self.training.step
        norms = torch.cat(proximal.norms).float().cpu().numpy()
        self.reporter.run.norms.append(epoch, step, proximal.strength, norms)
        shares = self.training.tally.all_percents(living(proximal.norms))
        self.reporter.events((epoch, step), "model", {(None, name): value for name, value in shares.items()})


def _prepare(spec: TrainSpec) -> torch.device:
    """Set what decides the bits; return where to train."""
    torch.set_num_threads(spec.threads)
    torch.set_flush_denormal(True)  # the moments of dead groups decay into denormals, four times slower
    torch.use_deterministic_algorithms(True, warn_only=True)
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("`device` should be one that this machine has. Found 'cuda' without a CUDA device.")
    usable = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(usable if spec.device == "auto" else spec.device)


def _options(spec: TrainSpec, split: str) -> dict[str, int]:
    data = spec.data
    if isinstance(data, DigitsData):
        return {"seed": data.data_seed}
    length = data.train_length if split == "train" else data.val_length
    return {"length": length, "size": data.size, "seed": data.data_seed}


def _read(spec: TrainSpec, split: str, reporter: Reporter) -> Stacked:
    dataset = load(spec.data.dataset, split=split, **_options(spec, split))  # type: ignore[arg-type]
    verb = "rendering" if spec.data.dataset == "scenes" else "reading"

    def progress(done: int, total: int) -> None:
        reporter.tick(phase=f"{verb} {spec.data.dataset} ({split}): {done} of {total}")

    return stack(dataset, spec.tasks, progress)
