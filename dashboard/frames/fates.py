"""What became of each channel: dead, near the threshold or alive, and when it died.

| function   | columns                                                                                             |
|------------|-----------------------------------------------------------------------------------------------------|
| `channels` | layer, channel, size, norm, state, last_alive: after the newest epoch; `last_alive` is the last     |
|            | epoch after which the channel was not zero, missing where it never was                              |

Near means alive, with a norm below a tenth of the median of the living in its layer: norms of one layer can be
compared, those of two layers can't, as batch norm leaves the scale of a layer free.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboard.frames.groups import Norms, norms
from engine.runs import Run

NEAR = 0.1
Order = Literal["network", "norm", "death"]
STATES = np.array(["dead", "near", "alive"])


def channels(run: Run) -> pd.DataFrame:
    """Return one row per channel of every layer, none before the first norms."""
    known = norms(run)
    frame = run.groups() if len(known.at) else run.groups().iloc[:0]
    last = last_alive(known)
    state = STATES[np.where(near(known), 1, 2 * (newest(known) > 0))]
    return frame.drop(columns="alive").assign(state=state, last_alive=pd.Series(last, dtype="Int64").where(last >= 0))


def newest(known: Norms) -> NDArray[np.float32]:
    """Return the norms (groups,) after the newest epoch, nothing before the first."""
    return known.values[-1] if len(known.values) else np.zeros(0, np.float32)


def near(known: Norms) -> NDArray[np.bool_]:
    """Return which groups (groups,) live with a norm below NEAR times the median of their layer's living."""
    return np.concatenate([np.zeros(0, np.bool_), *map(_near, _parts(known))])


def last_alive(known: Norms) -> NDArray[np.int64]:
    """Return the last epoch (groups,) after which each group was not zero, -1 where it never was."""
    if not len(known.values):
        return np.zeros(0, np.int64)
    alive = known.values > 0
    back = alive[::-1].argmax(axis=0)
    return np.where(alive.any(axis=0), known.at[len(known.at) - 1 - back], -1)


def order(known: Norms, by: Order) -> list[NDArray[np.intp]]:
    """Return the channels of each layer in the order in which to show them.

    By norm: the largest first, the dead last. By death: those that live first, then the last to die, at the end the
    first; what ties stays in the order of the network.
    """
    if by == "network":
        return [np.arange(layer.groups) for layer in known.layers]
    ranked = newest(known) if by == "norm" else last_alive(known)
    return [np.argsort(-part, kind="stable") for part in _split(known, ranked)]


def _near(part: NDArray[np.float32]) -> NDArray[np.bool_]:
    living = part > 0
    return living & (part < NEAR * np.median(part[living])) if living.any() else living


def _parts(known: Norms) -> list[NDArray[np.float32]]:
    """Return the newest norms of each layer."""
    return _split(known, newest(known)) if len(known.values) else []


def _split(known: Norms, values: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the piece of each layer."""
    return np.split(values, known.starts[1:-1])[: len(known.layers)]
