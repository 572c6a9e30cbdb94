"""Is the run healthy? Its state, its controls, and its curves while it is live and afterwards.

Three parts redraw on their own: the state every second, the open view every two seconds while the run is live and not
frozen, the controls only when used, so that a click never waits for a figure. When the state changes, the whole page is
drawn once more, and the page of a finished run does not change any more.
"""

import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.figures import losses_and_metrics, one_channel, sparsities, strength_and_alive, task_conflict
from winnow.dashboard.forms.again import again
from winnow.dashboard.frames import events, groups
from winnow.dashboard.frames.answers.answer import count
from winnow.dashboard.frames.log import tail
from winnow.dashboard.frames.run_images import imageless, only_sampled
from winnow.dashboard.frames.stored_tables import stored
from winnow.dashboard.frames.summaries import summary
from winnow.dashboard.shared import address, run_figures
from winnow.dashboard.shared.channel import describe
from winnow.dashboard.shared.controls import controls
from winnow.dashboard.shared.norms_over_epochs import over_epochs
from winnow.dashboard.shared.panel import draw, source, tall
from winnow.dashboard.shared.progress import phase, progress
from winnow.dashboard.shared.run_bar import ENDED, frozen, readable, redrawn, run_bar
from winnow.dashboard.shared.selection import say_absent
from winnow.dashboard.shared.survival import no_norms, survival
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE

EVERY = 2.0  # seconds between two drawings of the figures; a Plotly figure is mounted anew each time
WINDOWS = (0, 5, 10, 20, 50, 100, 500)
SKIPPED = ("split", "file", "part", "expected", "found", "mend")
TABS = ("Curves", "Tasks", "Survival map", "Norms by layer", "Log")
UNRECORDED = (
    "There are no curves: this run ended before its first number was recorded. The tab Log shows its last lines."
)
OWN_LOOP = "The conflict between tasks is recorded where Winnow trains, and so are their weights."
NOT_TRAINED = "No conflict between tasks was recorded: the weights were imported, and nothing was trained."
AFFINITY = " Explain the run to see, on the page Tasks under Affinity, how the gradients of its tasks agree."
IMPORTED = (
    "There are no curves: the weights were imported, and nothing was trained. Groups, Explain and Prune show them."
)


def page() -> None:
    """Draw the chosen run."""
    if (bar := run_bar(badge=False)) is None:
        return
    run, beside = bar
    with beside:
        live = run.status.state in LIVE
        window = _window()
        held = frozen(live)
        if not readable(run):
            return
        started = again(run)
    if started is not None:
        navigation.go("train", run=started.id)
    redrawn(progress, EVERY / 2 if live else None, run, phase(run.status))
    redrawn(controls, None, run)
    redrawn(_views, EVERY if live and not held else None, run, window)
    redrawn(_skipped, EVERY if live and not held else None, run)


def _skipped(run: Run) -> None:
    """List the samples that the run leaves out, where it was asked to leave out those that cannot be read."""
    left_out = stored(run, "skipped", {"skipped": SKIPPED})
    if len(left_out):
        with st.expander(f"{count(len(left_out), 'sample')} left out because their files are damaged (skip_bad)"):
            st.dataframe(left_out, hide_index=True, placeholder="–", height=tall(len(left_out)))
            st.caption(
                "The run uses all other samples. Repair the files and start the run again to use these samples, too."
            )


def _window() -> int:
    """Ask how many of the last epochs to show, 0 for all."""
    return st.selectbox(
        "Show",
        WINDOWS,
        format_func=lambda last: f"last {last} epochs" if last else "all epochs",
        key="window",
        label_visibility="collapsed",
        width=170,
    )


def _views(run: Run, window: int) -> None:
    """Draw the open view with the last `window` epochs, 0 for all."""
    since = _since(run, window)
    curves, together, map_tab, layers, log = address.tabs("view", TABS)
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
    if summary(run).imported:
        st.info(IMPORTED, icon=":material/move_to_inbox:")
        return
    if not summary(run).newest and run.status.state in ENDED:
        st.info(UNRECORDED, icon=":material/hourglass_disabled:")
        return
    curves, regularity, counts = run_figures.training_charts(run, since)
    draw(curves, "losses_and_metrics", losses_and_metrics.READING, source(run, "val"))
    left, right = st.columns(2, gap="medium")
    with left:
        draw(regularity, "strength_and_alive", strength_and_alive.READING, source(run, "train"))
    with right:
        draw(counts, "sparsities", sparsities.READING, source(run))


def _together(run: Run, since: float) -> None:
    conflict, weights = run_figures.together_charts(run, since)
    if conflict.frame.empty and (why := _without_conflict(run)):
        st.info(why, icon=":material/compare_arrows:")
    else:
        draw(conflict, "task_conflict", task_conflict.CONFLICT_READING, source(run, "train"))
    if len(weights.frame):
        draw(weights, "task_weights", task_conflict.WEIGHTS_READING, source(run, "train"))
    elif summary(run).newest and len(run.spec.tasks) > 1 and not only_sampled(run):
        st.caption("All tasks have had the same weight, 1.")


def _without_conflict(run: Run) -> str:
    """Say why the conflict between the tasks of a run is never recorded, "" where it may be."""
    if len(run.spec.tasks) < 2:
        return "This run has one task: there is no other for it to be in conflict with."
    if only_sampled(run):
        return (NOT_TRAINED if summary(run).imported else OWN_LOOP) + ("" if imageless(run) else AFFINITY)
    return (
        "" if run.spec.balancing.record_every else "The run was asked not to record the conflict (record_every is 0)."
    )


def _survival(run: Run) -> None:
    if not len(groups.norms(run).values):
        no_norms(run)
        return
    found = survival(run)
    if found.cell is None:
        say_absent(found)
        st.caption("Select a channel to see its norm over the epochs.")
        return
    describe(run, found.cell)
    draw(run_figures.channel_charts(run, found.cell)[0], "one_channel", one_channel.READING, source(run))


def _log(run: Run) -> None:
    text = tail(run.path / "log.txt")
    nothing = "The worker has not written anything yet." if run.status.state in LIVE else "The worker wrote nothing."
    st.code(text or nothing, language=None, height=420, wrap_lines=True)
    st.caption("The last 40 lines of log.txt in the run folder.")
