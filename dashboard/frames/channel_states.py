"""The state of each group: dead, near the threshold or alive; and when it died.

| function   | columns                                                                                             |
|------------|-----------------------------------------------------------------------------------------------------|
| `channels` | layer, channel, size, norm, state, last_alive: after the newest epoch; `last_alive` is the last     |
|            | epoch after which the channel was not zero, missing where it never was                              |
| `below`    | of, now, then: what would be zero at another threshold                                              |
| `alarms`   | layer, total, alive: the layers about to die                                                        |
| `layers`   | layer, alive, near, dead, broken (norm NaN or infinite), total (alive without the near); minimum,   |
|            | lower, median, upper, maximum: quartiles of the norms of all that live                              |

Near means alive, with a norm below a tenth of the largest of its layer: norms of one layer can be compared, those of
two layers can't, as batch norm leaves the scale of a layer free. The engine says so in its table of groups, which
counts here; the same rule serves for norms that are newer than that table.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.dashboard.frames import current, events
from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.dashboard.frames.groups import Norms, norms
from winnow.dashboard.frames.stored_tables import stored
from winnow.engine.runs.quantities import ALARM, NEAR
from winnow.engine.runs.run import Run

Order = Literal["network", "norm", "death"]
STATES = np.array(["dead", "near", "alive"])
NEAR_PLACE = 1  # in STATES
QUARTILES = ("minimum", "lower", "median", "upper", "maximum")
State = NDArray[np.intp]


def channels(run: Run) -> pd.DataFrame:
    """Return one row per channel of every layer, none before the first norms."""
    known = norms(run)
    frame = run.groups() if len(known.at) else run.groups().iloc[:0]
    last = last_alive(known)
    state = STATES[states(run)] if len(known.at) else STATES[:0]
    return frame.drop(columns="alive").assign(state=state, last_alive=pd.Series(last, dtype="Int64").where(last >= 0))


def layers(run: Run) -> pd.DataFrame:
    """Return one row per layer, none before the first norms: how many groups are what, and how large they are."""
    known = norms(run)
    if not len(known.values):
        return pd.DataFrame(columns=["layer", *STATES, "broken", "total", *QUARTILES])
    return _layers(run.path, *(version(run.path / name) for name in ("groups/norms.bin", "tables/groups.parquet")))


@latest(32)
def _layers(path: Path, _rows: Version, _tables: Version) -> pd.DataFrame:
    run = Run(path)
    known = norms(run)
    parts = zip(known.layers, _parts(known), _split(known, states(run)), strict=True)
    return pd.DataFrame([_layer(layer.name, norms, state) for layer, norms, state in parts])


def alarms(run: Run) -> pd.DataFrame:
    """Return the layers about to die (layer, alive, total): those that the engine warned of, as long as it holds.

    The one that has lost the largest share comes first.
    """
    known = layers(run)
    alive, total = known["alive"] + known["near"], known["total"]
    few = known["layer"].isin(events.alarmed(run)) & (alive <= (ALARM * total).clip(lower=1))
    order = (alive / total)[few].sort_values(kind="stable").index
    return known[["layer", "total"]].assign(alive=alive).loc[order].reset_index(drop=True)


def states(run: Run) -> State:
    """Return the place in STATES of every group (groups,): what the engine says, the rule where its table is older."""
    known = norms(run)
    now = newest(known)
    ruled = np.where(near(known), NEAR_PLACE, 2 * (now > 0))
    table = current.groups(run)
    if table.empty or not len(now):
        return ruled
    starts = dict(zip((layer.name for layer in known.layers), known.starts.tolist(), strict=False))
    first = table["layer"].map(starts)
    table = table[first.notna()]
    place = (first.dropna() + table["channel"]).to_numpy(np.intp)
    same = table["norm"].to_numpy(np.float32) == now[place]
    said = table["state"].map({state: index for index, state in enumerate(STATES)}).to_numpy(np.intp)
    ruled[place[same]] = said[same]
    return ruled


def below(run: Run, percent: float) -> pd.DataFrame:
    """Return what would be zero if all groups below a share [%] of the largest norm of their layer were.

    One row per quantity: of (groups, parameters, MACs), now and then [% of the penalised layers]. Parameters and MACs
    count the penalised weights; the MACs of a group are those of its layer ÷ the channels that it has, and are missing
    where the network's graph was not stored. Both are missing where groups are whole channels: a weight then belongs to
    two groups, and is zero as soon as one of them is.
    """
    known, now = norms(run), newest(norms(run))
    dead = now <= 0
    cut = dead | np.concatenate(
        [np.zeros(0, bool), *(part < percent / 100 * part.max(initial=0) for part in _parts(known))]
    )
    sizes = np.concatenate([np.zeros(0), *(np.full(layer.groups, layer.size, float) for layer in known.layers)])
    weighed = {"groups": np.ones(len(now)), "parameters": sizes, "MACs": _macs(run, known)}
    if run.spec.penalty.groups == "coupled":
        weighed |= {"parameters": np.full(len(now), np.nan), "MACs": np.full(len(now), np.nan)}
    shares = {of: [_share(weights, gone) for gone in (dead, cut)] for of, weights in weighed.items()}
    return pd.DataFrame([(of, *both) for of, both in shares.items()], columns=["of", "now", "then"])


def _share(weights: NDArray[np.float64], gone: NDArray[np.bool_]) -> float:
    total = float(weights.sum())
    return 100 * float(weights[gone].sum()) / total if total else np.nan


def _macs(run: Run, known: Norms) -> NDArray[np.float64]:
    """Return the MACs of each group (groups,), NaN where they are not known."""
    table = stored(run, "network", {"network": ("name", "kind", "macs")})
    summed = table[table["kind"] == "layer"].groupby("name")["macs"].sum()
    own = {str(name): float(macs) for name, macs in summed.items()}
    each = [float(own.get(layer.name, np.nan)) / max(layer.groups, 1) for layer in known.layers]
    return np.repeat(each, [layer.groups for layer in known.layers]) if each else np.zeros(0)


def newest(known: Norms) -> NDArray[np.float32]:
    """Return the norms (groups,) after the newest epoch, nothing before the first."""
    return known.values[-1] if len(known.values) else np.zeros(0, np.float32)


def near(known: Norms) -> NDArray[np.bool_]:
    """Return which groups (groups,) live with a norm below NEAR times the largest of their layer."""
    return np.concatenate([np.zeros(0, np.bool_), *map(_near, _parts(known))])


def at_row(known: Norms, row: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the norms (groups,) of one row, and which of them are near the threshold by the rule."""
    values = known.values[row]
    return values, np.concatenate([np.zeros(0, np.bool_), *map(_near, _split(known, values))])


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


def _layer(name: str, norms: NDArray[np.float32], state: State) -> dict[str, Any]:
    finite = np.isfinite(norms)
    living = norms[finite & (norms > 0)]
    quartiles = np.quantile(living, [0, 0.25, 0.5, 0.75, 1]) if living.size else np.full(5, np.nan)
    counts = np.bincount(state[finite], minlength=len(STATES)).tolist()
    return {
        "layer": name,
        **dict(zip(STATES.tolist(), counts, strict=True)),
        "broken": int((~finite).sum()),
        "total": len(norms),
        **dict(zip(QUARTILES, quartiles.tolist(), strict=True)),
    }


def _near(part: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray((part > 0) & (part < NEAR * part.max(initial=0.0)), np.bool_)


def _parts(known: Norms) -> list[NDArray[np.float32]]:
    """Return the newest norms of each layer."""
    return _split(known, newest(known)) if len(known.values) else []


def _split(known: Norms, values: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the piece of each layer."""
    return np.split(values, known.starts[1:-1])[: len(known.layers)]
