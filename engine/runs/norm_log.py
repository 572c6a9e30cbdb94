"""The norm of every group at the end of every epoch, in one file that only grows.

`groups/layers.json` lists the layers in the order of the network: name, number of groups, entries per group.
`groups/norms.bin` holds rows of equal length, little endian: epoch (int32), step (int32), strength (float32), then the
norms of all groups (float32), layer after layer. Readers ignore a row that is not complete. With numpy alone:

    n = sum(layer["groups"] for layer in json.load(open("groups/layers.json")))
    np.fromfile("groups/norms.bin", [("epoch", "<i4"), ("step", "<i4"), ("strength", "<f4"), ("norm", "<f4", (n,))])
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.engine.runs.files import append, cut, replace_json
from winnow.engine.runs.reading import DamagedFileError, read_json

MOST_GROUPS = 20_000_000


@dataclass(frozen=True)
class Layer:
    """A layer of the network: its name, its number of groups, the entries of each."""

    name: str
    groups: int
    size: int


def _printable(name: object) -> bool:
    return isinstance(name, str) and name.isprintable()


def _count(value: object) -> bool:
    return type(value) is int and 0 <= value <= 2**40


class NormLog:
    """Reader and writer of the two files above, in the folder `groups/` of a run."""

    def __init__(self, folder: Path) -> None:
        self._layers = folder / "layers.json"
        self._rows = folder / "norms.bin"

    def begin(self, layers: list[Layer]) -> None:
        """Write the layers; an unfinished row of an interrupted run is removed."""
        self._layers.parent.mkdir(exist_ok=True)
        replace_json(self._layers, [asdict(layer) for layer in layers])
        cut(self._rows, self.rows().nbytes)

    def append(self, epoch: int, step: int, strength: float, norms: NDArray[np.float32]) -> None:
        """Add the row of one epoch; `norms` has one entry per group, in the order of the layers."""
        row = np.zeros((), self._dtype(len(norms)))
        row["epoch"], row["step"], row["strength"], row["norm"] = epoch, step, strength, norms
        append(self._rows, row.tobytes())

    def layers(self) -> list[Layer]:
        """Return the layers, none before the network is built."""
        if not self._layers.exists():
            return []
        found = read_json(self._layers)
        try:
            layers = [Layer(entry["name"], entry["groups"], entry["size"]) for entry in found]
        except (TypeError, KeyError, IndexError) as error:
            raise DamagedFileError(self._layers, "it must list layers, each with name, groups and size") from error
        if not all(_printable(own.name) and _count(own.groups) and _count(own.size) for own in layers):
            raise DamagedFileError(self._layers, "a layer must have a printable name, groups and their size")
        if len({own.name for own in layers}) < len(layers):
            raise DamagedFileError(self._layers, "it names a layer twice")
        if sum(own.groups for own in layers) > MOST_GROUPS:
            raise DamagedFileError(self._layers, f"it names more than {MOST_GROUPS} groups")
        return layers

    def rows(self) -> NDArray[Any]:
        """Return all complete rows: a record array with epoch, step, strength and norm (groups,)."""
        dtype = self._dtype(sum(layer.groups for layer in self.layers()))
        if not self._rows.exists():
            return np.zeros(0, dtype)
        content = self._rows.read_bytes()
        return np.frombuffer(content[: len(content) // dtype.itemsize * dtype.itemsize], dtype)

    def frame(self, epoch: int | None = None) -> pd.DataFrame:
        """Return one row per group of an epoch (the newest by default): layer, channel, size, norm, alive.

        Raises:
            ValueError: the epoch is not in the log.

        """
        layers, rows = self.layers(), self.rows()
        known = rows["epoch"].tolist()
        if epoch is not None and epoch not in known:
            raise ValueError(f"`epoch` must be one of the recorded epochs, {known}, got {epoch}.")
        counts = [layer.groups for layer in layers]
        last = len(known) - 1 - known[::-1].index(epoch) if epoch is not None else -1
        norms = rows["norm"][last] if len(rows) else np.full(sum(counts), np.nan, np.float32)
        return pd.DataFrame(
            {
                "layer": pd.Categorical.from_codes(
                    np.repeat(np.arange(len(layers)), counts), pd.Index([layer.name for layer in layers]), ordered=True
                ),
                "channel": np.concatenate([np.arange(n) for n in counts]) if counts else np.zeros(0, int),
                "size": np.repeat([layer.size for layer in layers], counts),
                "norm": norms,
                "alive": norms > 0,
            }
        )

    @staticmethod
    def _dtype(groups: int) -> np.dtype[Any]:
        return np.dtype([("epoch", "<i4"), ("step", "<i4"), ("strength", "<f4"), ("norm", "<f4", (groups,))])
