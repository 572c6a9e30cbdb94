"""What does quality cost? What is reached against what it costs, seeds as intervals, the non-dominated set marked."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import COLOURS, MARKERS, NEUTRAL, empty, escaped, panels
from winnow.dashboard.shared.formatting import amount

ARMS = (
    "dense", "sparse", "scratch", "magnitude", "unanimous", "small", "continued",
    "distilled", "sparse-distilled", "magnitude-distilled",
    "transferred", "found", "random",
)  # fmt: skip
FRONT = "#7F6FB5"  # violet, of no task
MOST_TITLES = 12
COSTS = {"macs": ("MACs of one image, without what can be removed", "1"), "parameters": ("parameters left", "1"),
         "latency": ("time of one forward pass, pruned", "s")}  # fmt: skip
READING = (
    "One mark per arm or run, with the 95 % interval of the mean over seeds as whiskers; pale dots are single seeds. "
    "Cheaper is to the left. The line joins those that no other beats in both cost and quality. Click a mark or a "
    "dot to open its run."
)


@dataclass(frozen=True)
class Axes:
    """What is drawn: the cost, the title of what is reached, and whether more of it is better."""

    cost: str
    reached: str
    higher: bool


def pareto(found: pd.DataFrame, points: pd.DataFrame, axes: Axes) -> go.Figure:
    """Draw `found` and `points` (dashboard.frames.pareto: `groups`, and the runs that they are made of)."""
    if found.empty:
        return empty("No run has both a known cost and this result.", height=420)
    figure = panels(height=520)
    figure.add_trace(_line(found))
    several = points[points.groupby("group")["run"].transform("size") > 1]
    if len(several):
        figure.add_trace(_seeds(several))
    for arm, own in found.groupby("arm", sort=False):
        figure.add_trace(_marks(own, str(arm), axes))
    figure.add_trace(_titles(found))
    figure.update_layout(showlegend=True, clickmode="event+select", hovermode="closest")
    title, unit = COSTS[axes.cost]
    figure.update_xaxes(title_text=f"{title} [{unit}]", rangemode="tozero")
    figure.update_yaxes(title_text=f"{escaped(axes.reached)}, {'up' if axes.higher else 'down'} is better")
    return figure


def _marks(own: pd.DataFrame, arm: str, axes: Axes) -> go.Scatter:
    place = ARMS.index(arm) if arm in ARMS else 0
    symbol = MARKERS[place % 4]
    kept = own["front"].to_numpy(bool)
    said = [_said(row, COSTS[axes.cost][1]) for _, row in own.iterrows()]
    colour = COLOURS[place % 4] if place < 4 else NEUTRAL
    return go.Scatter(
        x=own["cost"].to_numpy(float),
        y=own["reached"].to_numpy(np.float32),
        mode="markers",
        name=arm or "runs",
        marker={
            "color": colour,
            "symbol": symbol,
            "opacity": 1,  # or sizes that differ make it a pale bubble
            "size": np.where(kept, 14, 10),
            "line": {"width": np.where(kept, 2.5, 0), "color": FRONT},
        },
        error_x=_whiskers(own, "cost", "cost_low", "cost_high", colour),
        error_y=_whiskers(own, "reached", "low", "high", colour),
        customdata=np.column_stack([own["run"].to_numpy(object), np.array(said, object)]),
        hovertemplate="%{customdata[1]}<extra></extra>",
        unselected={"marker": {"opacity": 1}},
    )


def _whiskers(own: pd.DataFrame, *columns: str) -> dict[str, object]:
    value, low, high, colour = *(own[name].to_numpy(float) for name in columns[:3]), columns[3]
    up, down = (np.where(np.isfinite(end), np.abs(end - value), 0.0) for end in (high, low))
    ends = {"array": up.astype(np.float32), "arrayminus": down.astype(np.float32)}
    return {"type": "data", "symmetric": False, **ends, "color": colour, "thickness": 1.3, "width": 4}


def _said(row: pd.Series, unit: str) -> str:
    more = f" ({row['low']:.4g} to {row['high']:.4g}, {row['seeds']} seeds)" if row["seeds"] > 1 else ""
    better = "<br>none is better in both" if row["front"] else ""
    return f"{escaped(str(row['title']))}<br>{row['reached']:.4g}{more}<br>{amount(row['cost'], unit)}{better}"


def _seeds(points: pd.DataFrame) -> go.Scatter:
    said = [f"{escaped(str(title))}, seed {seed}" for title, seed in zip(points["title"], points["seed"], strict=True)]
    return go.Scatter(
        x=points["cost"].to_numpy(float),
        y=points["reached"].to_numpy(np.float32),
        mode="markers",
        name="single seeds",
        marker={"color": NEUTRAL, "size": 6, "opacity": 0.55},
        customdata=np.column_stack([points["run"].to_numpy(object), np.array(said, object)]),
        hovertemplate="%{customdata[1]}<br>%{y:.4g}<extra></extra>",
        unselected={"marker": {"opacity": 0.55}},
    )


def _line(found: pd.DataFrame) -> go.Scatter:
    kept = found[found["front"]].sort_values("cost")
    return go.Scatter(
        x=kept["cost"].to_numpy(float),
        y=kept["reached"].to_numpy(np.float32),
        mode="lines",
        name="none is better in both",
        line={"color": FRONT, "width": 1.5, "dash": "dash", "shape": "hv"},
        hoverinfo="skip",
    )


def _titles(found: pd.DataFrame) -> go.Scatter:
    """Name those that none beats beside their marks."""
    kept = found[found["front"]].head(MOST_TITLES)
    return go.Scatter(
        x=kept["cost"].to_numpy(float),
        y=kept["reached"].to_numpy(np.float32),
        mode="text",
        text=[f"\u2002\u2002{escaped(str(title))[:28]}" for title in kept["title"]],
        textposition="top right",
        textfont={"size": 11},
        hoverinfo="skip",
        showlegend=False,
        cliponaxis=False,
    )
