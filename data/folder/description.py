"""dataset.toml: what is in a folder of images, and what is known about each of them.

    [images]     where the images are, their channels and size
    [splits]     which images are for training, validation and test
    [tasks.NAME] one table per task: its kind, where its targets are, how they are stored

docs/data.md shows one. Unknown keys are refused, and so are paths that lead out of the folder.
"""

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from winnow.data.disk.tables import text_of
from winnow.data.kinds import KINDS
from winnow.data.sample import DataError
from winnow.data.sample import Field as Known

NAME = "dataset.toml"
SPLIT, SAMPLE = "{split}", "{name}"
NUMBERS = ("regression", "vector", "map")
IN_TABLES = ("table", "key", "delimiter")
OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "segmentation": ("path", "classes", "values", "missing", "weights"),
        "edges": ("path", "values", "missing"),
        "depth": ("path", "missing", "unit", "factor", "range"),
        "normals": ("path", "missing"),
        "map": ("path", "missing", "unit", "factor", "range", "spread"),
        "classification": (*IN_TABLES, "column", "folder", "classes", "values", "missing", "weights"),
        "multilabel": (*IN_TABLES, "columns", "classes", "values", "missing", "weights"),
        "regression": (*IN_TABLES, "column", "missing", "unit", "factor", "range", "spread"),
        "vector": (*IN_TABLES, "columns", "classes", "missing", "unit", "factor", "range", "spread"),
    }
)
"""What a task of each kind may say beside `kind` and `optional`."""


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path:
        raise ValueError(f"must lie below the folder, with / between its parts, got {path!r}")
    return path


def _listed(value: Any) -> Any:
    """Return stored values as a tuple; NaN by its name, which JSON and comparisons need."""
    values = (value,) if isinstance(value, int | float | str) else value
    if not isinstance(values, list | tuple):
        return values
    return tuple("nan" if isinstance(own, float) and math.isnan(own) else own for own in values)


Inside = Annotated[str, AfterValidator(_inside)]
Missing = Annotated[tuple[float | Literal["nan"], ...] | None, BeforeValidator(_listed)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Images(_Part):
    """Where the images are: `path`, with {split} in it if each split has a folder."""

    path: Inside = Field(min_length=1)
    channels: Literal["rgb", "grey"] = "rgb"
    convert: bool = False  # grey, palette, alpha and 16 bits to 8 bits of `channels`
    size: tuple[Annotated[int, Field(ge=8, le=16384)], Annotated[int, Field(ge=8, le=16384)]] | None = None
    crop: bool = False  # to the proportions of `size` before it is resized

    @model_validator(mode="after")
    def _crop_has_a_size(self) -> Self:
        if self.crop and self.size is None:
            raise ValueError("`size` must be given with `crop`")
        return self


class Splits(_Part):
    """A list of names per split, a folder per split where the path of the images has {split}, or shares."""

    train: Inside = ""
    val: Inside = ""
    test: Inside = ""
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        named = (self.train, self.val, self.test)
        if self.shares:
            if any(named) or not 2 <= len(self.shares) <= 3 or abs(sum(self.shares) - 1) > 1e-6 or 0 in self.shares[:2]:
                raise ValueError("`shares` must be two or three numbers that add up to 1, without lists beside them")
        elif not (self.train and self.val):
            raise ValueError("must name `train` and `val`, or give `shares`")
        return self


class Target(_Part):
    """How the targets of a task are stored: in files (`path`), in a table, or as the folder of each image."""

    kind: str
    path: Inside = ""  # a folder, or a pattern with {name}
    table: Inside = ""  # CSV
    column: str = ""
    columns: tuple[str, ...] = ()
    key: str = ""
    delimiter: str = Field(",", min_length=1, max_length=1)
    folder: bool = False  # the class is the folder of the image
    classes: tuple[str, ...] = ()
    values: tuple[int, ...] = ()  # the stored number of each class
    missing: Missing = None
    optional: bool = False  # an image may be without a target
    unit: str = ""
    factor: float | None = Field(None, gt=0, allow_inf_nan=False)
    range: tuple[float, float] | None = None
    spread: float | None = Field(None, gt=0, allow_inf_nan=False)
    weights: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind not in OPTIONS:
            raise ValueError(f"`kind` must be one of {', '.join(OPTIONS)}, got {self.kind!r}")
        given_here = [name for name, info in type(self).model_fields.items() if getattr(self, name) != info.default]
        if unused := [name for name in given_here if name not in ("kind", "optional", *OPTIONS[self.kind])]:
            raise ValueError(f"`{unused[0]}` is not an option of kind {self.kind}: {', '.join(OPTIONS[self.kind])}")
        dense = KINDS[self.kind].dense
        given = [name for name in ("path", "table", "folder") if getattr(self, name)]
        allowed = ["path"] if dense else ["table", *(["folder"] if self.kind == "classification" else [])]
        if len(given) != 1 or given[0] not in allowed:
            raise ValueError(f"must give {' or '.join(f'`{name}`' for name in allowed)}, got {given or 'neither'}")
        self._check_classes()
        self._check_columns()
        if self.kind == "map" and self.spread is None:
            raise ValueError("`spread` must be given: a typical deviation of the values, in their unit")
        if self.kind == "depth" and self.unit not in ("", "m"):
            raise ValueError(f'`unit` of depth must be m, got {self.unit!r}; give a `factor`, or use kind = "map"')
        return self

    def _check_classes(self) -> None:
        if self.kind in ("segmentation", "classification") and len(self.classes) < 2:
            raise ValueError(f"`classes` must name at least 2 classes, got {len(self.classes)}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("`classes` must name each class once")
        levels = KINDS[self.kind].levels or len(self.classes)
        if self.values and (len(self.values) != levels or len(set(self.values)) != levels):
            raise ValueError(f"`values` must be {levels} different numbers, got {list(self.values)}")

    def _check_columns(self) -> None:
        if not self.table:
            return
        per_class = KINDS[self.kind].per_class
        if bool(self.columns) != per_class or bool(self.column) == per_class:
            raise ValueError(f"`{'columns' if per_class else 'column'}` must name what is read of the table")
        if per_class and self.classes and len(self.classes) != len(self.columns):
            raise ValueError(f"`classes` must be {len(self.columns)} names, one per column, or be left out")

    def field(self) -> Known:
        """Return what the task predicts."""
        scale = self.spread if self.kind in NUMBERS and self.spread else 1.0
        unit = "m" if self.kind == "depth" else self.unit or "1"
        classes = self.classes or self.columns
        return Known(kind=self.kind, classes=classes, unit=unit, scale=scale, weights=self.weights)

    def absent(self, usual: tuple[float, ...] = ()) -> tuple[float, ...]:
        """Return the stored values that stand for "not known", `usual` where none are listed."""
        return usual if self.missing is None else tuple(float(value) for value in self.missing)

    def stored(self) -> tuple[int, ...]:
        """Return the stored number of each class."""
        return self.values or tuple(range(KINDS[self.kind].levels or len(self.classes)))


class Description(_Part):
    """All that dataset.toml says."""

    images: Images
    splits: Splits
    tasks: Mapping[str, Target] = Field(min_length=1)

    @model_validator(mode="after")
    def _names(self) -> Self:
        for name, task in self.tasks.items():
            if not name.isidentifier() or name == "image":
                raise ValueError(f"`tasks.{name}` must be named in letters, digits and _, and not `image`")
            task.field()
        split_folders = SPLIT in self.images.path
        if split_folders and self.splits.shares:
            raise ValueError("`shares` must be left out where the path of the images has {split}")
        wrong = [name for name, task in self.tasks.items() if SPLIT in task.path + task.table and not split_folders]
        if wrong:
            raise ValueError(f"`tasks.{wrong[0]}` has {{split}} in a path, which the path of the images must have too")
        return self


def read_description(folder: Path) -> Description:
    """Return what the dataset.toml of a folder says.

    Raises:
        DataError: there is none, it is no TOML, or it says something that contradicts itself.

    """
    path = folder / NAME
    if not path.is_file():
        mend = "Write one, as docs/data.md shows."
        raise DataError(str(folder), "root", f"a folder with {NAME}", "none in it", mend)
    try:
        return Description.model_validate(tomllib.loads(text_of(path)))
    except tomllib.TOMLDecodeError as error:
        raise DataError(str(path), "content", "TOML", error) from error
    except RecursionError as error:
        raise DataError(str(path), "content", "TOML", "lists or tables nested too deeply") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "function-after[_inside(), str]") or "content"
        said = first["msg"].removeprefix("Value error, ")
        found = "an unknown key" if first["type"] == "extra_forbidden" else said
        mend = "Remove it, or correct its name." if first["type"] == "extra_forbidden" else ""
        raise DataError(str(path), place, "as docs/data.md says", found, mend) from error
