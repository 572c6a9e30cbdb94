"""Present mode: `present=1` in the address of any page shows the slides of its run or study, and nothing else.

They are those of the report: the file that was built is shown, and built first where it is not of what is there now.
"""

import streamlit as st

from winnow.dashboard.canvas.components import script
from winnow.dashboard.documents import place_of
from winnow.dashboard.report.building import build_of, current, start_build
from winnow.dashboard.shared import address
from winnow.dashboard.shared.address import RUN, STUDY
from winnow.dashboard.shared.choosing import gone
from winnow.dashboard.shared.formatting import sentence
from winnow.dashboard.shared.run_bar import readable, redrawn
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.study import Study, list_studies

EVERY = 1.0  # seconds between two looks at the job
FIRST = {"groups": "sparse", "train": "asked", "tasks": "leads", "explain": "relies", "prune": "price"}
_frame = st.components.v2.component("winnow_slides", html="<div></div>", js=script("slides.js"))


def slides(page: str) -> None:
    """Draw the slides of what the page shows, from the section that belongs to the page."""
    work = _work(page)
    if work is None or not readable(work):
        st.button("Back", key="back", on_click=_ended)
        return
    built = build_of(work)
    if current(work, built, built_for(work)):
        _shown(work, FIRST.get(page, ""))
    elif built.state in ("failed", "lost") and st.session_state.get("slides_of") == work.id:
        st.error(sentence(built.message), icon=":material/error:")
        st.button("Back", key="back", on_click=_ended)
    else:
        _prepared(work)


def built_for(work: Run | Study) -> list[Run | Study]:
    """Return what stands in the report whose slides are shown: what it was built of last, if that is all there."""
    listed: list[Run | Study] = [*list_runs(), *list_studies()]
    known = {one.id: one for one in listed}
    asked = build_of(work).asked
    found = [known[name] for name in asked if name in known]
    return found if found and len(found) == len(asked) and work.id in asked else [work]


def _work(page: str) -> Run | Study | None:
    name = STUDY if page == "path" else RUN
    found = [*list_studies()] if name == STUDY else [*list_runs()]
    work = next((one for one in found if one.id == address.named(name)), None)
    if work is None and address.named(name):
        gone(name, others=False)
    elif work is None:
        st.info("There is nothing to present yet: train a run first.", icon=":material/slideshow:")
    return work


def _prepared(work: Run | Study) -> None:
    """Make the report, once, and say so meanwhile."""
    if build_of(work).state != "building":
        st.session_state["slides_of"] = work.id
        try:
            start_build(work, built_for(work))
        except OSError as error:
            st.error(sentence(str(error)), icon=":material/error:")
            return
    redrawn(_waiting, EVERY, work)


def _waiting(work: Run | Study) -> None:
    st.info("The slides are being made. This takes some seconds.", icon=":material/slideshow:")
    st.button("Back", key="back", on_click=_ended)
    if build_of(work).state != "building":
        st.rerun()


def _shown(work: Run | Study, first: str) -> None:
    kind = "study" if isinstance(work, Study) else "run"
    data = {"address": place_of(kind, work.id, first), "title": f"Slides of {work.id}"}
    _frame(key="slides", data=data, on_ended_change=_ended)


def _ended() -> None:
    address.change({"present": None})
