"""A data set of the user's own: a function, `mypkg.data:load`, that returns each split.

It is called as function(split, **options) and returns what `data.sample.Dataset` describes: a length, a name, `fields`
and `sample(i)`. Its fields are read once, in the command that names it, and kept in the spec: so pages and lists know
them without running any of the user's code. A worker that loads it checks that they are the same.
"""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from pydantic import Field as Option

from winnow.data.blame import users_code
from winnow.data.code import PATTERN, Code, Plain
from winnow.data.recorded import RecordedField
from winnow.data.sample import Dataset, Field, Sample, Split
from winnow.data.spec import DataSpec


class OwnData(DataSpec):
    """A function of your own, MODULE:FUNCTION, that returns the split that it is asked for."""

    summary = "Data of your own."
    known = MappingProxyType({})

    dataset: Literal["own"] = "own"
    code: str = Option(pattern=PATTERN, max_length=200, description="MODULE:FUNCTION that loads a split")
    path: str = Option(max_length=4096, description="folder that the module is imported from")
    given: dict[str, Plain] = Option(default_factory=dict, description="options of the function")
    described: dict[str, RecordedField] = Option(default_factory=dict, description="what is known about each image")
    train_length: int | None = Option(None, ge=1, description="training images")
    content: str = Option("", max_length=200, description="what `fingerprint()` of the data set gave, if it has one")

    @property
    def fields(self) -> Mapping[str, Field]:
        """What is known about each image, in the order in which tasks are listed."""
        return {name: own.field() for name, own in self.described.items()}

    def own_code(self) -> Code:
        """Return the code that it names."""
        return Code(self.code, self.path, "dataset")

    def load(self, split: Split) -> Dataset:
        """Return a split; this imports the user's code.

        Raises:
            ValueError: the code is not there or not confirmed, gives no data set, or one that has changed.

        """
        found = loaded(self.own_code(), split, self.given)
        if fields_told(found) != self.described:
            raise ValueError(
                f"`dataset` must have the fields that the run was created with, {', '.join(self.described)}, got "
                f"{', '.join(found.fields)}, or others of the same names. Start a new run."
            )
        if split == "train" and content(found, split) != self.content:
            raise ValueError("`dataset` must be the data that the run was created with, got another `fingerprint()`.")
        _refuse_chance(found, self.code)
        return found

    def length(self, split: Split) -> int | None:
        """Return how many training images there are."""
        return self.train_length if split == "train" else None

    def fingerprint(self) -> str:
        """Return the digest of the code, and what the data set said of itself."""
        return " ".join([*self.own_code().fingerprint().values(), self.content])


def loaded(code: Code, split: Split, options: Mapping[str, Plain]) -> Dataset:
    """Return a split of the user's data set.

    Raises:
        ValueError: the code is not there or not confirmed, refuses the options, or gives no data set.

    """
    function = code.load()
    try:
        inspect.signature(function).bind(split, **options)
    except TypeError as error:
        raise ValueError(f"`dataset_option` must suit {code.name}(split, **options), got: {error}.") from error
    with users_code(code.role, code.name):
        found: Any = function(split, **options)
        missing = [part for part in ("name", "fields", "__len__", "sample") if not hasattr(found, part)]
    if missing:
        raise ValueError(
            f"`dataset` must give an object with name, fields, a length and sample(i), got {type(found).__name__} "
            f"without {missing[0]}. See docs/own-network.md."
        )
    fields = found.fields
    if not isinstance(fields, Mapping) or not fields or not all(isinstance(own, Field) for own in fields.values()):
        raise ValueError(f"`fields` must map names to winnow.data.sample.Field, got {fields!r:.80}.")
    result: Dataset = found
    return result


def _refuse_chance(dataset: Dataset, code: str) -> None:
    """Raise where the first sample is another one when it is read again: each is read once, for all epochs."""
    if not len(dataset):
        return
    with users_code("dataset", code):
        both: list[Any] = [dataset.sample(0), dataset.sample(0)]
    if odd := [own for own in both if not (isinstance(own, Sample) and isinstance(own.targets, Mapping))]:
        raise ValueError(
            f"`sample` must return a winnow.data.sample.Sample(image, targets), got {type(odd[0]).__name__} "
            f"{odd[0]!r:.80} from {dataset.name}."
        )
    first, again = ({"image": found.image, **found.targets} for found in both)
    if other := [part for part in first if not np.array_equal(*map(_comparable, (first[part], again[part])))]:
        raise ValueError(
            f"`sample` must give the same sample each time, got another {other[0]} of sample 0 of {dataset.name} when "
            "it was read again. Draw random numbers from np.random.default_rng([seed, index]). Samples are read once, "
            "so augment with --flips and --zoom."
        )


def _comparable(value: Any) -> Any:
    """Return an array in which what is missing equals itself."""
    found = np.asarray(value)
    return np.nan_to_num(found) if found.dtype.kind == "f" else found


def fields_told(dataset: Dataset) -> dict[str, RecordedField]:
    """Return what a data set says about each image, as a spec holds it."""
    return {name: RecordedField(**vars(field)) for name, field in dataset.fields.items()}


def content(dataset: Dataset, split: Split) -> str:
    """Return what a data set says of its content, "" where it says nothing."""
    tell = getattr(dataset, "fingerprint", None)
    return str(tell())[:200] if callable(tell) and split == "train" else ""
