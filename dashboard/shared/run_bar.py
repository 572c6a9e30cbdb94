"""What pages about one folder of work have in common: the run's selector, whether it can be read, parts that redraw.

A part is drawn again on its own. What it shows may be removed meanwhile, in another tab or a terminal: then the page is
drawn as a whole, which says so and offers nothing. Where another run has taken its place under the same id, a click
that was meant for the former does nothing. A page on which nothing is drawn again looks at the folder all the same.
"""

import textwrap
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from winnow.dashboard.frames.file_versions import Version, version
from winnow.dashboard.shared import address
from winnow.dashboard.shared.address import RUN
from winnow.dashboard.shared.choosing import Selector, called, chosen_of, gone
from winnow.dashboard.shared.damage import guarded_page
from winnow.dashboard.shared.formatting import STATES, plain, sentence
from winnow.dashboard.shared.watching import watched
from winnow.dashboard.shared.welcome import welcome
from winnow.engine.runs.derived import KINDS, derived_jobs
from winnow.engine.runs.launch import JobError
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.study import Study
from winnow.engine.runs.work_folder import WorkFolder, kind_of
from winnow.engine.specs.frozen import SpecError

ENDED = ("failed", "lost", "stopped")
MOST_REASON = 90  # characters
DRAWN = "drawn_specs"  # in the session: folder → version of its spec.json, which is written once
REPLACED = "replaced_work"  # too: the id of what was replaced, until that is said
REPLACEMENT = (
    "Another {} now has the id of {}. If you clicked on something of the earlier one, nothing was done. The page now "
    "shows the new one."
)
NOUNS = {"train": "run", "explain": "explanation", "prune": "pruning", "sensitivity": "analysis"}
FREEZE = "freeze"  # too: whether the user stopped the redrawing
Work = TypeVar("Work", bound=WorkFolder)
More = ParamSpec("More")


def run_bar(*shows: str, badge: bool = True) -> tuple[Run, DeltaGenerator] | None:
    """Let the user choose a run; return it and the bar for what stands beside it. `shows`: what else the page shows.

    `badge`: say here that a run did not end well; not on a page that says so itself.
    None where there is none to show: the welcome is drawn where no run exists, and a run that is gone is said.
    """
    runs = {run.id: run for run in list_runs()}
    if not runs:
        if address.named(RUN):
            gone(RUN, others=False)
        welcome()
        return None
    bar = st.container(horizontal=True, vertical_alignment="center")
    with bar:
        chosen = chosen_of(Selector(RUN, "Run", 460, shows), {name: called(run) for name, run in runs.items()})
        if chosen is not None and badge:
            ended(runs[chosen])
    if chosen is None:
        gone(RUN)
        return None
    looked_at(runs[chosen])
    return runs[chosen], bar


def looked_at(*works: WorkFolder) -> None:
    """Draw the page anew once what it shows is gone or replaced, or its state or its jobs are others.

    While the user has stopped the redrawing, states and jobs are left aside.
    """
    for work in works:
        same_as_before(work)
    drawn = [_states(work) for work in works]

    def seen() -> list[tuple[Version, list[tuple[str, str, Version]]]]:
        states = drawn if st.session_state.get(FREEZE) else [_states(work) for work in works]
        return [(_written(work), state) for work, state in zip(works, states, strict=True)]

    made = [_written(work) for work in works]
    watched("work", list(zip(made, drawn, strict=True)), seen)


def same_as_before(work: WorkFolder) -> None:
    """Where another folder has taken the place of the one that was drawn, drop the click, draw again, and say so."""
    _notice(work)
    st.session_state[DRAWN][str(work.path)] = _written(work)
    if st.session_state.get(REPLACED) == work.id:
        del st.session_state[REPLACED]
        noun = NOUNS.get(kind_of(work.path), "study")
        st.warning(REPLACEMENT.format(noun, plain(work.id)), icon=":material/swap_horiz:")


def _states(work: WorkFolder) -> list[tuple[str, str, Version]]:
    """Return the states of a folder of work, and of the prunings, explanations and so on that a run has."""
    jobs = [job for kind in KINDS for job in derived_jobs(work, kind)] if isinstance(work, Run) else []
    return [(one.id, one.status.state, _written(one)) for one in (work, *jobs)]


def _written(work: WorkFolder) -> Version:
    """Return when the spec of a folder was written, which happens once: another folder in its place has another."""
    return version(work.path / "spec.json")


def _notice(work: WorkFolder) -> None:
    """Draw the page again where another folder has taken the place of the one that was drawn."""
    if _replaced(work):
        st.session_state[DRAWN][str(work.path)] = _written(work)
        st.session_state[REPLACED] = work.id
        st.rerun()


def _replaced(work: WorkFolder) -> bool:
    drawn = st.session_state.setdefault(DRAWN, {}).get(str(work.path))
    return drawn is not None and drawn != _written(work)


def ended(run: Run) -> None:
    """Say in a badge that a run did not end well, and why: what is shown was recorded before."""
    status = run.status
    if status.state not in ENDED:
        return
    _, icon, colour = STATES[status.state]
    reason = textwrap.shorten(status.message, MOST_REASON, placeholder=" …") if status.state == "failed" else ""
    said = ": ".join(filter(None, (status.state, reason)))
    st.badge(plain(said), icon=icon, color=colour, help=sentence(status.message) or None)


def frozen(live: bool) -> bool:
    """Ask, of what is live, whether to stop redrawing."""
    return live and st.toggle("Freeze", key=FREEZE, help="Stop redrawing the figures, to zoom and read in peace")


def readable(work: Run | Study) -> bool:
    """Return whether the spec can be read; one that can't is said here, once, and not in every figure."""
    try:
        return bool(work.spec)
    except (OSError, SpecError, ValueError) as error:
        noun = "run" if isinstance(work, Run) else "study"
        st.error(f"This {noun} can't be shown: {sentence(str(error))}", icon=":material/error:")
        return False


def redrawn(
    draw: Callable[Concatenate[Work, More], None],
    every: float | None,
    work: Work,
    *more: More.args,
    **named: More.kwargs,
) -> None:
    """Draw a part of the page that is about `work`, and again every so many seconds, or only when it is used."""

    def part() -> None:
        if not there(work):
            st.rerun()
        _notice(work)  # before a click on what was drawn acts on what is there now
        guarded_page(lambda: draw(work, *more, **named))  # an exception in a fragment ends there

    part.__qualname__ = f"{draw.__module__}.{draw.__qualname__}"  # by which Streamlit tells one fragment from another
    st.fragment(part, run_every=every)()


def there(work: WorkFolder) -> bool:
    """Return whether a folder of work is still there, and can be reached."""
    try:
        return (work.path / "spec.json").is_file()
    except OSError:
        return False


def act(work: WorkFolder, deed: Callable[[], object]) -> None:
    """Do what a click asks of a folder of work, or say in one sentence why it can't be done."""
    if not there(work):
        st.toast(f"{plain(work.id)} was removed in the meantime.", icon=":material/link_off:")
        return
    if _replaced(work):
        return  # the page says so when it is drawn
    try:
        deed()
    except (JobError, OSError, ValueError) as error:
        st.toast(sentence(str(error)), icon=":material/error:")
