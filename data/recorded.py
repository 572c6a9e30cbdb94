"""The data of a run that was recorded in a loop of the user's own: what its tasks are, and a few validation images.

The images lie in the run's folder (`engine.jobs.sample`), not here: nothing of the user's data set is known.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Option

from winnow.data.sample import Dataset, Field, Learner, Split
from winnow.data.spec import DataSpec


class RecordedField(BaseModel):
    """What is known about a task: the parts of `data.sample.Field`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str = Option(max_length=40)
    classes: tuple[str, ...] = ()
    unit: str = Option("1", max_length=40)
    scale: float = 1.0
    weights: tuple[float, ...] = ()
    learner: Learner | None = None

    def field(self) -> Field:
        """Return the field that it describes."""
        return Field(**{name: getattr(self, name) for name in type(self).model_fields})


class RecordedData(DataSpec):
    """The user's own data: the fields of the tasks, and how many validation images are stored with the run."""

    summary = "Data of your own, in a loop of your own."
    known = MappingProxyType({})

    dataset: Literal["recorded"] = "recorded"
    described: dict[str, RecordedField] = Option(default_factory=dict, description="what is known about each task")
    images: int = Option(0, ge=0, le=64, description="validation images that are stored with the run")

    @property
    def fields(self) -> Mapping[str, Field]:
        """What is known about each task."""
        return {name: own.field() for name, own in self.described.items()}

    def load(self, split: Split) -> Dataset:
        """Refuse: only the sample in the run's folder is known."""
        raise ValueError(
            f"`data` must be a data set that Winnow reads for split {split}, got that of a recorded run, of which "
            f"{self.images} validation images are stored. Train further in your own loop."
        )
