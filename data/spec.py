"""What a run may ask of a data set: one frozen record per data set, its options as fields with limits and help.

The command line and the form draw the options of a data set from its spec. The spec says itself what each split gets of
them, what is known about each image, and which files it reads. `data.catalog.DATASETS` lists the specs by name.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from winnow.data.sample import Dataset, Field, Split


class DataSpec(BaseModel):
    """One data set with its options; a subclass per data set sets `dataset`, `source`, `summary` and `known`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str
    summary: ClassVar[str]  # one line for a form
    known: ClassVar[Mapping[str, Field]]  # what `fields` returns, where it is the same for all options
    source: ClassVar[Callable[..., Dataset]]  # a class: source(split, **options)
    verb: ClassVar[str] = "reading"  # what it takes to have the images, as a progress line says it
    usual: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """What a training run on it takes where nothing else is asked for: fields of `engine.specs.train.TrainSpec`, and
    mappings of fields for its sections. Empty: the defaults of the spec."""

    @property
    def fields(self) -> Mapping[str, Field]:
        """What is known about each image, in the order in which tasks are listed."""
        return self.known

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that there are."""
        return get_args(Split)

    @classmethod
    def asked(cls) -> dict[str, FieldInfo]:
        """Return the options that a user may set: all fields but those that are filled in from files."""
        hidden = {"filled_in": True}
        return {name: info for name, info in cls.model_fields.items() if info.json_schema_extra != hidden}

    def options(self, split: Split) -> dict[str, Any]:
        """Return what `source` is called with for a split, beside the split itself."""
        raise NotImplementedError(f"{type(self).__name__}.options")

    def load(self, split: Split) -> Dataset:
        """Return a split, not yet read."""
        return type(self).source(split, **self.options(split))

    def length(self, split: Split) -> int | None:
        """Return how many images a split has, None where only loading it tells."""
        return None

    def fingerprint(self) -> str:
        """Return a digest of the files that it reads (`data.fingerprint`), "" where it reads none of the user's."""
        return ""
