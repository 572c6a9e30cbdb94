"""An explanation of a run, from its newest checkpoint to tables; the first ones are there within seconds.

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
| `separation`   | of the channels with maps: explain.separation: the AUROC of a channel for each class or range      |
| `images`       | image, task, metric, unit, better, run: each image by itself (training.per_image)                  |
| `classes`      | image, task, class, name, intersection_run, union_run [pixel]                                      |

Where circuits are asked for: `circuits`, `circuit_figures`, `circuit_overlaps` (explain.circuits.circuits).

Beside them is `spatial.safetensors`: where in the image (engine.explain.maps.store).

The order: relevance by the first method, shuffled weights (they help to decide what is idle), usage; affinity; maps;
ablation and deletion, block after block; the other methods, layer after layer, each with its faithfulness; circuits.
Every table is written as soon as there is something to see, and replaced as it grows. When asked to stop, the job ends
after the current pass. Started again in the same folder, it continues with the ablations there, if they are of the same
checkpoint.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from winnow.engine.explain.checks.ablation import Deletion, ablations
from winnow.engine.explain.checks.affinity import effect_correlations, gradient_cosines
from winnow.engine.explain.checks.agreement import agreement, split_half
from winnow.engine.explain.checks.deletion import curve_points, deletion_figures
from winnow.engine.explain.checks.randomising import randomisations
from winnow.engine.explain.checks.structural import structural_use
from winnow.engine.explain.circuits.circuits import circuit_layers, probe_circuits, with_layers
from winnow.engine.explain.circuits.selecting import Learning
from winnow.engine.explain.faithfulness import faithfulness_rows, planned_deletions
from winnow.engine.explain.maps.attributions import channel_answers
from winnow.engine.explain.maps.making import SpatialSettings, check_cells, spatial, top_cells
from winnow.engine.explain.maps.store import write_spatial
from winnow.engine.explain.relevance.means import Means, channel_means
from winnow.engine.explain.relevance.probe import Probe, probe, restricted
from winnow.engine.explain.relevance.refusals import NotAttributableError
from winnow.engine.explain.relevance.relevance import probe_relevance
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.explain.separation import separation_table
from winnow.engine.explain.usage import layer_usage, task_overlaps, usage
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.trace import trace
from winnow.engine.jobs.restore import ExplainedRun, explained_run
from winnow.engine.jobs.writer import Writer
from winnow.engine.runs.reading import checked_table
from winnow.engine.runs.run import Run
from winnow.engine.specs.explain import ExplainSpec, Method
from winnow.engine.training.per_image import judged_images

TABLES_EVERY = 2.0  # s
JOINT: tuple[Method, ...] = ("taylor", "taylor_positions", "gradient_x_activation")  # all layers in one pass


class _StoppedError(Exception):
    """The job was asked to stop."""


def run_explain(run: Run, spec: ExplainSpec, writer: Writer, stop_requested: object) -> str:
    """Explain the run's newest checkpoint; return the final state, `done` or `stopped`.

    Raises:
        ValueError: no checkpoint is intact, or a layer, channel or device does not exist.

    """
    writer.status(phase="reading the run", progress=0.0)
    read = explained_run(run, spec, lambda phase: writer.tick(phase=phase))
    settings = Settings(
        of=spec.of, fill=spec.fill, images=spec.images, bootstrap=spec.bootstrap, steps=spec.steps, seed=spec.seed
    )
    probed = probe(read.net, read.batches, layers=spec.layers or None, tasks=read.described, settings=settings)
    check_cells(probed, _named_cells(spec))
    writer.status(phase="measuring channel means", progress=0.02)
    job = _Job(spec, writer, stop_requested, read, probed, channel_means(probed))
    for name, why in probed.left_out.items():
        writer.remark(f"Layer {name} is left out: {why}.")
    try:
        job.go()
    except _StoppedError:
        return "stopped"
    return "done"


@dataclass
class _Job:
    """One running explanation."""

    spec: ExplainSpec
    writer: Writer
    stop_requested: object
    read: ExplainedRun
    probe: Probe
    means: Means
    relevance: dict[Method, pd.DataFrame] = field(default_factory=dict)
    figures: list[pd.DataFrame] = field(default_factory=list)
    refused: str = ""  # why the last method that was refused is none for this network

    def go(self) -> None:
        """Do everything, in the order above."""
        first, *others = self.spec.methods
        self._attribute(first, (0.03, 0.10))
        if first not in self.relevance:
            raise ValueError(self.refused)
        self._write_usage(first)
        self._write_images()
        self._begin("measuring gradient cosines of the tasks", 0.2)
        affinity = gradient_cosines(self.probe)
        self.writer.table("affinity", affinity.assign(transfer=float("nan")))
        if self.spec.maps:
            self._write_maps(self.relevance[first])
        ablated = self._ablate(first, (0.25, 0.6 if others else 1.0))
        self._compare(first, ablated)
        if ablated is not None:
            self.writer.table(
                "affinity", affinity.merge(effect_correlations(ablated), on=["layer", "task", "other"], how="left")
            )
        for place, method in enumerate(others):
            self._attribute(method, (0.6 + 0.4 * place / len(others), 0.6 + 0.4 * (place + 1) / len(others)))
            self._compare(method, ablated)
        if self.spec.circuits:
            self._write_circuits()

    def _begin(self, phase: str, progress: float) -> None:
        """Write the phase that begins; raise if the job was asked to stop."""
        if self.stop_requested:
            raise _StoppedError
        self.writer.status(phase=phase, progress=progress)

    def _attribute(self, method: Method, span: tuple[float, float]) -> None:
        """Measure relevance by a method, layer after layer where it takes one at a time; note a refusal and go on."""
        parts: list[pd.DataFrame] = []
        groups = [self.probe.sites] if method in JOINT else [(site,) for site in self.probe.sites]
        for place, sites in enumerate(groups):
            self._begin(f"measuring relevance by {method}", span[0] + (span[1] - span[0]) * place / len(groups))
            try:
                parts.append(probe_relevance(restricted(self.probe, sites=sites), method, self.means))
            except NotAttributableError as error:
                self.refused = str(error)
                self.writer.remark(self.refused)
                return
            self.relevance[method] = pd.concat(parts, ignore_index=True)
            self._write_relevance()

    def _write_relevance(self) -> None:
        named = [frame.assign(method=method) for method, frame in self.relevance.items()]
        whole = pd.concat(named, ignore_index=True)
        self.writer.table("relevance", whole[["method", *whole.columns.drop("method")]])

    def _write_usage(self, method: Method) -> None:
        """Write which task uses which channel, with the noise of a shuffled network where the spec asks for it."""
        relevance, noise = self.relevance[method], None
        self.figures.append(faithfulness_rows([split_half(relevance)], method, self.read.images))
        if self.spec.randomisations and method in JOINT:
            phase = "measuring relevance with shuffled weights"
            self._begin(phase, 0.1)
            found = randomisations(self.probe, method, relevance, self.means, lambda: self._begin(phase, 0.15))
            noise = found[-1][1]
            self.figures.append(faithfulness_rows([figures for figures, _ in found], method, self.read.images))
        used = usage(relevance, noise)
        for name, frame in (("usage", used), ("layers", layer_usage(used)), ("overlaps", task_overlaps(used))):
            self.writer.table(name, frame)
        self.writer.table("faithfulness", pd.concat(self.figures, ignore_index=True))
        try:
            graph = trace(self.read.net, self.read.batches.example())
            self.writer.table("heads", structural_use(graph, self.read.trunk))
        except (NotTraceable, ValueError) as error:
            self.writer.remark(f"The table `heads` is missing: {error}")

    def _write_images(self) -> None:
        """Write what every image gets by itself, so that two runs can be compared image by image and class by class."""
        self._begin("judging every image", 0.18)
        images, classes = judged_images({"run": self.read.net}, self.read.tasks, self.read.batches)
        if len(images):
            self.writer.table("images", images)
            self.writer.table("classes", classes)

    def _write_maps(self, relevance: pd.DataFrame) -> None:
        """Write the maps of the channels that the spec names, or else of the most relevant ones of every task."""
        spec = self.spec
        cells = _named_cells(spec) or top_cells(relevance, spec.map_channels, spec.layers or None)
        settings = SpatialSettings(images=spec.maps, steps=spec.steps)
        found = spatial(self.probe, cells, self.means, settings, lambda phase: self._begin(phase, 0.22))
        write_spatial(self.writer.folder, found.arrays, found.index)
        self._begin("measuring which classes the channels separate", 0.24)
        activations, targets = channel_answers(self.probe, cells)
        fields = {name: task.field for name, task in self.read.tasks.items()}
        self.writer.table("separation", separation_table(activations, fields, targets))

    def _ablate(self, method: Method, span: tuple[float, float]) -> pd.DataFrame | None:
        """Return the rows of all ablations, with those found in the folder; None if there are none to do."""
        wanted = planned_deletions(self.relevance[method], self.spec.ablations, self.spec.seed)
        if not wanted:
            return None
        rows = list(_found(self.writer.folder / "tables" / "ablation.parquet", self.read, wanted))
        done = {key for frame in rows for key in _keys(frame)}
        written = 0.0
        seen = restricted(self.probe, images=min(self.spec.ablation_images, self.spec.images))
        self._begin(f"ablation: {len(done)} of {len(wanted)}", span[0])
        for block in ablations(seen, wanted, self.means, done):
            rows.append(block.assign(step=self.read.step))
            done |= set(_keys(block))
            part = len(done) / len(wanted)
            self.writer.tick(
                phase=f"ablation: {len(done)} of {len(wanted)}", progress=span[0] + (span[1] - span[0]) * part
            )
            if self.stop_requested or time.monotonic() - written > TABLES_EVERY:
                self._write_ablation(rows)
                written = time.monotonic()
            if self.stop_requested:
                raise _StoppedError
        return self._write_ablation(rows)

    def _write_ablation(self, rows: Sequence[pd.DataFrame]) -> pd.DataFrame:
        whole = pd.concat(rows, ignore_index=True)
        whole = whole[["step", *whole.columns.drop("step")]]
        self.writer.table("ablation", whole)
        self.writer.table("deletion", curve_points(whole))
        return whole

    def _write_circuits(self) -> None:
        """Write the circuit of every task, or why there are none."""
        self._begin("tracing the edges", 0.99)
        net, trunk = self.read.net, self.read.trunk
        try:
            layers = circuit_layers(self.probe, trace(net, self.read.batches.example()), trunk)
            probed = with_layers(self.probe, layers)
            learning = Learning(steps=self.spec.circuit_steps)
            found = probe_circuits(probed, channel_means(probed), learning, lambda phase: self._begin(phase, 0.99))
        except (NotTraceable, ValueError) as error:
            self.writer.remark(f"The circuits are missing: {error}")
            return
        for name, frame in found.tables.items():
            self.writer.table(name, frame)
        for why in found.refused.values():
            self.writer.remark(why)
        if found.left_out:
            reasons = "; ".join(f"{name}: {why}" for name, why in found.left_out.items())
            self.writer.remark(f"Some layers have no edges that can be cut, and stay whole. {reasons}.")

    def _compare(self, method: Method, ablated: pd.DataFrame | None) -> None:
        """Compare a method with the ablations, and write all figures so far."""
        if method not in self.relevance:
            return
        if method != self.spec.methods[0]:
            self.figures.append(faithfulness_rows([split_half(self.relevance[method])], method, self.read.images))
        if ablated is not None:
            parts = [agreement(self.relevance[method], ablated)]
            if method == self.spec.methods[0]:
                parts.append(deletion_figures(curve_points(ablated)))
            self.figures.append(faithfulness_rows(parts, method, self.read.images))
        self.writer.table("faithfulness", pd.concat(self.figures, ignore_index=True))


def _named_cells(spec: ExplainSpec) -> dict[str, tuple[int, ...]]:
    """Return {layer: channels} of the channels that the spec names for its maps; empty where it names none."""
    return {spec.layers[0]: spec.channels} if spec.channels else {}


def _keys(frame: pd.DataFrame) -> list[tuple[str, int, str]]:
    """Return the key of every row's deletion."""
    return list(zip(*(frame[name].tolist() for name in ("layer", "channel", "group")), strict=True))


def _found(file: Path, read: ExplainedRun, wanted: Sequence[Deletion]) -> Iterator[pd.DataFrame]:
    """Yield the wanted rows of an earlier, interrupted job on the same checkpoint."""
    if not file.exists():
        return
    earlier = checked_table(file)
    keys = {deletion.key for deletion in wanted}
    known = np.array([key in keys for key in _keys(earlier)], bool)
    rows = earlier[(earlier["step"] == read.step) & known]
    if len(rows):
        yield rows
