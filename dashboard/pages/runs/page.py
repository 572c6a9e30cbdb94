"""What exists, and which is best? The table of runs, and what differs between those that are selected."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pandas as pd
import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.frames import found_runs, tables
from winnow.dashboard.frames.answers import of_runs
from winnow.dashboard.frames.csv_export import csv
from winnow.dashboard.frames.summaries import Summary, image_sets, summaries
from winnow.dashboard.pages.runs.marking import columns_in_sight, discarding, finding, labelling, trash_bin
from winnow.dashboard.shared import address
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.formatting import digits, plain, state_word
from winnow.dashboard.shared.panel import keyed
from winnow.dashboard.shared.welcome import say_links, welcome
from winnow.engine.runs.run import run_below, runs_folder
from winnow.engine.runs.work_folder import refused

MOST_ROWS = 15  # in sight; the table scrolls beyond
WIDTHS = {"group_sparsity": 86, "parameter_sparsity": 110, "mac_sparsity": 84}  # [px]: the titles fit
MOST_STUDIES = 6
EVERY = 5.0  # seconds between two looks at the folder: a run may be started or removed anywhere
READING = (
    "Sparsity: the share of the penalised layers that is exactly zero. Metrics: on the validation images, after the "
    "newest epoch; the arrow says which direction is better."
)
OTHER_IMAGES = " The runs were judged on {} sets of images (last columns): compare metrics only within one set."
NOT_ALIKE = "These runs were judged on different images: {}. Their metrics cannot be compared with one another."


def page() -> None:
    """Draw the table, or the welcome where there is no run yet."""
    known = summaries()
    for name, why in refused(runs_folder()).items():
        st.warning(plain(f"{name} is not shown: {why}."), icon=":material/gpp_maybe:")
    if not known:
        welcome()
        return
    answer(of_runs.runs_answer(known))
    table, trade = address.tabs("runs_view", ("Table", "Trade-off"))
    if table.open:
        with table:
            st.fragment(_table, run_every=EVERY)(_states(known))
    if trade.open:
        with trade:
            st.fragment(_followed, run_every=EVERY)(_states(known))
            _trade_off()


def _states(known: Sequence[Summary]) -> list[tuple[str, str]]:
    """Return what the whole page depends on: its sentence counts states, and its links name the newest run."""
    return [(one.id, state_word(one.status)) for one in known]


def _followed(drawn: Sequence[tuple[str, str]]) -> list[Summary]:
    """Return all runs; once there are others, or in other states, than were drawn, draw the whole page instead."""
    known = summaries()
    if _states(known) != list(drawn):
        st.rerun()
    return known


def _trade_off() -> None:
    from winnow.dashboard.shared.trade_off import pareto_of_all  # Plotly, which the table does without

    pareto_of_all()


def _table(drawn: Sequence[tuple[str, str]]) -> None:
    """Draw the table, or the whole page where that is due."""
    known = _followed(drawn)
    wanted, by_study = finding(known)
    listed = found_runs.matching_runs(known, wanted)
    studies = pd.DataFrame()
    if by_study:
        listed, studies = found_runs.grouped(listed, found_runs.member_of())
    opened = _studies(studies) if len(studies) else []
    if not listed and studies.empty:
        st.info("No run matches the search.", icon=":material/search_off:")
    chosen = _listed(listed, "runs_table") if listed else []
    members = [one for one in known if one.id in opened]
    if members:
        st.markdown(f"**{len(members)} runs of the study**")
        chosen = [*chosen, *_listed(members, "members_table")]
    say_links()
    trash_bin()
    _selected(chosen)


def _listed(known: Sequence[Summary], key: str) -> list[Summary]:
    """Draw a table of runs; return those that are ticked."""
    frame = tables.runs(known)
    sets = frame["images"].nunique()
    hidden = {
        *(("images",) if sets < 2 else ()),
        *(name for name in ("star", "tags") if not frame[name].map(bool).any()),
        *(name for name in tables.metric_columns(known) if frame[name].isna().all()),
    }
    shown = columns_in_sight([name for name in frame.columns if name not in hidden])
    event = st.container(key=key).dataframe(
        frame.assign(name=[_link(one) for one in known]),
        key=keyed(key, frame["id"]),
        hide_index=True,
        column_order=shown,
        column_config=_columns(known),
        on_select="rerun",
        selection_mode="multi-row",
        height="content" if len(known) <= MOST_ROWS else 37 * MOST_ROWS,
        row_height=37,
        placeholder="–",
    )
    st.caption(READING + (OTHER_IMAGES.format(sets) if sets > 1 else ""))
    return [known[row] for row in event.selection.rows if row < len(known)]


def _link(one: Summary) -> str:
    """Return the address of a run on the page Train; what follows the # is the name, which the table shows."""
    return f"./train?run={quote(one.id, safe='')}#{quote(one.name, safe='')}"


def _studies(frame: pd.DataFrame) -> list[str]:
    """Draw one row per study; return the runs of the one that is ticked."""
    event = st.dataframe(
        frame.drop(columns="members"),
        key=keyed("studies_table", frame["id"]),
        hide_index=True,
        placeholder="–",
        height="content" if len(frame) <= MOST_STUDIES else 37 * MOST_STUDIES,
        row_height=37,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "id": st.column_config.TextColumn("Study", width=260),
            "name": st.column_config.TextColumn("Name", width=220),
            "runs": st.column_config.NumberColumn("Runs", width=70),
            "running": st.column_config.NumberColumn("Running", width=80),
        },
        column_order=["name", "runs", "running", "id"],
    )
    rows = event.selection.rows
    if not rows or rows[0] >= len(frame):
        st.caption("One row per study or path. Tick one to open its runs.")
        return []
    row = frame.iloc[rows[0]]
    navigation.link("path", f"Open {plain(str(row['name']))} in Path", study=str(row["id"]))
    members: list[str] = row["members"]
    return members


def _columns(known: Sequence[Summary]) -> dict[str, Any]:
    """Return how each column is titled and shown."""
    config = st.column_config
    percent = {
        name: config.ProgressColumn(title, format="%.1f %%", min_value=0, max_value=100, width=WIDTHS[name])
        for name, title in tables.SPARSITY_TITLES.items()
    }
    metrics = {
        name: config.NumberColumn(name, format=digits(metric.unit))
        for name, metric in tables.metric_columns(known).items()
    }
    return {
        "state": config.TextColumn("State", width=92),
        "star": config.TextColumn("★", width=34),
        "name": config.LinkColumn("Name", width=170, display_text=r"#(.*)$", help="Opens the run in Train"),
        "tags": config.ListColumn("Tags", width=120),
        "strength": config.TextColumn("λ / target", width=80, help="Strength at the start, or the target"),
        **percent,
        **metrics,
        "alive": config.LineChartColumn("Groups alive", y_min=0, y_max=100, width=88, help="0 to 100 %, over epochs"),
        "images": config.TextColumn("Judged on", width=150, help="Runs with the same text here can be compared"),
        "started": config.TextColumn("Started [UTC]", width=122),
        "duration": config.TextColumn("Duration", width=74),
        "id": config.TextColumn("Id", width=170),
    }


def _selected(chosen: Sequence[Summary]) -> None:
    """Offer what can be done with the selected rows."""
    if not chosen:
        st.info("Tick one run to open it, or several to compare them.", icon=":material/check_box:")
    elif len(chosen) == 1:
        with st.container(key="open_train"):
            navigation.link("train", f"Open {plain(chosen[0].name)} in Train", run=chosen[0].id)
        labelling(chosen[0])
        st.download_button(
            "Download the report",
            data=lambda: _report(chosen[0].id),
            file_name=f"{chosen[0].id}.html",
            mime="text/html",
            key="report",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            help="One file that opens offline. `winnow report` also writes its numbers.",
        )
    else:
        if len(chosen) == 2:
            navigation.link("compare", "Open both in Compare", run=chosen[0].id, other=chosen[1].id)
        _compare(chosen)
        _curves(chosen)
    if chosen:
        discarding(chosen)


def _curves(chosen: Sequence[Summary]) -> None:
    """Draw the curves of several runs over one another."""
    from winnow.dashboard.shared.trade_off import overlaid_curves  # Plotly, which the table does without

    overlaid_curves(chosen)


def _report(run: str) -> bytes:
    from winnow.dashboard.report.report import report  # Plotly, which the table does without

    return report([run_below(runs_folder(), run)]).html


def _compare(chosen: Sequence[Summary]) -> None:
    frame = tables.compared_runs(chosen)
    st.subheader(f"{len(chosen)} runs compared", anchor=False)
    images = dict.fromkeys(image_sets(chosen).values())
    if len(images) > 1:
        st.warning(NOT_ALIKE.format(plain("; ".join(images))), icon=":material/warning:")
    st.dataframe(
        frame,
        key="compare_table",
        hide_index=True,
        placeholder="–",
        column_config={**tables.run_titles(chosen), "what": st.column_config.TextColumn("", pinned=True)},
        height="content",
    )
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.caption("Only what differs between the descriptions of the runs, then their results.", width="stretch")
        st.download_button(
            "CSV",
            data=lambda: csv(frame),
            file_name="compare.csv",
            key="compare_csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )
