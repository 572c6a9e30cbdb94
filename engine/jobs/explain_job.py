"""The explanation of a run, from its newest checkpoint to tables, the first ones within seconds.

| table          | columns                                                                                            |
|----------------|----------------------------------------------------------------------------------------------------|
| `relevance`    | method, then those of `explain.relevance.relevance`: task, layer, channel, relevance, low, high, … |
| `usage`        | one row per cell, of the first method: explain.usage.usage                                         |
| `layers`       | layer, depth, label, channels, part, total, share_<task>…: explain.usage.layers                    |
| `overlaps`     | layer, tasks, size, channels: explain.usage.overlaps                                               |
| `heads`        | task, layer, channel, norm, zero: explain.checks.structural                                        |
| `affinity`     | layer, task, other, cosine, conflict_rate, transfer: explain.checks.affinity                       |
| `ablation`     | step (of the checkpoint), then those of explain.checks.ablation, deletions in orders included      |
| `deletion`     | the curves: layer, task, order, draw, fraction, channels, loss, loss_change, effect                |
| `faithfulness` | layer, task, figure, value, method, images: explain.checks.badges                                  |

Beside them lies `spatial.safetensors`: where in the image (engine.explain.maps.store).

In this order: relevance by the first method, shuffled weights (part of what decides what is idle), usage; affinity;
maps; ablation and deletion, block after block; the other methods, layer after layer, each with its faithfulness. Every
table is written as soon as there is something to see, and replaced as it grows. Asked to end, the job stops after the
pass that it is in. Started again in the same folder, it takes up the ablations that it finds there, if they are of the
same checkpoint.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from winnow.engine.explain.checks.ablation import Deletion, ablations
from winnow.engine.explain.checks.affinity import gradient_cosines, transfer
from winnow.engine.explain.checks.agreement import agreement, split_half
from winnow.engine.explain.checks.deletion import curves, deletion_figures
from winnow.engine.explain.checks.structural import structural_use
from winnow.engine.explain.faithfulness import finished, plan, randomisations
from winnow.engine.explain.relevance.means import Means, channel_means
from winnow.engine.explain.relevance.probe import Probe, narrowed, probe
from winnow.engine.explain.relevance.refusals import NotAttributableError
from winnow.engine.explain.relevance.relevance import measured
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.explain.usage import layers, overlaps, usage
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.trace import trace
from winnow.engine.jobs.explain_maps import check_channels, write_maps
from winnow.engine.jobs.explain_source import Source, source
from winnow.engine.jobs.writer import Pen
from winnow.engine.runs.run import Run
from winnow.engine.specs.explain import ExplainSpec, Method

TABLES_EVERY = 2.0  # s
JOINT: tuple[Method, ...] = ("taylor", "taylor_positions", "gradient_x_activation")  # all layers in one pass


class _EndedError(Exception):
    """Somebody asked the job to end."""


def run_explain(run: Run, spec: ExplainSpec, writer: Pen, asked_to_end: object) -> str:
    """Explain the run's newest checkpoint; return the final state, `done` or `stopped`.

    Raises:
        ValueError: no checkpoint is whole, a layer, channel or device does not exist.

    """
    writer.status(phase="reading the run", progress=0.0)
    read = source(run, spec, lambda done, total: writer.tick(phase=f"reading image {done} of {total}"))
    settings = Settings(
        of=spec.of, fill=spec.fill, images=spec.images, bootstrap=spec.bootstrap, steps=spec.steps, seed=spec.seed
    )
    asked = probe(read.net, read.batches, layers=spec.layers or None, tasks=read.tasks, settings=settings)
    check_channels(asked, spec)
    writer.status(phase="means of the channels", progress=0.02)
    job = _Job(spec, writer, asked_to_end, read, asked, channel_means(asked))
    try:
        job.go()
    except _EndedError:
        return "stopped"
    return "done"


@dataclass
class _Job:
    """One explanation under way."""

    spec: ExplainSpec
    pen: Pen
    ending: object
    read: Source
    probe: Probe
    means: Means
    relevance: dict[Method, pd.DataFrame] = field(default_factory=dict)
    figures: list[pd.DataFrame] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def go(self) -> None:
        """Do everything, in the order in which it is wanted."""
        first, *others = self.spec.methods
        self._attribute(first, (0.03, 0.10))
        if first not in self.relevance:
            raise ValueError(self.refused[0])
        self._use(first)
        self._say("how the tasks pull", 0.2)
        affinity = gradient_cosines(self.probe)
        self.pen.table("affinity", affinity.assign(transfer=float("nan")))
        if self.spec.maps:
            telling = (self.pen.folder, lambda phase: self._say(phase, 0.22))
            write_maps(self.probe, self.relevance[first], self.means, self.spec, telling)
        ablated = self._ablate(first, (0.25, 0.6 if others else 1.0))
        self._judge(first, ablated)
        if ablated is not None:
            self.pen.table("affinity", affinity.merge(transfer(ablated), on=["layer", "task", "other"], how="left"))
        for place, method in enumerate(others):
            self._attribute(method, (0.6 + 0.4 * place / len(others), 0.6 + 0.4 * (place + 1) / len(others)))
            self._judge(method, ablated)

    def _say(self, phase: str, progress: float) -> None:
        """Say what comes next; leave if somebody asked for that."""
        if self.ending:
            raise _EndedError
        self.pen.status(phase=phase, progress=progress)

    def _attribute(self, method: Method, span: tuple[float, float]) -> None:
        """Measure relevance by a method, layer after layer where it takes each alone; a refusal is told, not fatal."""
        parts: list[pd.DataFrame] = []
        groups = [self.probe.sites] if method in JOINT else [(site,) for site in self.probe.sites]
        for place, sites in enumerate(groups):
            self._say(f"relevance by {method}", span[0] + (span[1] - span[0]) * place / len(groups))
            try:
                parts.append(measured(narrowed(self.probe, sites=sites), method, self.means))
            except NotAttributableError as error:
                self.refused.append(str(error))
                self.pen.status(message=" ".join(self.refused))
                return
            self.relevance[method] = pd.concat(parts, ignore_index=True)
            self._write_relevance()

    def _write_relevance(self) -> None:
        named = [frame.assign(method=method) for method, frame in self.relevance.items()]
        whole = pd.concat(named, ignore_index=True)
        self.pen.table("relevance", whole[["method", *whole.columns.drop("method")]])

    def _use(self, method: Method) -> None:
        """Write who uses what, with the noise of a shuffled network where that is wanted."""
        relevance, noise = self.relevance[method], None
        self.figures.append(finished([split_half(relevance)], method, self.read.images))
        if self.spec.randomisations and method in JOINT:
            self._say("shuffled weights", 0.1)
            found = randomisations(
                self.probe, method, relevance, self.means, lambda: self._say("shuffled weights", 0.15)
            )
            noise = found[-1][1]
            self.figures.append(finished([figures for figures, _ in found], method, self.read.images))
        used = usage(relevance, noise)
        for name, frame in (("usage", used), ("layers", layers(used)), ("overlaps", overlaps(used))):
            self.pen.table(name, frame)
        self.pen.table("faithfulness", pd.concat(self.figures, ignore_index=True))
        try:
            self.pen.table("heads", structural_use(trace(self.read.net, self.read.batches.example())))
        except NotTraceable as error:
            self.refused.append(f"the heads' columns are left out: {error}")

    def _ablate(self, method: Method, span: tuple[float, float]) -> pd.DataFrame | None:
        """Return the rows of all ablations, those found in the folder included; None if there are none to do."""
        wanted = plan(self.relevance[method], self.spec.ablations, self.spec.seed)
        if not wanted:
            return None
        rows = list(_found(self.pen.folder / "tables" / "ablation.parquet", self.read, wanted))
        done = {key for frame in rows for key in _keys(frame)}
        written = 0.0
        seen = narrowed(self.probe, images=min(self.spec.ablation_images, self.spec.images))
        self._say(f"ablation: {len(done)} of {len(wanted)}", span[0])
        for block in ablations(seen, wanted, self.means, done):
            rows.append(block.assign(step=self.read.step))
            done |= set(_keys(block))
            part = len(done) / len(wanted)
            self.pen.tick(
                phase=f"ablation: {len(done)} of {len(wanted)}", progress=span[0] + (span[1] - span[0]) * part
            )
            if self.ending or time.monotonic() - written > TABLES_EVERY:
                self._write_ablation(rows)
                written = time.monotonic()
            if self.ending:
                raise _EndedError
        return self._write_ablation(rows)

    def _write_ablation(self, rows: Sequence[pd.DataFrame]) -> pd.DataFrame:
        whole = pd.concat(rows, ignore_index=True)
        whole = whole[["step", *whole.columns.drop("step")]]
        self.pen.table("ablation", whole)
        self.pen.table("deletion", curves(whole))
        return whole

    def _judge(self, method: Method, ablated: pd.DataFrame | None) -> None:
        """Hold a method against the ablations, and write all figures so far."""
        if method not in self.relevance:
            return
        if method != self.spec.methods[0]:
            self.figures.append(finished([split_half(self.relevance[method])], method, self.read.images))
        if ablated is not None:
            parts = [agreement(self.relevance[method], ablated)]
            if method == self.spec.methods[0]:
                parts.append(deletion_figures(curves(ablated)))
            self.figures.append(finished(parts, method, self.read.images))
        self.pen.table("faithfulness", pd.concat(self.figures, ignore_index=True))


def _keys(frame: pd.DataFrame) -> list[tuple[str, int, str]]:
    """Return the key of the deletion behind every row."""
    return list(zip(*(frame[name].tolist() for name in ("layer", "channel", "group")), strict=True))


def _found(file: Path, read: Source, wanted: Sequence[Deletion]) -> Iterator[pd.DataFrame]:
    """Yield the wanted rows of an earlier, interrupted job on the same checkpoint."""
    if not file.exists():
        return
    earlier = pd.read_parquet(file)
    keys = {deletion.key for deletion in wanted}
    known = np.array([key in keys for key in _keys(earlier)], bool)
    rows = earlier[(earlier["step"] == read.step) & known]
    if len(rows):
        yield rows
