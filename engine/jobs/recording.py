"""`record`: a loop of the user's own as a run folder, which the pages and the commands work on.

`run.step` notes the losses, and does what was asked on the page: it waits while the run is paused, sets the strength,
and ends the `with` block when the run is to stop. `run.epoch` writes what a run of ours writes after an epoch: metrics,
norms, sparsities, tables and a checkpoint. The architecture is stored without code, and up to 64 validation images, so
that prune and explain need neither the user's code nor data. An exception marks the run failed, Ctrl-C stopped.
"""

import time
import traceback
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self, Unpack

from filelock import FileLock
from torch import Tensor, nn

from winnow.engine.jobs.epoch_report import EpochReport, Seldom
from winnow.engine.jobs.live_changes import HeldStrength, LiveChanges, missed
from winnow.engine.jobs.loop_values import Losses, Metrics, RunStopped, Watch, how_ended, told_losses, told_metrics
from winnow.engine.jobs.network_file import still_described, write_network
from winnow.engine.jobs.recorded_spec import Started, Told, loop_start, refuse_groups
from winnow.engine.jobs.sample import write_sample
from winnow.engine.jobs.session import PAUSE_POLL, RECORDS_PER_EPOCH
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.measure.counts import weight_macs
from winnow.engine.runs.control import ControlReader
from winnow.engine.runs.norm_log import Layer, NormLog
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.trackers import opened_trackers
from winnow.engine.sparsity.counts import Counts, share_alive
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.training.balancing.losses import Equal
from winnow.engine.training.checkpoint import save_checkpoint
from winnow.engine.training.state import Training

SHARE = 0.005  # of the time, that records of losses may take
FIRST_EVERY = 2.0  # s between two records of losses while the length of an epoch is not known


def record(name: str, net: nn.Module, example: Any, proximal: Proximal, **more: Unpack[Told]) -> "Recorder":
    """Record your own training loop as a run, in a `with` block: call `step` and `epoch` of the object that it gives.

    Args:
        name: the name of the run.
        net: any module whose forward returns a dict {task: output}.
        example: an input of it, as `engine.graph.trace.trace` takes it; images are a batch (B, C, H, W).
        proximal: the optimiser of the loop.
        more: `tasks`, `loader`, `epochs`, `batch_size`, `trunk`, `controller`, `runs`: see `Told`.

    Raises:
        NotTraceable: the channels of the network cannot be followed.
        ValueError: outputs, tasks, groups or batches that do not fit each other; each is named.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> class Net(nn.Sequential):
        ...     def forward(self, x):
        ...         return {"sum": super().forward(x)}
        >>> net, x = Net(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), torch.rand(16, 4)
        >>> proximal = Proximal(torch.optim.SGD(net.parameters(), lr=0.1), coupled_groups(net, x), GroupLasso(1e-3))
        >>> with TemporaryDirectory() as folder, record("sums", net, x, proximal, runs=Path(folder)) as run:
        ...     for epoch in range(2):
        ...         loss = (net(x)["sum"][:, 0] - x.sum(1)).square().mean()
        ...         proximal.zero_grad()
        ...         loss.backward()
        ...         proximal.step()
        ...         run.step({"sum": loss})
        ...         run.epoch({"sum": {"loss": loss.item()}})
        >>> run.run.id[-4:]
        'sums'

    """
    return Recorder(loop_start(name, net, example, proximal, more))


class Recorder:
    """A run that is being recorded; see `record`."""

    def __init__(self, begun: Started) -> None:
        self._started, self._told = begun, begun.told
        net, proximal = begun.graph.model, begun.proximal
        counts = Counts(net, proximal.banks, weight_macs(net, begun.example))
        self._training = Training(
            spec=begun.spec, net=net, tasks=begun.tasks, graph=begun.graph, proximal=proximal, counts=counts,
            controller=begun.told.get("controller") or HeldStrength(proximal),
            balancer=Equal(tuple(begun.tasks), "parameters"), device=begun.device,
        )  # fmt: skip
        self._watch = Watch(net, proximal)
        self._epoch, self._saving = 0, Seldom()
        self._losses: dict[str, list[Tensor | float]] = defaultdict(list)
        self._steps_an_epoch: int | None = None
        self._images = 0.0  # seen since the last record of losses; NaN where that is not told
        self._message, self._cost = "", 0.0  # s, of writing the last record of losses
        self._clock = self._written = time.monotonic()
        self._since = 0  # the step of the last epoch

    def __enter__(self) -> Self:
        """Make the run folder, and write what is known before the first step."""
        self._watch.refuse_unless("new")
        training = self._training
        self.run: Run = create(training.spec, self._told.get("runs"))
        self._lock: FileLock = self.run.lock()
        self._lock.acquire(timeout=5)
        self._writer = ResultWriter(self.run)
        self._changes = LiveChanges(training, self._writer)
        self._report, self._control = EpochReport(training, self._writer), ControlReader(self.run.path / "control.json")
        (self.run.path / "log.txt").write_text("recorded in a loop of the user's own\n")
        self._watch.state = "open"
        try:
            self._writer.report_to(opened_trackers(self.run))
            self._begin()
        except BaseException as error:
            self._end(error)
            raise
        return self

    def _begin(self) -> None:
        training, folder = self._training, self.run.path
        if self._started.sample is not None:
            write_sample(folder, self._started.sample.images, self._started.sample.targets)
        stored = write_network(folder / "weights", training, self._started.example)
        self._message = self._started.remarked(stored, self._changes.hard())
        layers = [Layer(bank.layer, bank.channels, bank.size) for bank in training.proximal.dense_banks]
        NormLog(folder / "groups").begin(layers)
        self._report.epoch(0, self._metrics(None))
        self._clock = self._written = time.monotonic()
        self._writer.status(phase="training", message=self._message)

    def step(self, losses: Losses, images: int | None = None) -> None:
        """Note the losses of a step, after `proximal.step()`, and do what was asked on the page.

        Args:
            losses: {task: loss}, or the loss of them all.
            images: how many images the step saw, where that is not `batch_size`.

        Raises:
            RunStopped: the run is to stop. The `with` block takes it.
            ValueError: a loss of a task that there is not, or no number of images.

        """
        self.note(losses)
        self._training.step += 1
        self._images += self._watch.images(images, self._told.get("batch_size"))
        if self._due():
            self._write_losses()
        self._meet_requests()

    def note(self, losses: Losses, late: bool = False) -> None:
        """Note losses without a step: of a batch that accumulates, told after its step, or `late`, after its epoch."""
        self._watch.refuse_unless("open")
        for task, loss in told_losses(losses, self._training.tasks).items():
            self._losses[task].append(loss)
        if late:
            self._write_losses()

    def epoch(self, metrics: Metrics | None = None) -> None:
        """Write what is known after an epoch; `metrics` is {task: {name: value}} on validation.

        With `loader` they may be left out: they are then those of its batches. Short epochs share a checkpoint (SHARE).

        Raises:
            ValueError: metrics of a task that there is not, or no numbers; a network that was moved or changed.

        """
        self._watch.refuse_epoch()
        training = self._training
        refuse_groups(training.net, training.proximal)
        told = None if metrics is None else told_metrics(metrics, training.tasks)
        if self._losses:
            self._write_losses()
        self._epoch += 1
        self._watch.norms()
        self._steps_an_epoch, self._since = training.step - self._since, training.step
        self._report.epoch(self._epoch, self._metrics(told))
        if not self._watch.diverged():
            self._saving.when_due(self._save)
        self._progress(now=True)
        self._written = time.monotonic()  # the pace is that of steps

    def add(self, metrics: Metrics) -> None:
        """Write metrics of the last epoch that were not known yet when it was written."""
        self._watch.refuse_unless("open")
        self._report.metrics((self._epoch, self._training.step), "val", told_metrics(metrics, self._training.tasks))

    def _metrics(self, given: Mapping[str, Mapping[str, float]] | None) -> Mapping[str, Mapping[str, float]]:
        if given is not None or self._started.loader is None:
            return given or {}
        return self._started.loader.metrics(self._training.net, first=self._epoch == 0)

    def _due(self) -> bool:
        """Whether losses are to be written: ten times an epoch, or every two seconds in the first one; see SHARE."""
        since = time.monotonic() - self._written
        if self._training.step > 1 and since < self._cost / SHARE:
            return False
        if self._steps_an_epoch is None:
            return self._training.step == 1 or since > FIRST_EVERY
        return (self._training.step - self._since) % max(1, self._steps_an_epoch // RECORDS_PER_EPOCH) == 0

    def _write_losses(self) -> None:
        training, now = self._training, time.monotonic()
        means = {task: sum(float(loss) for loss in own) / len(own) for task, own in self._losses.items()}
        self._watch.losses(means, training.step)
        self._watch.norms()
        values: dict[tuple[str | None, str], float | None] = {(task or None, "loss"): m for task, m in means.items()}
        values |= {
            (None, "alive"): share_alive(training.proximal.banks, training.proximal.norms),
            (None, "strength"): training.proximal.strength,
            (None, "penalty"): float(training.proximal.value()),
        }
        if self._images > 0:
            pace = self._images / max(now - self._written, 1e-9)
            values[None, "images_per_second"] = pace
            self._writer.tick(images_per_second=pace)
        self._writer.events(self._place(), "train", values)
        self._losses.clear()
        self._progress()
        self._written, self._images = time.monotonic(), 0.0
        self._cost = self._written - now

    def _place(self) -> tuple[int, int]:
        """Return the epoch in which the last step was, and its number."""
        return self._epoch + (self._training.step > self._since), self._training.step

    def _progress(self, now: bool = False) -> None:
        asked, done = self._told.get("epochs"), self._epoch
        known: dict[str, object] = {"epoch": done, "step": self._training.step, "epochs": max(asked or 0, done, 1)}
        if asked:
            steps, since = self._steps_an_epoch, self._training.step - self._since
            part = min((done + (min(since / steps, 1) if steps else 0)) / asked, 1.0)
            spent = time.monotonic() - self._clock
            known |= {"progress": part, "remaining": spent * (1 - part) / part if part else None}
        (self._writer.status if now else self._writer.tick)(**known)

    def _meet_requests(self) -> None:
        """Do what the user asks: another strength or target, a pause, the end."""
        control, place = self._control.read(), self._place()
        self._changes.obey(control, place)
        if control.pause and not control.stop:
            self._wait(place)
            self._meet_requests()
        elif control.stop:
            self._writer.events(place, "control", {(None, "stop"): None})
            raise RunStopped

    def _wait(self, place: tuple[int, int]) -> None:
        """Wait until asked to go on or to stop."""
        self._writer.events(place, "control", {(None, "pause"): None})
        self._writer.status(paused=True, phase="paused", remaining=None)
        began = time.monotonic()
        while (control := self._control.read()).pause and not control.stop:
            time.sleep(PAUSE_POLL)
        waited = time.monotonic() - began
        self._clock, self._written = self._clock + waited, self._written + waited
        self._writer.status(paused=False, phase="training")
        self._writer.events(place, "control", {(None, "resume"): None})

    def _save(self) -> None:
        save_checkpoint(self.run.path / "weights", self._training, self._epoch)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[True] | None:
        """Write how the loop ended. Only the end that the page asked for is kept from the caller."""
        self._end(error)
        return True if isinstance(error, RunStopped) else None

    def _end(self, error: BaseException | None) -> None:
        if not self._watch.leave():
            return
        try:
            self._progress(now=True)
            if (state := how_ended(error)) != "failed":
                self._end_well(state)
            else:
                with suppress(OSError), (self.run.path / "log.txt").open("a", errors="backslashreplace") as log:
                    traceback.print_exception(error, file=log)
                self._writer.fail(self._watch.failure(error))
        except BaseException as fault:
            self._writer.fail(self._watch.failure(fault))
            raise
        finally:
            self._lock.release()

    def _end_well(self, state: str) -> None:
        if self._losses:
            self._write_losses()
        self._watch.refuse_layers()
        training = self._training
        said = [*filter(None, [self._message, missed(training)])]
        said += self._watch.said(training.step, training.step - self._since)
        if wrong := self._watch.diverged():
            self._writer.finish("failed", "; ".join([wrong, *said]))
            return
        self._save()
        said += filter(None, [still_described(self.run.path / "weights", training, self._started.example)])
        self._report.tables()
        self._writer.finish(state, "; ".join(said))
