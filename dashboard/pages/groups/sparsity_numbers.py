"""The sparsity numbers: what is zero, what of that can be removed, what has been removed."""

from typing import Any

import numpy as np
import streamlit as st

from winnow.dashboard.frames import current, events
from winnow.dashboard.frames.answers.of_pruning import uncounted
from winnow.dashboard.frames.before_after import realised
from winnow.dashboard.frames.summaries import Summary, summary
from winnow.dashboard.frames.tables import SPARSITY_TITLES
from winnow.dashboard.shared.formatting import measured
from winnow.dashboard.shared.panel import explain, source
from winnow.dashboard.shared.progress import TILE
from winnow.engine.runs.run import Run

ZERO = "The share of the penalised layers that is exactly zero. A zero still costs its multiply–add."
REMOVABLE = (
    "The share of the whole network that could be removed without changing any output: channels that no layer uses. "
    "With gathers: each layer also picks only the channels that it uses."
)
REALISED = (
    "What the newest pruning of this run saves of the whole network, as measured: multiply–adds, parameters, and the "
    "time of one image."
)
TRAINED = (
    "What was removed while the run trained, as a share of the dense network. All other numbers still count these "
    "zeros, as the stored network is dense: a pruning makes the smaller one."
)
UNKNOWN = "MACs of a layer are not known"
SIZES = ("macs", "parameters")
READING = "Zero and removable differ: a channel can be removed only once every layer that reads it ignores it."


def sparsity_numbers(run: Run) -> None:
    """Draw the numbers of a run, and beside them the components of its network."""
    known = summary(run)
    numbers, table = st.columns([6, 5], gap="medium")
    with numbers:
        with st.container(horizontal=True, key="tiles_zero"):
            for quantity, title in SPARSITY_TITLES.items():
                unknown = np.isnan(known.newest.get((None, quantity), 0.0)) and quantity == "mac_sparsity"
                _metric(title, known.sparsity(quantity), ZERO, UNKNOWN if unknown else None)
        with st.container(horizontal=True, key="tiles_removable"):
            _removable(known)
            _realised(run)
    with table:
        _components(run)


def _removable(known: Summary) -> None:
    macs = known.newest.get((None, "removable_macs"))
    gathered = known.newest.get((None, "gathered_macs"), np.nan)
    _metric("Parameters removable", known.newest.get((None, "removable_parameters"), np.nan), REMOVABLE, "")
    more = "" if np.isnan(gathered) else f"{_percent(gathered)} with gathers"
    more = UNKNOWN if macs is not None and np.isnan(macs) else more
    _metric("MACs removable", np.nan if macs is None else macs, REMOVABLE, more)


def _realised(run: Run) -> None:
    """Say what has been removed: by a pruning, or while the run trained."""
    found = realised(run)
    if found is None:
        trained = events.removals(run)
        left = [100 * (1 - trained[of].iloc[-1] / trained[f"{of}_before"].iloc[0]) for of in SIZES if len(trained)]
        said = f"while training, params {_percent(left[1])}" if left else "nothing removed yet"
        said = f"{UNKNOWN}; {said}" if left and np.isnan(left[0]) else said
        _metric("MACs removed", left[0] if left else 0.0, TRAINED if left else REALISED, said)
        return
    known = (("params", found.parameters), ("time", found.latency))
    more = [f"{name} {_percent(value)}" for name, value in known if not np.isnan(value)]
    _metric("MACs removed", found.macs, REALISED, ", ".join([UNKNOWN] * bool(np.isnan(found.macs)) + more))


def _metric(title: str, value: float, about: str, more: str | None = None) -> None:
    st.metric(
        title,
        _percent(value),
        more or None,
        delta_color="off",
        delta_arrow="off",
        help=about,
        border=True,
        height="content" if more is None else TILE,
    )


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else measured(value, "%")


def _components(run: Run) -> None:
    shares = current.shares(run)
    if shares.empty:
        st.info(uncounted(run.status.state), icon=":material/content_cut:")
        return
    st.dataframe(
        shares,
        key="components",
        hide_index=True,
        placeholder="–",
        height="content" if len(shares) <= 6 else 215,
        row_height=29,
        column_config=_columns(),
    )
    explain(lambda: current.shares(run), "components", READING, source(run))


def _columns() -> dict[str, Any]:
    """Return how each column is titled and shown."""
    config = st.column_config
    titles = {"removable parameters": 112, "removable MACs": 102, "with gathers": 88}
    short = {"removable parameters": "params removable", "removable MACs": "MACs removable"}
    percents = {
        name: config.NumberColumn(short.get(name, name), format="%.1f %%", width=width)
        for name, width in titles.items()
    }
    counts = {name: config.NumberColumn(format="compact", width=76) for name in ("parameters", "MACs")}
    return {"component": config.TextColumn("component", width=100), **counts, **percents}
