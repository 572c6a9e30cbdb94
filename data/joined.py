"""Several data sets as one: tasks that are labelled in different images, depth in rooms and classes in streets.

A sample is that of one source, with what is known about the others' fields missing in it. Sources that share a field
must mean the same by it; both then label it. A source may be limited to some of its fields. Images of all sources have
one size and one number of channels; where some are uint8 and others float32, all are float32. Integers are stored in
one type, int64 where their types differ.

Batches mix the sources as chance has it, or, with `alternating`, hold images of one source each, in turns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, SerializeAsAny, model_validator
from pydantic import Field as Option

from winnow.data.catalog import DATASETS
from winnow.data.disk.cache import cached
from winnow.data.disk.spec import DiskData
from winnow.data.kinds import KINDS
from winnow.data.parameters import checked_index
from winnow.data.sample import Array, DataError, Dataset, Field, Sample, Split, Wrapped
from winnow.data.spec import DataSpec
from winnow.data.stacking import Progress, Stacked
from winnow.data.trust import confirm_folder


class Joined:
    """The samples of several data sets, one data set after the other."""

    def __init__(self, sources: Sequence[Dataset], labels: Sequence[Sequence[str]] = ()) -> None:
        self._sources = tuple(sources)
        self._own = [_labelled(source.fields, labels, place) for place, source in enumerate(sources)]
        self._fields = {name: field for own in self._own for name, field in own.items()}

    @property
    def name(self) -> str:
        """The names of the sources, joined by +."""
        return "+".join(source.name for source in self._sources)

    @property
    def fields(self) -> Mapping[str, Field]:
        """What is known about at least some images."""
        return self._fields

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many samples each source has."""
        return tuple(map(len, self._sources))

    def __len__(self) -> int:
        return sum(self.lengths)

    def sample(self, index: int) -> Sample:
        """Return the sample at `index`, its targets those of all fields.

        Raises:
            DataError: its image has another size or number of channels than the first image of the first source.

        """
        left = checked_index(index, len(self))
        for place, source in enumerate(self._sources):
            if left < len(source):
                return self._complete(place, left)
            left -= len(source)
        raise IndexError(index)

    def _complete(self, place: int, index: int) -> Sample:
        sample = self._sources[place].sample(index)
        first, image = self._firsts[0].image, np.asarray(sample.image)
        if image.shape != first.shape:
            raise DataError(
                f"{self._sources[place].name}[{index}]",
                "image",
                f"of shape {first.shape}, as those of {self._sources[0].name}",
                f"shape {image.shape}",
                "Give both one size, or pictures of one kind.",
            )
        targets = {name: self._target(name, place, sample, image.shape[:2]) for name in self._fields}
        if self._floats and image.dtype == np.uint8:
            image = image.astype(np.float32) / 255
        return Sample(image, targets)

    def _target(self, name: str, place: int, sample: Sample, size: tuple[int, int]) -> Array:
        field = self._fields[name]
        if name in self._own[place]:
            return np.asarray(sample.targets[name]).astype(self._types[name], copy=False)
        return KINDS[field.kind].unknown(size, len(field.classes)).astype(self._types[name], copy=False)

    @cached_property
    def _firsts(self) -> list[Sample]:
        return [source.sample(0) for source in self._sources]

    @cached_property
    def _floats(self) -> bool:
        return any(np.asarray(sample.image).dtype != np.uint8 for sample in self._firsts)

    @cached_property
    def _types(self) -> dict[str, np.dtype[Any]]:
        """The type of each field: that of its sources where they agree."""
        found: dict[str, np.dtype[Any]] = {}
        for name in self._fields:
            own = {
                np.asarray(sample.targets[name]).dtype
                for fields, sample in zip(self._own, self._firsts, strict=True)
                if name in fields
            }
            found[name] = own.pop() if len(own) == 1 else np.result_type(*own, np.int8)
            if np.issubdtype(found[name], np.unsignedinteger):  # it cannot hold what stands for missing
                found[name] = np.dtype(np.int64)
        return found


@dataclass(frozen=True)
class InArrays(Wrapped):
    """A data set whose samples are read from arrays."""

    stacked: Stacked

    def __len__(self) -> int:
        return len(self.stacked.images)

    def sample(self, index: int) -> Sample:
        """Return the sample at `index`, with the targets that the arrays hold."""
        place = checked_index(index, len(self))
        return Sample(self.stacked.images[place], {name: own[place] for name, own in self.stacked.targets.items()})


def _labelled(fields: Mapping[str, Field], labels: Sequence[Sequence[str]], place: int) -> Mapping[str, Field]:
    """Return the fields that a source is used for: all, or those named at its place."""
    names = labels[place] if place < len(labels) and labels[place] else tuple(fields)
    if unknown := [name for name in names if name not in fields]:
        raise ValueError(f"`labels` must be among {', '.join(fields)}, got {unknown[0]!r:.80}.")
    return {name: fields[name] for name in names}


def _chosen(value: Any) -> Any:
    """Return the spec of a source; code of the user's own is none."""
    if not isinstance(value, dict):
        return value
    name = str(value.get("dataset"))
    if name not in DATASETS:
        raise ValueError(f"`sources` must be data sets among {', '.join(DATASETS)}, got {name!r:.80}.")
    return DATASETS[name].model_validate(value)


class JoinedData(DataSpec):
    """Several data sets as one."""

    summary = "Several data sets, each of which labels some of the tasks."
    known = MappingProxyType({})

    dataset: Literal["joined"] = "joined"
    sources: tuple[Annotated[SerializeAsAny[DataSpec], BeforeValidator(_chosen)], ...] = Option(
        min_length=2, max_length=20, description="the data sets"
    )
    labels: tuple[tuple[str, ...], ...] = Option(
        (), description="fields that each data set is used for, in their order; none: all of its fields"
    )
    alternating: bool = Option(False, description="batches of one data set at a time, in turns; not set: mixed")

    @model_validator(mode="after")
    def _one_meaning_for_a_name(self) -> Self:
        known: dict[str, tuple[str, Field]] = {}
        if len(self.labels) not in (0, len(self.sources)):
            raise ValueError(f"`labels` must have {len(self.sources)} parts, one per source, got {len(self.labels)}.")
        for place, source in enumerate(self.sources):
            for name, field in _labelled(source.fields, self.labels, place).items():
                other, first = known.setdefault(name, (source.dataset, field))
                if first != field:
                    raise ValueError(
                        f"`sources` must agree on the field {name}, got {_said(first)} in {other} and {_said(field)} "
                        f"in {source.dataset}. Say what each is for: --dataset '{other}[{name},…]+{source.dataset}[…]'."
                    )
        return self

    @property
    def fields(self) -> Mapping[str, Field]:
        """What is known about at least some images."""
        own = (_labelled(source.fields, self.labels, place) for place, source in enumerate(self.sources))
        return {name: field for fields in own for name, field in fields.items()}

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that all sources have."""
        return tuple(split for split in super().splits if all(split in source.splits for source in self.sources))

    def load(self, split: Split) -> Joined:
        """Return a split of every source, not yet read."""
        return Joined([source.load(split) for source in self.sources], self.labels)

    def from_cache(self, split: Split, progress: Progress | None = None) -> Joined:
        """Return a split whose sources are mapped from their caches, where they have one; the others are not yet read.

        Raises:
            DataError, OSError: as `data.disk.cache.cached`.

        """
        found: list[Dataset] = []
        for place, source in enumerate(self.sources):
            whole = source.load(split)
            if isinstance(source, DiskData) and source.cache_here:
                names = tuple(_labelled(source.fields, self.labels, place))
                found.append(InArrays(whole, cached(source, split, names, progress)))
            else:
                found.append(whole)
        return Joined(found, self.labels)

    def length(self, split: Split) -> int | None:
        """Return how many images a split has, None where only loading it tells."""
        lengths = [source.length(split) for source in self.sources]
        return None if None in lengths else sum(length or 0 for length in lengths)

    def fingerprint(self) -> str:
        """Return the digests of what the sources read, in their order."""
        return " ".join(source.fingerprint() for source in self.sources).strip()


def confirm_caches(data: DataSpec) -> None:
    """Note on this machine that the user has named the caches of some data: they may be written to."""
    for source in each_source(data):
        if isinstance(source, DiskData) and source.cache:
            confirm_folder(source.cache)


def each_source(data: DataSpec) -> Iterator[DataSpec]:
    """Yield the sources of joined data, or the data itself."""
    yield from data.sources if isinstance(data, JoinedData) else (data,)


def _said(field: Field) -> str:
    classes = f" of {len(field.classes)} classes" if field.classes else ""
    return f"{field.kind}{classes} [{field.unit}]"
