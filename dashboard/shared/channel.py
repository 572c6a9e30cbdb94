"""The selected cell of a run: its state, whether it can be removed, its norm over the epochs, its kernels."""

import pandas as pd
import streamlit as st

from winnow.dashboard.figures import kernel, one_channel
from winnow.dashboard.frames import current, groups
from winnow.dashboard.frames.cells import NOUNS, Cell
from winnow.dashboard.frames.concepts import cell_title, concepts
from winnow.dashboard.shared import run_figures
from winnow.dashboard.shared.formatting import firmly, plain, sentence
from winnow.dashboard.shared.panel import draw, source
from winnow.dashboard.shared.selection import Selected, say_absent
from winnow.engine.runs.concepts import can_undo_concept, undo_concept, write_concept
from winnow.engine.runs.run import Run


def channel(run: Run, found: Selected) -> None:
    """Draw all that is known about the selected cell."""
    if found.cell is None:
        say_absent(found)
        st.info(
            f"Select a {NOUNS[run.spec.penalty.groups].removeprefix('input ')}: click a cell of the survival map, or "
            "tick a row of the table under Firmness.",
            icon=":material/touch_app:",
        )
        return
    describe(run, found.cell)
    record, positions = run_figures.channel_charts(run, found.cell)
    moment = f"{source(run)} · after epoch {groups.norms(run).at[-1]}"
    draw(record, "one_channel", one_channel.READING, source(run))
    draw(positions, "kernel", kernel.READING, moment)


def describe(run: Run, chosen: Cell) -> None:
    """Say whether a group is alive, how firmly it is dead, and whether its channel can be removed."""
    record = groups.channel_record(run, chosen.layer, chosen.channel)
    st.text(f"{cell_title(run, chosen)}: {_state(record)}")
    naming(run, chosen)
    known = current.group(run, chosen.layer, chosen.channel)
    if known is not None:
        st.caption("  \n".join(filter(None, (_margin(known), _removal(known)))))


def naming(run: Run, chosen: Cell) -> None:
    """Show the note on a channel, and let the user name it."""
    own = concepts(run).get(chosen)
    key = f"{run.id}_{chosen.kind}_{chosen.layer}_{chosen.channel}"
    with st.popover("Name, note", icon=":material/edit:", type="tertiary"), st.form(f"concept_{key}", border=False):
        name = st.text_input("Name of this channel", own.name if own else "", max_chars=60, key=f"concept_name_{key}")
        note = st.text_area("Note", own.note if own else "", max_chars=1000, key=f"concept_note_{key}")
        with st.container(horizontal=True):
            saved = st.form_submit_button("Save", key="concept_save", icon=":material/check:")
            undone = st.form_submit_button(
                "Undo the newest change", key="concept_undo", disabled=not can_undo_concept(run.path), type="tertiary"
            )
    if own is not None and own.note:
        st.caption(f"Note: {plain(own.note)}")
    if not (saved or undone):
        return
    try:
        if undone:
            undo_concept(run.path)
        else:
            write_concept(run.path, chosen.kind, chosen.layer, chosen.channel, name=name, note=note)
    except (OSError, ValueError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return
    for widget in ("name", "note"):
        st.session_state.pop(f"concept_{widget}_{key}", None)  # drawn again with what is stored now
    st.rerun()


def _margin(known: pd.Series) -> str:
    """Say how near a group is to a change between dead and alive."""
    if pd.notna(known["firmness"]):
        return firmly(float(known["firmness"]))
    if known["state"] == "near":
        return f"Near the threshold: its norm is {100 * known['relative']:.1f} % of the largest in its layer."
    return ""


def _removal(known: pd.Series) -> str:
    if known["removable"]:
        return "Its channel can be removed: no layer uses it any more."
    blocked = known["blocked"]
    return f"Its channel cannot be removed. {sentence(blocked)}." if isinstance(blocked, str) and blocked else ""


def _state(record: pd.DataFrame) -> str:
    """Say whether a group is alive, and otherwise when it last was."""
    newest = float(record["norm"].iloc[-1])
    if newest > 0:
        return f"alive, norm {newest:.3g}"
    living = record.loc[record["norm"] > 0, "at"]
    return f"dead, last alive after epoch {living.iloc[-1]}" if len(living) else "dead from the start"
