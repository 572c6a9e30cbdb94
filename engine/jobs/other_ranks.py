"""What all processes but rank 0 do: train along, write nothing, read only the checkpoint."""

from contextlib import suppress
from pathlib import Path

import pandas as pd

from winnow.engine.jobs.writer import ResultWriter, Values
from winnow.engine.runs.work_folder import WorkFolder
from winnow.engine.training.batches import Batches
from winnow.engine.training.checkpoint import load_checkpoint
from winnow.engine.training.distributed.orders import ToldToEndError, go_on
from winnow.engine.training.loop import train, validate
from winnow.engine.training.state import Training


class SilentWriter(ResultWriter):
    """Writes nothing."""

    def __init__(self, work: WorkFolder) -> None:
        self.folder = work.path

    def status(self, **changes: object) -> None:
        """Write nothing."""

    def tick(self, **changes: object) -> None:
        """Write nothing."""

    def remark(self, sentence: str) -> None:
        """Write nothing."""

    def finish(self, state: str, message: str = "") -> None:
        """Write nothing."""

    def tell(self, sentence: str) -> None:
        """Write nothing."""

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Write nothing."""

    def events(self, place: tuple[int, int], split: str, values: Values) -> None:
        """Write nothing."""


def train_along(training: Training, batches: Batches, validation: Batches, weights: Path) -> None:
    """Load the checkpoint that rank 0 loads, and train along until it says that the training has ended."""
    load_checkpoint(weights, training)
    if training.step == 0:
        validate(training, validation)  # rank 0 does so too, and cannot do it alone
    with suppress(ToldToEndError):
        for _ in train(training, batches, validation):
            pass
        go_on(training.ranks, training.controller)  # the training is over: only the end can come
