"""Snapshots during training: after each epoch in which the sparsity first reached a multiple of some per cent.

Where the spec asks for `snapshots`, the zeros of the current network are removed, the smaller network is proved to be
the same, and it is written as a folder that loads without the dense one (engine.runs.snapshots). The sparsity is of the
kind that the target has, and of groups where there is no target. An epoch that passes several multiples at once makes
one snapshot, at the highest. A level that the run already had at its start (with another run's weights) makes none.

Training is not affected: the network is only read, the random state is put back, and snapshots are made after the
epoch's validation, whose metrics they hold. `gather="always"` removes every zero group and needs no timing, which would
differ from run to run. Where a network cannot be written, the status says so and the run goes on.

| table              | columns                                                                            |
|--------------------|------------------------------------------------------------------------------------|
| `snapshots`        | the fields of `engine.runs.snapshots.Snapshot` without the metrics, and `folder`   |
| `snapshot_metrics` | level, task, metric, value, unit, higher_is_better: on the validation images       |
"""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from winnow.engine.export import NotDescribable, save_model
from winnow.engine.graph.modes import evaluating
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.jobs.certificate_file import certificate_document, reasons_table
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.measure.counts import macs, parameters
from winnow.engine.pruning import Certificate, NotExact, compact
from winnow.engine.runs import snapshots
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.norm_log import NormLog
from winnow.engine.runs.snapshots import Snapshot
from winnow.engine.sparsity.counts import living
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.training.evaluate import metrics_table
from winnow.engine.training.loop import EpochDone
from winnow.engine.training.state import Training


class Snapshots:
    """Follows the sparsity of a training, and makes the snapshots that its spec asks for."""

    def __init__(self, training: Training, example: Tensor, writer: ResultWriter) -> None:
        self._training, self._example, self._writer = training, example, writer
        penalty = training.spec.penalty
        self._every = training.spec.snapshots
        self._of = penalty.target_of if penalty.target is not None else "group"
        self._passed = 0

    def begin(self) -> None:
        """Find the levels passed so far; the log of norms must hold the network before the first step."""
        if not self._every:
            return
        run = self._writer.folder
        snapshots.drop_later(run, self._training.step)
        for draft in run.glob(f"{snapshots.FOLDER}/.new-*"):
            shutil.rmtree(draft)
        begun = torch.from_numpy(NormLog(run / "groups").rows()["norm"][0].copy())
        banks = self._training.proximal.dense_banks
        start = self._level(list(torch.split(begun.to(self._training.device), [bank.channels for bank in banks])))
        self._passed = max([start, *(known.level for known in snapshots.list_snapshots(run))])
        self._tables()

    def after_epoch(self, record: EpochDone) -> None:
        """Make a snapshot of the network after an epoch, if its sparsity has reached a new multiple."""
        if not self._every:
            return
        proximal = self._training.proximal
        level = self._level(proximal.whole(proximal.norms))
        if level <= self._passed:
            return
        self._passed = level
        try:
            self._keep(level, record)
        except (NotDescribable, NotExact, NotTraceable) as error:
            self._writer.remark(f"there is no snapshot at {level} %: {error}")
        self._tables()

    def _level(self, norms: list[Tensor]) -> int:
        """Return the highest multiple reached, to a tenth of a per cent: a target is met to the nearest group."""
        share = self._training.counts.percent(self._of, living(norms))
        return self._every * math.floor(round(share, 1) / self._every)

    def _keep(self, level: int, record: EpochDone) -> None:
        net, place = self._training.net, snapshots.folder_of(self._writer.folder, level)
        draft = place.with_name(f".new-{level}")
        draft.mkdir(parents=True)
        try:
            with evaluating(net), torch.random.fork_rng(devices=_gpus(self._training.device)):
                small = compact(net, self._example, gather="always")
                saved = save_model(draft, small.model, self._example)
                counted = {"parameters": parameters(small.model), "macs": macs(small.model, self._example)}
            self._write_certificate(draft, small.certificate, record.epoch)
            known = self._described(level, record, {**counted, "bytes": saved.bytes})
            replace_json(draft / snapshots.DESCRIPTION, known.model_dump(mode="json"))
            draft.rename(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _described(self, level: int, record: EpochDone, counted: Mapping[str, float]) -> Snapshot:
        proximal = self._training.proximal
        shares = self._training.counts.all_percents(living(proximal.whole(proximal.norms)))
        metrics = {
            task: {name: value if math.isfinite(value) else None for name, value in own.items()}
            for task, own in record.metrics.items()
        }
        where = {"level": level, "of": self._of, "epoch": record.epoch, "step": record.step}
        return Snapshot.model_validate({**where, **shares, **counted, "metrics": metrics})

    def _write_certificate(self, folder: Path, certificate: Certificate, epoch: int) -> None:
        compared = f"the network of {self._writer.folder.name} after epoch {epoch}"
        (folder / "tables").mkdir()
        for name, frame in (("removed", certificate.removed), ("reasons", reasons_table(certificate))):
            replace(folder / "tables" / f"{name}.parquet", frame.to_parquet(index=False))
        replace_json(folder / "certificate.json", certificate_document(certificate, PruneSpec(), compared))

    def _tables(self) -> None:
        """Write the tables of all snapshots."""
        known = snapshots.list_snapshots(self._writer.folder)
        found = {
            str(own.level): {
                task: {name: math.nan if value is None else value for name, value in values.items()}
                for task, values in own.metrics.items()
            }
            for own in known
        }
        metrics = metrics_table(found, self._training.tasks).rename(columns={"model": "level"})
        self._writer.table("snapshots", snapshots.snapshots_table(self._writer.folder))
        self._writer.table("snapshot_metrics", metrics.astype({"level": int}))


def _gpus(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
