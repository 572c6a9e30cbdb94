"""Choosing what a page shows: a run, another one, a pruning or an explanation of the run, a study.

What is chosen stands in the address. Where the address says nothing, the usual one completes it: the newest, once and
for all, so that a page never turns to another by itself when a newer one comes; where there was none, the first that
comes waits until the user chooses it. Where the address names one that is not there, the page says so and shows nothing
in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from winnow.dashboard.frames import explanations
from winnow.dashboard.frames.summaries import summary
from winnow.dashboard.shared import address
from winnow.dashboard.shared.address import EXPLANATION, OTHER, PRUNING, RUN, SENSITIVITY, STUDY
from winnow.dashboard.shared.formatting import isolated, plain
from winnow.dashboard.shared.watching import watched
from winnow.engine.runs.derived import derived_jobs
from winnow.engine.runs.run import Run, list_runs, runs_folder
from winnow.engine.runs.study import list_studies
from winnow.engine.runs.work_folder import WorkFolder

DERIVED = {PRUNING: "prune", EXPLANATION: "explain", SENSITIVITY: "sensitivity"}  # of the run: another run has others
NONE_OF = "none_of"  # in the session: of which (page, run, name) there was none when the page was opened
ELSEWHERE = "There is {} of this run by now that you have not chosen. Choose it above to see it."
NOUNS = {
    RUN: "run",
    OTHER: "run",
    STUDY: "study or path",
    PRUNING: "pruning",
    EXPLANATION: "explanation",
    SENSITIVITY: "sensitivity analysis",
}


@dataclass(frozen=True)
class Selector:
    """One selector: which word of the address, how it is labelled, how wide it is [px], what else the page shows."""

    name: str
    label: str
    width: int
    shows: tuple[str, ...] = ()


def chosen_of(choice: Selector, known: Mapping[str, str]) -> str | None:
    """Let the user choose one of `known` (id → what it is called, the usual first); return the id, None if it is gone.

    Where the address says nothing, the usual one completes it, unless there was none when the page was opened: then
    None is returned until the user chooses. Where nothing is known, nothing is drawn.
    """
    complete_usual([RUN, choice.name, *choice.shows])
    if not known:
        here = (address.open_page(), address.named(RUN), choice.name)
        st.session_state[NONE_OF] = frozenset({here, *_none_here()})
        return None
    named = address.named(choice.name)
    st.selectbox(
        choice.label,
        list(known),
        format_func=lambda identity: known.get(identity, identity),
        index=None,
        required=named in known,
        placeholder=f"Choose a {NOUNS[choice.name]}",
        label_visibility="collapsed",
        width=choice.width,
        **address.following(choice.name, known, None, lambda chosen: _with(choice, chosen)),
    )
    return named if named in known else None


def complete_usual(names: Sequence[str]) -> None:
    """Complete the address with the usual ones of `names`, once: what there was none of stays open on this page."""
    if any(address.named(name) is None for name in names):
        said = completed([RUN], address.linked())
        without = _none_here()
        own = [name for name in names if (address.open_page(), said.get(RUN), name) not in without]
        address.complete(completed(own, said))


def _none_here() -> frozenset[tuple[str | None, str | None, str]]:
    """Return of which (page, run, name) there was none when the page was opened; another page begins anew."""
    known: frozenset[tuple[str | None, str | None, str]] = st.session_state.get(NONE_OF, frozenset())
    return frozenset(one for one in known if one[0] == address.open_page())


def gone(name: str, where: str = "", others: bool = True) -> None:
    """Say that what the address names is not there, and that nothing is shown in its place."""
    noun, named = NOUNS[name], address.named(name) or ""
    st.error(
        f"There is no {noun} {plain(named)} {plain(where or f'in {runs_folder()}')}. It was removed or renamed, or "
        "the link comes from elsewhere. Nothing is shown in its "
        f"place{f': choose another {noun} above' if others else ''}.",
        icon=":material/link_off:",
    )
    watched(f"gone_{name}", named in _listed(name), lambda: named in _listed(name))  # it may be taken back


def _listed(name: str) -> set[str]:
    """Return what there is of what `name` names, of the run of the address where it belongs to one."""
    if name in (RUN, OTHER, STUDY):
        return {work.id for work in (list_studies() if name == STUDY else list_runs())}
    of = next((run for run in list_runs() if run.id == address.named(RUN)), None)
    return {work.id for work in derived_jobs(of, DERIVED[name])} if of else set()


def completed(names: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """Return what is `known` of an address, with the usual ones of `names` where it says nothing; a run comes first."""
    said, runs = dict(known), list_runs()
    for name in dict.fromkeys(names):
        found = said.get(name) or _usual(name, said.get(RUN, ""), runs)
        if found is not None:
            said[name] = found
    return said


def _usual(name: str, run: str, runs: Sequence[Run]) -> str | None:
    """Return what is shown where the address says nothing of `name`, None where there is nothing to show."""
    if name == RUN:
        return _first(runs)
    if name == OTHER:
        return _first([other for other in runs if other.id != run])
    if name == STUDY:
        return _first(list_studies())
    of = next((known for known in runs if known.id == run), None)
    if of is None:
        return None
    if name == PRUNING:
        return _first(derived_jobs(of, "prune"))
    if name == SENSITIVITY:
        return _first(derived_jobs(of, "sensitivity"))
    if name == EXPLANATION:
        best = explanations.best(explanations.explanations(of))
        return _first([best] if best else [])
    raise KeyError(f"`name` must be one of {', '.join(NOUNS)}, got {name!r}.")


def going(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return what goes along to another page where something is chosen on the way."""
    said: dict[str, str | None] = dict(address.linked())
    if chosen.get(RUN, said.get(RUN)) != said.get(RUN):
        said |= _without(chosen[RUN])
    return {name: value for name, value in {**said, **chosen}.items() if value is not None}


def called(run: Run) -> str:
    """Return how a run is called in a selector: its name, which may be another's too, and its id."""
    return f"{isolated(summary(run).name)} · {run.id}"


def _first(works: Sequence[WorkFolder]) -> str | None:
    return works[0].id if works else None


def _with(choice: Selector, chosen: str | None) -> Mapping[str, str | None]:
    """Return what else changes with a choice: a run's prunings and explanations are the run's own."""
    if choice.name != RUN or chosen is None:
        return {}
    gone = _without(chosen)
    said = {name: value for name, value in address.linked().items() if name not in gone}
    return {**gone, **completed(choice.shows, {**said, RUN: chosen})}


def _without(run: str) -> dict[str, str | None]:
    """Return what does not go along to another run."""
    same = {OTHER: None} if run == address.named(OTHER) else {}
    return {**dict.fromkeys(DERIVED), **same}
