"""What a user does to runs in the table: find them, write on them, choose columns, remove them and take them back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from winnow.dashboard.frames import found_runs
from winnow.dashboard.frames.found_runs import Wanted
from winnow.dashboard.frames.summaries import Summary
from winnow.dashboard.shared.formatting import STATES, plain, sentence
from winnow.dashboard.shared.showing import show
from winnow.engine.runs.labels import write_labels
from winnow.engine.runs.run import run_below, runs_folder
from winnow.engine.runs.trash import discard, discarded, take_back

HIDDEN = "runs_hidden"  # columns; kept in the session, as the state of a widget ends with its page
QUIET: dict[str, Any] = {"label_visibility": "collapsed"}
FEW = 3  # runs: below that, there is nothing to find


def finding(known: Sequence[Summary]) -> tuple[Wanted, bool]:
    """Ask which runs to list; return that, and whether studies are one row each."""
    if len(known) < FEW:
        return Wanted(), True
    tags = found_runs.all_tags(known)
    states = sorted({one.status.state for one in known})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input(
            "Search",
            key="runs_search",
            placeholder="name, id, tag, note, task …",
            width=260,
            label_visibility="collapsed",
        )
        chosen = st.multiselect(
            "State", states, key="runs_states", placeholder="any state", width=170, **QUIET,
            format_func=lambda state: f"{STATES[state][0]} {state}",
        )  # fmt: skip
        own = st.multiselect("Tags", tags, key="runs_tags", placeholder="any tag", width=170, **QUIET) if tags else []
        starred = st.toggle("★ only", key="runs_starred") if any(one.labels.star for one in known) else False
        by_study = st.toggle("One row per study", value=True, key="runs_by_study")
        _columns_menu()
    return Wanted(words, starred, tuple(chosen), tuple(own)), by_study


def _columns_menu() -> None:
    """Let the user hide columns; what is hidden stays so for this session."""
    names = list(st.session_state.get("runs_columns_known", ()))
    if not names:
        return
    hidden = set(st.session_state.get(HIDDEN, ()))

    def change() -> None:
        st.session_state[HIDDEN] = tuple(set(names) - set(st.session_state["runs_columns"]))

    with st.popover("Columns", icon=":material/view_column:", type="tertiary"):
        show("runs_columns", [name for name in names if name not in hidden], *names)
        st.multiselect("Columns in sight", names, key="runs_columns", on_change=change)


def columns_in_sight(names: Sequence[str]) -> list[str]:
    """Return the columns that the user has not hidden; the name stays."""
    st.session_state["runs_columns_known"] = list(names)
    hidden = set(st.session_state.get(HIDDEN, ())) - {"name"}
    return [name for name in names if name not in hidden]


def labelling(one: Summary) -> None:
    """Let the user write on a run."""
    own = one.labels
    with (
        st.popover("Name, star, tags, note", icon=":material/edit:", type="tertiary"),
        st.form("label_form", border=False),
    ):
        name = st.text_input("Name", value=one.name, key=f"label_name_{one.id}")
        star = st.checkbox("★ Star", value=own.star, key=f"label_star_{one.id}")
        tags = st.text_input("Tags, with commas between", value=", ".join(own.tags), key=f"label_tags_{one.id}")
        note = st.text_area("Note", value=own.note, key=f"label_note_{one.id}")
        saved = st.form_submit_button("Save", key="label_save", icon=":material/check:")
    if saved:
        kept = "" if one.spec is not None and name == one.spec.name else name
        changes = {"name": kept, "star": star, "tags": tuple(tags.split(",")), "note": note}
        if _done(lambda: write_labels(run_below(runs_folder(), one.id).path, **changes)):
            st.rerun()
    if own.note:
        st.caption(f"Note: {plain(own.note)}")


def discarding(chosen: Sequence[Summary]) -> None:
    """Offer to move runs to the trash."""
    noun = plain(chosen[0].name) if len(chosen) == 1 else f"{len(chosen)} runs"
    if st.button(f"Move {noun} to the trash", key="discard", icon=":material/delete:", type="tertiary"):
        gone = [_done(partial(discard, run_below(runs_folder(), one.id))) for one in chosen]
        if any(gone):
            st.rerun()


def trash_bin() -> None:
    """Offer what lies in the trash."""
    names = discarded()
    if not names:
        return
    with st.popover(f"Trash ({len(names)})", icon=":material/delete_sweep:", type="tertiary"):
        name = st.selectbox("In the trash", names, key="trash_name")
        if st.button("Restore", key="restore", icon=":material/restore_from_trash:") and _done(lambda: take_back(name)):
            st.rerun()
        st.caption("`winnow runs empty-trash` removes them for good.")


def _done(deed: Callable[[], object]) -> bool:
    """Do something to a folder, or say in one sentence why it can't be done."""
    try:
        deed()
    except (OSError, ValueError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return False
    return True
