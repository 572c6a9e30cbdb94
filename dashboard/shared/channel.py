"""The selected channel: what became of it, whether it can go, its record, its kernels."""

import pandas as pd
import streamlit as st

from winnow.dashboard.figures import kernel, one_channel
from winnow.dashboard.frames import current, groups
from winnow.dashboard.shared import run_figures
from winnow.dashboard.shared.formatting import firmly, sentence
from winnow.dashboard.shared.panel import draw, source
from winnow.dashboard.shared.selection import Selection
from winnow.engine.runs.run import Run


def channel(run: Run, chosen: Selection | None) -> None:
    """Draw all that is known about the selected channel."""
    if chosen is None:
        st.info(
            "Select a channel: click a cell of the map, or tick a row of the list of the nearest to the edge.",
            icon=":material/touch_app:",
        )
        return
    told(run, chosen)
    record, positions = run_figures.channel(run, chosen)
    moment = f"{source(run)} · after epoch {groups.norms(run).at[-1]}"
    draw(record, "one_channel", one_channel.READING, source(run))
    draw(positions, "kernel", kernel.READING, moment)


def told(run: Run, chosen: Selection) -> None:
    """Say in words whether a channel lives, how firmly it is dead, and whether what is behind it can be removed."""
    record = groups.channel_record(run, chosen.layer, chosen.channel)
    st.text(f"{chosen.layer}, channel {chosen.channel}: {fate(record)}")
    known = current.group(run, chosen.layer, chosen.channel)
    if known is not None:
        st.caption("  \n".join(filter(None, (_standing(known), _removal(known)))))


def _standing(known: pd.Series) -> str:
    """Say how near a group is to changing sides."""
    if pd.notna(known["firmness"]):
        return firmly(float(known["firmness"]))
    if known["state"] == "near":
        return f"Near the threshold: its norm is {100 * known['relative']:.1f} % of the largest in its layer."
    return ""


def _removal(known: pd.Series) -> str:
    if known["removable"]:
        return "The channel behind it can be removed: nothing uses it any more."
    blocked = known["blocked"]
    return f"The channel behind it stays. {sentence(blocked)}." if isinstance(blocked, str) and blocked else ""


def fate(record: pd.DataFrame) -> str:
    """Say whether a channel lives, and otherwise when it was last alive."""
    newest = float(record["norm"].iloc[-1])
    if newest > 0:
        return f"alive, norm {newest:.3g}"
    living = record.loc[record["norm"] > 0, "at"]
    return f"dead, last alive after epoch {living.iloc[-1]}" if len(living) else "dead from the start"
