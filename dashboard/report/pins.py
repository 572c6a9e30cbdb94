"""A figure that a user pinned on a page, as a section of the report: as it was then, under what the page said then."""

import io

import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.frames.chosen import Pin
from winnow.dashboard.report.parts import Figure, ReportMaps, ReportSection, ReportTable, Shown
from winnow.dashboard.shared.formatting import moment
from winnow.dashboard.shared.panel import Chart

QUESTION = "Pinned"
MAPS = {"layers": list, "counts": list, "titles": list, "palettes": list, "labels": list, "levels": list, "noun": str}


def pinned_section(pin: Pin) -> ReportSection:
    """Return the section of a pinned figure.

    Raises:
        ValueError: what was stored is no such figure.

    """
    facts = [pin.source, f"pinned {moment(pin.at)}"]
    return ReportSection(QUESTION, pin.claim or pin.key, facts, None, [pinned_figure(pin)], key=pin.id)


def pinned_figure(pin: Pin) -> Shown:
    """Return what a pin shows; raise as `pinned_section`."""
    frame = pd.read_csv(io.StringIO(pin.csv)) if pin.csv.strip() else pd.DataFrame()
    if pin.kind == "table":
        return ReportTable(pin.id, frame, pin.reading)
    if pin.kind == "maps":
        return ReportMaps(pin.id, frame, pin.reading, _checked_maps(pin))
    try:
        figure = go.Figure(dict(pin.shown))
    except (ValueError, TypeError) as error:
        raise ValueError(f"`{pin.id}` must be a figure. Remove it on the Report page. {error!s:.100}") from None
    return Figure(pin.id, Chart(figure, frame), pin.reading)


def _checked_maps(pin: Pin) -> dict[str, object]:
    found = dict(pin.shown)
    wrong = [name for name, kind in MAPS.items() if not isinstance(found.get(name), kind)]
    numbers = all(isinstance(found.get(name), int | float) for name in ("first", "low", "high"))
    known = not wrong and set(found["palettes"]) <= {"norm", "difference"}
    if not known or not numbers or not len(found["titles"]) == len(found["palettes"]) == len(found["levels"]):
        raise ValueError(f"`{pin.id}` must be maps of layers and channels. Remove it on the Report page.")
    return found
