"""What to present? The report of a run: its sections, their order, the captions; built beside the page, downloaded.

What is chosen stands in the run's report.json (dashboard.frames.chosen), which `winnow report` follows, too. The page
draws no figure: the claims are those of the newest build.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.frames.answers.answer import Answer, count
from winnow.dashboard.frames.chosen import FOLDER, ReportChoice, choose_for_report, remove_pin, report_choice
from winnow.dashboard.report.building import HTML, ZIP, Build, build_of, current, start_build
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.choosing import called
from winnow.dashboard.shared.formatting import isolated, moment, plain, sentence
from winnow.dashboard.shared.run_bar import act, readable, redrawn, run_bar
from winnow.dashboard.shared.showing import show
from winnow.engine.runs.run import Run, list_runs

EVERY = 1.0  # seconds between two looks at the job
SECTIONS = {  # before the first build: what there will be
    "asked": "What was asked, and what came out?",
    "sparse": "How sparse, and where?",
    "price": "At what price?",
    "leads": "Who leads which channels?",
    "relies": "What does each task rely on?",
    "channels": "What does one channel answer to?",
    "pixels": "Which pixels does each task rely on?",
    "true": "Is it true?",
    "pays": "Who pays?",
    "bounds": "What we do not claim",
}
MOST_RUNS = 8
FIRST = "Build the report to see the claim of each section and to write captions."


def page() -> None:
    """Draw the report of the chosen run."""
    if (bar := run_bar()) is None:
        return
    run, beside = bar
    if not readable(run):
        return
    with beside:
        works = [run, *_more(run)]
    try:
        choice = report_choice(run)
    except ValueError as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return
    known = build_of(run)
    answer(_said(run, choice, known, current(run, known, works)))
    redrawn(_job, EVERY if known.state == "building" else None, run, works, known.state)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _sections(run, choice, known)
    with right:
        _captions(run, choice, known)


def _more(run: Run) -> list[Run]:
    """Ask which other runs stand in the same report."""
    others = {other.id: other for other in list_runs() if other.id != run.id}
    if not others:
        return []
    picked = st.multiselect(
        "More runs in the same report",
        list(others),
        format_func=lambda name: called(others[name]) if name in others else name,
        max_selections=MOST_RUNS - 1,
        placeholder="More runs in the same report",
        label_visibility="collapsed",
        key=f"more_{run.id}",
        width=420,
    )
    return [others[name] for name in picked if name in others]


def _said(run: Run, choice: ReportChoice, known: Build, now: bool) -> Answer:
    rows = _rows(choice, known)
    shown = sum(on for _, on in rows.values())
    says = f"The report of {isolated(run.spec.name)} has {count(shown, 'section')}"
    says += f", {len(rows) - shown} left out" if shown < len(rows) else ""
    says += f", {count(len(choice.pins), 'pinned figure')}." if choice.pins else "."
    if known.state != "done":
        return Answer(f"{says} It is not built yet.", "Build makes one file that opens offline, and a zip.")
    says += f" Built {moment(known.at)}."
    if not now:
        return Answer(says, "The run, or what you chose, has changed since: build it again.")
    return Answer(says, "Every pin beside a figure adds it here.")


def _job(run: Run, works: Sequence[Run], drawn: str) -> None:
    """Draw what can be done with the report, and how far its job is."""
    known = build_of(run)
    if known.state != drawn:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key="report_buttons"):
        busy = known.state == "building"
        st.button(
            "Building …" if busy else "Build again" if known.state == "done" else "Build the report",
            key="build",
            type="secondary" if known.state == "done" else "primary",
            icon=":material/build:",
            disabled=busy,
            on_click=act,
            args=(run, lambda: start_build(run, works)),
        )
        if known.state == "done":
            _downloads(run)
    if known.state in ("failed", "lost"):
        st.error(sentence(known.message), icon=":material/error:")


def _downloads(run: Run) -> None:
    for name, label, mime in ((HTML, "HTML", "text/html"), (ZIP, "Zip with the numbers", "application/zip")):
        file = run.path / FOLDER / name
        size = f", {file.stat().st_size / 1e6:.1f} MB" if file.is_file() else ""
        st.download_button(
            f"{label}{size}",
            data=file.read_bytes,
            file_name=f"{run.id}-{name}",
            mime=mime,
            key=f"download_{name.partition('.')[2]}",
            icon=":material/download:",
            on_click="ignore",
        )
    navigation.link("report", "Present", run=run.id, present="1")


def _rows(choice: ReportChoice, known: Build) -> dict[str, tuple[Mapping[str, Any], bool]]:
    """Return all sections by key, those that are shown first and in their order, and whether each is shown."""
    usual = {str(part["key"]): part for part in known.outline} or {
        key: {"question": question, "claim": "", "figures": []} for key, question in SECTIONS.items()
    }
    for pin in choice.pins:
        usual.setdefault(pin, {"question": "Pinned", "claim": "", "figures": []})
    gone = [key for key in usual if key.startswith("pin-") and key not in choice.pins]
    usual = {key: part for key, part in usual.items() if key not in gone}
    shown = [key for key in (usual if choice.sections is None else choice.sections) if key in usual]
    return {key: (usual[key], key in shown) for key in [*shown, *(key for key in usual if key not in shown)]}


def _sections(run: Run, choice: ReportChoice, known: Build) -> None:
    st.subheader("Sections", anchor=False)
    rows = _rows(choice, known)
    order = [key for key, (_, on) in rows.items() if on]
    for key, (part, on) in rows.items():
        with st.container(horizontal=True, vertical_alignment="center", wrap=False, key=f"section_{key}"):
            show(f"show_{key}", on, str(part["question"]))
            st.checkbox(
                plain(str(part["question"])),
                key=f"show_{key}",
                on_change=act,
                args=(run, lambda key=key: _toggled(run, rows, key)),
                width="stretch",
            )
            for icon, step, word in (("arrow_upward", -1, "up"), ("arrow_downward", 1, "down")):
                place = order.index(key) + step if on else -1
                st.button(
                    word.capitalize(),
                    key=f"{word}_{key}",
                    icon=f":material/{icon}:",
                    type="tertiary",
                    disabled=not on or not 0 <= place < len(order),
                    help=f"Move {plain(str(part['question']))} {word}",
                    on_click=act,
                    args=(run, lambda key=key, step=step: _moved(run, order, key, step)),
                )
            if key in choice.pins:
                st.button("Remove", key=f"remove_{key}", on_click=act, args=(run, lambda key=key: remove_pin(run, key)))
        if part["claim"]:
            st.caption(plain(str(part["claim"])))
    st.button(
        "The usual sections and order",
        key="usual",
        type="tertiary",
        disabled=choice.sections is None,
        on_click=act,
        args=(run, lambda: choose_for_report(run, replace(report_choice(run), sections=None))),
    )


def _toggled(run: Run, rows: Mapping[str, tuple[Mapping[str, Any], bool]], key: str) -> None:
    kept = [other for other, (_, on) in rows.items() if on != (other == key)]
    if not kept:
        raise ValueError("`sections` must name at least one section. This is the last one.")
    choose_for_report(run, replace(report_choice(run), sections=tuple(kept)))


def _moved(run: Run, order: Sequence[str], key: str, step: int) -> None:
    new = list(order)
    place = new.index(key)
    new[place], new[place + step] = new[place + step], new[place]
    choose_for_report(run, replace(report_choice(run), sections=tuple(new)))


def _captions(run: Run, choice: ReportChoice, known: Build) -> None:
    st.subheader("Captions", anchor=False)
    parts = {str(part["key"]): part for part in known.outline if part["figures"]}
    if not parts:
        st.caption(FIRST)
        return
    key = st.selectbox("Section", list(parts), format_func=lambda key: str(parts[key]["question"]), key="captions_of")
    for figure in parts[key]["figures"]:
        name = str(figure["key"])
        own = f"caption_{run.id}_{name}"
        st.session_state.setdefault(own, choice.captions.get(name, figure["reading"]))
        st.checkbox(
            plain(name.replace("_", " ")),
            value=name not in choice.hidden,
            key=f"figure_{run.id}_{name}",
            on_change=act,
            args=(run, lambda name=name: _hidden(run, name)),
        )
        st.text_area(
            f"Caption of {plain(name)}",
            key=own,
            max_chars=2000,
            label_visibility="collapsed",
            on_change=act,
            args=(run, lambda name=name, own=own, usual=figure["reading"]: _captioned(run, name, own, usual)),
        )


def _captioned(run: Run, name: str, own: str, usual: str) -> None:
    """Keep a caption; one that is empty, or as it was generated, is the generated one."""
    known, text = report_choice(run), str(st.session_state[own]).strip()
    captions = {key: caption for key, caption in known.captions.items() if key != name}
    if text and text != usual:
        captions[name] = text
    choose_for_report(run, replace(known, captions=captions))


def _hidden(run: Run, name: str) -> None:
    known = report_choice(run)
    left = tuple(other for other in known.hidden if other != name)
    choose_for_report(run, replace(known, hidden=left if name in known.hidden else (*left, name)))
