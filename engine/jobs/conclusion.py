"""The end of a run: the network that it stands for is put back, judged, and stored as its last checkpoint."""

from collections.abc import Mapping

from winnow.engine.jobs.best_epoch import Selection
from winnow.engine.jobs.epoch_report import EpochReport, removable_shares
from winnow.engine.jobs.writer import ResultWriter, Values
from winnow.engine.sparsity.counts import living
from winnow.engine.training.batches import Batches
from winnow.engine.training.checkpoint import save_checkpoint
from winnow.engine.training.loop import validate
from winnow.engine.training.state import Training


def conclude(selection: Selection, training: Training, writer: ResultWriter, splits: Mapping[str, Batches]) -> None:
    """Judge the kept network on each split, {name in the events: images}; write it and its tables.

    The test split is looked at here, after everything is decided, and nowhere else.
    """
    place = selection.put_back()
    report = EpochReport(training, writer)
    for split, images in splits.items():
        report.metrics(place, split, validate(training, images))
    shares = training.counts.all_percents(living(training.proximal.whole(training.proximal.norms)))
    shares |= removable_shares(training.dense_graph().savings())
    best = selection.best
    known = {"skill": best["skill"]} if best is not None else {}
    values: Values = {(None, name): value for name, value in {**shares, **known}.items()}
    writer.events(place, "kept", values)
    report.tables()
    save_checkpoint(writer.folder / "weights", training, place[0])
