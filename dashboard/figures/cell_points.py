"""Cells (layer, channel) as points: what a point carries, so that a hover names it and a click selects it.

`customdata` holds the escaped name of the layer, its place among the layers, and the channel, then what a figure adds.
A click comes back from a browser, so what counts is the place and the channel, and both are checked again.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.dashboard.figures.style import NEUTRAL, Style, escaped
from winnow.dashboard.frames.cells import Cell
from winnow.engine.explain.usage import DEAD, IDLE, SHARED
from winnow.engine.runs.norm_log import Layer

HOVER = "%{customdata[0]}, channel %{customdata[2]}"
SHARED_LOOK = Style(NEUTRAL, "solid", "pentagon")
RING = {"symbol": "circle-open", "size": 22, "color": "#E8447A", "line": {"width": 3}}  # of no task, 3:1 on both pages


def carried(frame: pd.DataFrame, layers: Sequence[str], more: Sequence[str] = ()) -> NDArray[Any]:
    """Return the custom data of the points of `frame` (layer, channel, …): name, place, channel, then `more`."""
    places = {name: place for place, name in enumerate(layers)}
    names = np.array([escaped(str(name)) for name in frame["layer"]], object)
    place = frame["layer"].map(places).fillna(-1).astype(int)
    return np.column_stack([names, place, frame["channel"], *(frame[name] for name in more)]).astype(object)


def picked(points: Sequence[Mapping[str, Any]], layers: Sequence[Layer]) -> Cell | None:
    """Return the cell that a browser says was clicked; None for nothing, or for one that these layers don't have."""
    for point in points:
        data = point.get("customdata")
        if not isinstance(data, Sequence | Mapping) or len(data) < 3:
            continue
        place, channel = (_whole(data[i] if isinstance(data, Sequence) else data.get(str(i))) for i in (1, 2))
        if place is not None and channel is not None and place < len(layers) and channel < layers[place].groups:
            return Cell(layers[place].name, channel)
    return None


def label_look(label: str, looks: Mapping[str, Style]) -> Style:
    """Return how a label is drawn: as its task, or in grey where several tasks use the cell."""
    return looks.get(label, SHARED_LOOK) if label not in (SHARED, IDLE, DEAD) else SHARED_LOOK


def _whole(value: Any) -> int | None:
    """Return a whole number that is not negative, None for anything else."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value < math.inf
        or value != int(value)
    ):
        return None
    return int(value) if value == int(value) else None
