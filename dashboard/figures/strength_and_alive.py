"""What does the strength do? The share of groups alive, above the strength that was in force."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import COLOURS, empty, mark, panels, xy
from winnow.dashboard.shared.formatting import power

READING = (
    "Top: share of the groups that are not zero. Bottom: the strength λ in force, on a log axis, which cannot show "
    "0. Pale lines: the smallest and the largest λ of a layer, where each layer learns its own. Dotted lines: where a "
    "user changed the strength or the target, or where the refit began, which keeps the zeros and has no penalty."
)


def strength_and_alive(frame: pd.DataFrame, changes: pd.DataFrame, refit: float | None = None) -> go.Figure:
    """Draw `frame` (at, alive [%], strength) and mark `changes` and the epoch at which a refit began.

    `changes` are rows (at, strength) or (at, target [%]), the other one NaN.
    """
    if frame.empty:
        return empty("The share of groups alive is recorded from a tenth of the first epoch on.", height=360)
    figure = panels(2, height=360)
    alive, strength = _curve(frame, "alive", COLOURS[0]), _curve(frame, "strength", COLOURS[1])
    alive.update(name="groups alive", hovertemplate="epoch %{x:.1f}<br>%{y:.1f} % alive<extra></extra>")
    strength.update(
        name="strength", line_shape="hv", hovertemplate="epoch %{x:.1f}<br>strength %{y:.3g}<extra></extra>"
    )
    figure.add_trace(alive, row=1, col=1).add_trace(strength, row=2, col=1)
    bounds = [name for name in ("strength_least", "strength_most") if name in frame]
    for name in bounds:
        said = name.removeprefix("strength_")
        pale = _curve(frame, name, COLOURS[1]).update(name=f"{said} of a layer", opacity=0.4, line_shape="hv")
        pale.update(hovertemplate=f"epoch %{{x:.1f}}<br>{said} of a layer %{{y:.3g}}<extra></extra>")
        figure.add_trace(pale, row=2, col=1)
    mark(figure, _events(frame, changes, refit), (_start(frame), float(frame["at"].max())), "x2")
    figure.update_yaxes(title_text="groups alive [%]", range=[0, 103], row=1, col=1)
    figure.update_yaxes(
        title_text="strength λ [1]",
        row=2,
        col=1,
        **_log_axis(pd.concat([frame[name] for name in ("strength", *bounds)])),
    )
    figure.update_xaxes(range=[_start(frame), float(frame["at"].max())])
    figure.update_xaxes(rangemode="nonnegative", title_text="epoch", row=2, col=1)
    return figure


def _events(frame: pd.DataFrame, changes: pd.DataFrame, refit: float | None) -> list[tuple[float, str]]:
    """Return the moments to mark: where a user changed the strength or the target, and where the refit began."""
    shown = changes[changes["at"] >= frame["at"].min()]
    found = [
        (float(row["at"]), f"λ = {power(row['strength'])}" if row["strength"] == row["strength"] else _aimed(row))
        for _, row in shown.reindex(columns=["at", "strength", "target"]).iterrows()
    ]
    if refit is not None and frame["at"].min() <= refit <= frame["at"].max():
        found.append((refit, "refit"))
    return found


def _aimed(row: pd.Series) -> str:
    return f"target {row['target']:g} %"


def _start(frame: pd.DataFrame) -> float:
    """Return where the axis starts: 0 where the first record is of the first epoch."""
    first = float(frame["at"].min())
    return first if first > 1 else 0.0


def _curve(frame: pd.DataFrame, quantity: str, colour: str) -> go.Scatter:
    return go.Scatter(**xy(frame, quantity), mode="lines", line={"color": colour, "width": 2})


def _log_axis(strengths: pd.Series) -> dict[str, object]:
    """Return a log axis that holds at least a decade around the positive strengths, a plain one where all are 0."""
    positive = strengths[strengths > 0]
    if positive.empty:
        return {"range": [-0.05, 1]}
    low, high = np.log10(positive.min()), np.log10(positive.max())
    margin = max(0.15, (1 - (high - low)) / 2)
    decades = high - low + 2 * margin
    return {
        "type": "log",
        "range": [float(low - margin), float(high + margin)],
        "exponentformat": "power",
        "dtick": "D2" if decades <= 1.5 else int(np.ceil(decades / 4)),  # more labels would overlap in the low panel
    }
