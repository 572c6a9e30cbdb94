"""What do I ship? A run's prunings: one to start, one to look at, and its files; and what each layer can lose.

The page redraws its parts on their own while a pruning is live, and does not change any more once it has ended; the run
itself is never changed.
"""

import streamlit as st

from winnow.dashboard.forms.prune import new_pruning
from winnow.dashboard.forms.widgets import folded_form, shut_form
from winnow.dashboard.frames.answers import of_pruning
from winnow.dashboard.frames.prunings import pruning_called
from winnow.dashboard.frames.run_images import imageless, no_images, only_sampled
from winnow.dashboard.frames.summaries import summary
from winnow.dashboard.pages.prune.pruning import pruning as draw_pruning
from winnow.dashboard.pages.prune.sensitivity import sensitivity_view
from winnow.dashboard.shared import address
from winnow.dashboard.shared.address import PRUNING
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.choosing import ELSEWHERE, Selector, chosen_of, gone
from winnow.dashboard.shared.formatting import duration, elapsed
from winnow.dashboard.shared.run_bar import ENDED, readable, run_bar, same_as_before
from winnow.engine.runs.derived import derived_jobs
from winnow.engine.runs.digests import manifests
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE

NOTHING = (
    "Nothing has been removed from this run yet. By default, only exact zeros go: no output changes. The network "
    "is judged on the validation images and timed, before and after; for a network like the demo's this takes less "
    "than a minute. "
)
NEVER = (
    "This run ended before its first checkpoint was stored, so there is no network to prune. The Train page says why "
    "it ended, and starts it again."
)
NOT_YET = "Pruning starts from a checkpoint, and this run has none yet: the first is stored after its first epoch."
VIEWS = {"prunings": "Prunings", "sensitivity": "Sensitivity of the layers"}
RUNNING = "This run is live. It can be pruned, from its newest checkpoint, once it is done or stopped."


def page() -> None:
    """Draw the prunings of the chosen run."""
    if (bar := run_bar(PRUNING)) is None:
        return
    run, beside = bar
    known = {found.id: found for found in derived_jobs(run, "prune")}
    with beside:
        names = {name: pruning_called(found) for name, found in known.items()}
        shown = known.get(chosen_of(Selector(PRUNING, "Pruning", 380), names) or "")
    if not readable(run):
        return
    if shown is None and address.named(PRUNING):
        gone(PRUNING, f"of run {run.id}", others=bool(known))
        return
    if address.segments("prune_view", "View", VIEWS, "prunings", quiet=True) == "sensitivity":
        sensitivity_view(run, _waits(run))
        return
    if known and shown is None:
        st.info(ELSEWHERE.format("a pruning"), icon=":material/notifications:")
    _new(run, len(known))
    if shown is not None:
        same_as_before(shown)
        draw_pruning(run, shown)


def _new(run: Run, others: int) -> None:
    """Offer a new pruning, or say what it waits for; open where there is no other yet."""
    if reason := _waits(run):
        st.info(reason, icon=":material/hourglass:")
        return
    if not others:
        answer(of_pruning.unpruned_answer(summary(run)))
        st.info(NOTHING + _refit_cost(run), icon=":material/content_cut:")
    key = f"new_pruning_{run.id}"
    folded_form("New pruning", key, lambda: _form(run, key), expanded=not others)


def _form(run: Run, key: str) -> None:
    if started := new_pruning(run):
        shut_form(key)
        address.address_moved({PRUNING: started.id})


def _waits(run: Run) -> str:
    if not manifests(run.path / "weights"):
        return NEVER if run.status.state in ENDED else NOT_YET
    if imageless(run):
        return no_images(run)
    return RUNNING if run.status.state in LIVE else ""


def _refit_cost(run: Run) -> str:
    """Say what an epoch of refit costs, from what one of the training took."""
    status, took = run.recorded_status(), elapsed(run.recorded_status())
    if took is None or not status.epoch or summary(run).imported or only_sampled(run):
        return ""
    return f"An epoch of refit takes at most as long as an epoch of training: {duration(took / status.epoch)}."
