"""The views of one run: curves, what the tasks do to one another, survival map, norms by layer, log.

Only the one that is open is drawn.
"""

import streamlit as st

from winnow.dashboard.figures import losses_and_metrics, one_channel, sparsities, strength_and_alive, task_conflict
from winnow.dashboard.frames import events, groups
from winnow.dashboard.frames.log import tail
from winnow.dashboard.shared import run_figures
from winnow.dashboard.shared.channel import told
from winnow.dashboard.shared.norms_over_epochs import over_epochs
from winnow.dashboard.shared.panel import draw, source
from winnow.dashboard.shared.survival import no_norms, survival
from winnow.engine.runs.run import Run

TABS = ("Curves", "Tasks", "Survival map", "Norms by layer", "Log")


def views(run: Run, window: int) -> None:
    """Draw the open view with the last `window` epochs, 0 for all."""
    since = _since(run, window)
    curves, together, map_tab, layers, log = st.tabs(TABS, key="view", on_change="rerun", bind="query-params")
    if curves.open:
        with curves:
            _curves(run, since)
    if together.open:
        with together:
            _together(run, since)
    if map_tab.open:
        with map_tab:
            _survival(run)
    if layers.open:
        with layers:
            over_epochs(run, since)
    if log.open:
        with log:
            _log(run)


def _since(run: Run, window: int) -> float:
    """Return the epoch from which on to draw."""
    log = events.events(run)
    return max(float(log["at"].max()) - window, 0.0) if window and len(log) else 0.0


def _curves(run: Run, since: float) -> None:
    curves, regularity, counts = run_figures.training(run, since)
    draw(curves, "losses_and_metrics", losses_and_metrics.READING, source(run, "val"))
    left, right = st.columns(2, gap="medium")
    with left:
        draw(regularity, "strength_and_alive", strength_and_alive.READING, source(run, "train"))
    with right:
        draw(counts, "sparsities", sparsities.READING, source(run))


def _together(run: Run, since: float) -> None:
    conflict, weights = run_figures.tasks_together(run, since)
    draw(conflict, "task_conflict", task_conflict.CONFLICT_READING, source(run, "train"))
    if len(weights.frame):
        draw(weights, "task_weights", task_conflict.WEIGHTS_READING, source(run, "train"))
    else:
        st.caption("All tasks have had the same weight, 1.")


def _survival(run: Run) -> None:
    if not len(groups.norms(run).values):
        no_norms()
        return
    chosen = survival(run)
    if chosen is None:
        st.caption("Select a channel to see how its norm went.")
        return
    told(run, chosen)
    draw(run_figures.channel(run, chosen)[0], "one_channel", one_channel.READING, source(run))


def _log(run: Run) -> None:
    text = tail(run.path / "log.txt")
    st.code(text or "The worker has not written anything yet.", language=None, height=420, wrap_lines=True)
    st.caption("The last 40 lines of log.txt in the run folder.")
