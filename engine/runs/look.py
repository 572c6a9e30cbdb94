"""A look at a data set: a folder of work beside the runs, with what the page Data shows. The newest look counts.

    runs/<utc-time>-<name>/   spec.json of kind look (engine.specs.look), status, log, lock, control
    tables/                   splits, coverage, classes, values, findings, notes: see COLUMNS
    pictures.safetensors      samples: `<place>.image` (H, W, colours) uint8, `<place>.target.<task>`; the header holds
                              `index`, a JSON text: {format_version, samples [{split, index, where}], tasks {name:
                              {kind, classes, unit}}}

Images with a side above `LARGEST` are reduced by a whole factor: they and their maps keep every k-th pixel.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from winnow.engine.runs.files import replace
from winnow.engine.runs.making import make
from winnow.engine.runs.reading import DamagedFileError, taken_apart
from winnow.engine.runs.run import runs_folder
from winnow.engine.runs.work_folder import Status, WorkFolder, folders
from winnow.engine.specs.look import LookSpec, parse_look

KIND = "look"
PICTURES = "pictures.safetensors"
FORMAT_VERSION = 1
LARGEST = 256  # px of a side
PARTS = ("split", "index", "where")  # of what is said of a sample
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "splits": ("split", "samples", "sizes"),
        "coverage": ("split", "task", "kind", "unit", "images", "samples", "known"),
        "classes": ("split", "task", "class", "count", "share"),
        "values": ("split", "task", "part", "low", "high", "count"),
        "findings": ("file", "part", "expected", "found", "mend"),
        "notes": ("note",),
    }
)
Array = NDArray[Any]


class Look(WorkFolder):
    """One look at a data set."""

    @cached_property
    def spec(self) -> LookSpec:
        """What was asked; raises `SpecError` where the file is not a spec that this version can read."""
        return parse_look(self.document())

    def pictures(self) -> "Pictures":
        """Return the samples that are kept; raises `ValueError` where they are missing or damaged."""
        return Pictures(self.path / PICTURES)


class Pictures:
    """The kept samples of a look.

    Raises:
        ValueError: there is no file, or it is damaged or of another format version.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with safe_open(path, "np") as file:
                index = json.loads((file.metadata() or {}).get("index", "{}"))
        except (OSError, SafetensorError, ValueError, RecursionError) as error:
            raise ValueError(
                f"`{path.name}` must be there and whole, got {type(error).__name__}. Look again."
            ) from error
        if not isinstance(index, dict) or index.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"`{path.name}` must have format version {FORMAT_VERSION}. Look again.")
        with taken_apart(path):
            self.samples = [{part: str(sample[part]) for part in PARTS} for sample in index["samples"]]
            self.tasks: dict[str, dict[str, Any]] = {
                str(task): {"kind": str(own["kind"]), "classes": [*map(str, own["classes"])], "unit": str(own["unit"])}
                for task, own in index["tasks"].items()
            }

    def places(self, split: str) -> list[int]:
        """Return the places of a split's samples in `samples`."""
        return [place for place, sample in enumerate(self.samples) if sample["split"] == split]

    def sample(self, place: int) -> tuple[Array, dict[str, Array]]:
        """Return an image and its targets by task; a target that could not be read is left out.

        Raises:
            DamagedFileError: the file holds no such image.

        """
        try:
            with safe_open(self._path, "np") as file:
                known = set(file.keys())
                names = {task: f"{place}.target.{task}" for task in self.tasks}
                targets = {task: file.get_tensor(name) for task, name in names.items() if name in known}
                return file.get_tensor(f"{place}.image"), targets
        except SafetensorError as error:
            raise DamagedFileError(self._path, str(error)) from error


def write_pictures(folder: Path, arrays: Mapping[str, Array], index: Mapping[str, Any]) -> None:
    """Write the kept samples into a folder, completely or not at all."""
    text = json.dumps({"format_version": FORMAT_VERSION, **index}, allow_nan=False)
    plain = {name: np.array(array, order="C") for name, array in arrays.items()}
    replace(folder / PICTURES, save(plain, metadata={"index": text}))


def create_look(spec: LookSpec, root: Path | None = None) -> Look:
    """Make the folder of a new look, completely or not at all; return it, queued."""
    return Look(make(root or runs_folder(), spec.name, spec, Status()))


def list_looks(name: str, root: Path | None = None) -> list[Look]:
    """Return the looks at the data set called `name`, newest first; what cannot be read is left out."""
    return [look for look in map(Look, folders(root or runs_folder(), (KIND,))) if _name(look) == name]


def _name(look: Look) -> str:
    try:
        return look.spec.name
    except (OSError, ValueError):
        return ""
