"""The selected cell of a run: its state, whether it can be removed, its norm over the epochs, its kernels."""

import pandas as pd
import streamlit as st

from winnow.dashboard.figures import kernel, one_channel
from winnow.dashboard.frames import current, groups
from winnow.dashboard.frames.cells import NOUNS, Cell
from winnow.dashboard.shared import run_figures
from winnow.dashboard.shared.formatting import firmly, sentence
from winnow.dashboard.shared.panel import draw, source
from winnow.dashboard.shared.selection import Selected, say_absent
from winnow.engine.runs.run import Run


def channel(run: Run, found: Selected) -> None:
    """Draw all that is known about the selected cell."""
    if found.cell is None:
        say_absent(found)
        st.info(
            f"Select a {NOUNS[run.spec.penalty.groups].removeprefix('input ')}: click a cell of the map, or tick a row "
            "of the table of groups that are closest to a change.",
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
    st.text(f"{chosen}: {_state(record)}")
    known = current.group(run, chosen.layer, chosen.channel)
    if known is not None:
        st.caption("  \n".join(filter(None, (_margin(known), _removal(known)))))


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
