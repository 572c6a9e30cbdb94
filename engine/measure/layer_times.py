"""How long the layers of a network take at every width, and what that was measured with: a table for a machine.

Between the widths that were measured (`engine.measure.layer_timing`) the time is linear, block by block. What a run has
used stands in its own folder, as JSON.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from winnow.engine.pruning.cost import Coefficients

FORMAT_VERSION = 1


@dataclass(frozen=True)
class WidthTimes:
    """The seconds of one layer, (reads, makes), at some numbers of channels that it reads and makes, ascending.

    Raises:
        ValueError: numbers that do not fit each other.

    """

    reads: tuple[int, ...]
    makes: tuple[int, ...]
    seconds: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        grid = np.asarray(self.seconds, float)
        ascending = all(list(widths) == sorted(set(widths)) for widths in (self.reads, self.makes))
        if grid.shape != (len(self.reads), len(self.makes)) or not ascending or not (grid > 0).all() or not grid.size:
            raise ValueError(
                "`seconds` must hold a time above 0 for each of the ascending widths `reads` and `makes`, got "
                f"{grid.shape} for {len(self.reads)} and {len(self.makes)}."
            )

    def at(self, reads: int, makes: int, step: int) -> float:
        """Return the seconds at these widths, both up to a multiple of `step`; linear between those measured.

        Examples:
            >>> WidthTimes((8, 16), (8,), ((1.0,), (3.0,))).at(9, 3, 4)
            2.0

        """
        grid = np.asarray(self.seconds)
        down = [float(np.interp(-(-reads // step) * step, self.reads, column)) for column in grid.T]
        return float(np.interp(-(-makes // step) * step, self.makes, down))


@dataclass(frozen=True)
class LayerTimes:
    """What a machine takes for the layers of one network, and for what is between them.

    machine, torch, threads, images, dtype: what it was measured with. step: the block of channels. whole: seconds of a
    pass of the dense network. layers: {shape of a layer: its times}. per_mac, per_byte, per_call: of what is in no
    table (`engine.pruning.cost`).
    """

    machine: str
    torch: str
    threads: int
    images: int
    dtype: str
    step: int
    whole: float
    per_mac: float
    per_byte: float
    per_call: float
    layers: Mapping[str, WidthTimes]

    @property
    def coefficients(self) -> Coefficients:
        """When a gather pays, by these times."""
        return Coefficients(self.per_mac, self.per_byte, self.per_call)

    def document(self) -> dict[str, Any]:
        """Return the times as JSON takes them."""
        layers = {shape: asdict(times) for shape, times in self.layers.items()}
        return {"format_version": FORMAT_VERSION, **vars(self), "layers": layers}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the times of a document.

        Raises:
            ValueError: it is damaged, or of another version.

        """
        try:
            values = dict(document)
            if values.pop("format_version") != FORMAT_VERSION:
                raise ValueError(f"format_version {document['format_version']}")
            layers = {shape: width_times(times) for shape, times in values.pop("layers").items()}
            found = cls(**values, layers=MappingProxyType(layers))
            numbers = (found.whole, found.per_mac, found.per_byte, found.per_call)
            if not all(np.isfinite(number) and number >= 0 for number in numbers) or found.step < 1 or found.whole <= 0:
                raise ValueError("a number out of range")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"`document` must hold times of layers, got a damaged one ({error}). Measure again."
            ) from error
        return found


def width_times(times: Mapping[str, Any]) -> WidthTimes:
    """Return the times of one layer from its part of a document."""
    seconds = tuple(tuple(float(value) for value in row) for row in times["seconds"])
    return WidthTimes(tuple(map(int, times["reads"])), tuple(map(int, times["makes"])), seconds)


def measured_with(times: LayerTimes) -> str:
    """Return in words what the times were measured with."""
    images = f"{times.images} image{'' if times.images == 1 else 's'}"
    threads = f"{times.threads} thread{'' if times.threads == 1 else 's'}"
    return f"{times.machine.partition(' · ')[0]}, torch {times.torch}, {threads}, {images} a pass"
