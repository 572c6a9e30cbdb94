"""What a page says of a run whose files are damaged, where it cannot draw it, and of a folder that cannot be read."""

import os
from collections.abc import Callable

import streamlit as st

from winnow.dashboard.shared import address
from winnow.dashboard.shared.formatting import plain
from winnow.engine.runs.run import find, list_runs, runs_folder

MOST = 5  # files named
UNREADABLE = (
    "The folder of the runs, {}, cannot be read: {}. No run can be shown until it can. Check its permissions, and that "
    "its disk is connected, or set WINNOW_RUNS to another folder and start the dashboard again."
)


def guarded_page(draw: Callable[[], None]) -> None:
    """Draw a page or a part of one; where that fails and files of its run are damaged, name them."""
    try:
        draw()
    except Exception:  # whatever damaged files led to
        found = damage()
        if not found:
            raise
        st.error(
            plain(f"This cannot be drawn: files of the run are damaged. {'; '.join(found[:MOST])}."),
            icon=":material/error:",
        )
        st.caption("Restore them from a copy, or start the run again. `winnow runs verify` checks all files of a run.")


def unreadable_root() -> str:
    """Return why the folder of the runs cannot be read, "" where it can, or where there is none yet."""
    named = os.environ.get("WINNOW_RUNS", "runs")
    try:
        with os.scandir(runs_folder()):
            return ""
    except FileNotFoundError:
        return ""
    except OSError as error:
        return UNREADABLE.format(plain(named), plain(error.strerror or type(error).__name__))


def damage() -> list[str]:
    """Return what is damaged in the run that the address names, or else in the newest."""
    from winnow.engine.runs.verify import verify  # pyarrow and all that reads tables: only when it is needed

    name = address.named(address.RUN)
    try:
        run = find(name) if name is not None else next(iter(list_runs()))
    except (FileNotFoundError, StopIteration):
        return []
    return [f"{check.file}: {check.detail}" for check in verify(run) if not check.whole]
