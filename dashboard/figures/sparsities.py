"""How sparse is the network? The three counts side by side, since 70 % of the groups may be 40 % of the work."""

from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import COLOURS, DASHES, MARKERS, NEUTRAL, empty, mark, panels, xy
from winnow.dashboard.shared.formatting import amount

COUNTS = {"group_sparsity": "groups", "parameter_sparsity": "parameters", "mac_sparsity": "MACs"}
READING = (
    "The share of the penalised layers that is exactly zero: counted in groups, in parameters, and in multiply–adds "
    "of one image. Layers outside the penalty are not counted. Dotted lines: zeros that no layer needed were removed "
    "from the network; the numbers are its parameters before and after. They still count as zero here."
)


@dataclass(frozen=True)
class SparsityPlan:
    """What a run aims at: a share [%] of what is counted; the epoch from which on its zeros are held by a refit."""

    target: float | None = None
    of: str = "groups"
    refit: float | None = None


def sparsities_figure(
    frame: pd.DataFrame, plan: SparsityPlan | None = None, removals: pd.DataFrame | None = None
) -> go.Figure:
    """Draw `frame` (at and the three sparsities [%]) as one curve each, and where the plan wants them to be.

    `removals` (at, parameters_before, parameters) are marked, the last one with its numbers.
    """
    if frame.empty:
        return empty("The sparsities are counted after each epoch.", height=360)
    figure = panels(height=360)
    for place, (quantity, name) in enumerate(COUNTS.items()):
        figure.add_trace(
            go.Scatter(
                **xy(frame, quantity),
                name=name,
                mode="lines+markers" if len(frame) <= 60 else "lines",
                line={"color": COLOURS[place], "width": 2, "dash": DASHES[place]},
                marker={"symbol": MARKERS[place], "size": 6},
                hovertemplate=f"epoch %{{x:.0f}}<br>%{{y:.1f}} % of the {name} are zero<extra></extra>",
            )
        )
    figure.update_layout(showlegend=True, legend={"y": -0.2, "yanchor": "top"})  # above, it would hide the events
    figure.update_yaxes(title_text="exactly zero [%]", range=[0, 103])
    figure.update_xaxes(rangemode="nonnegative", title_text="epoch")
    aim, span = plan or SparsityPlan(), (float(frame["at"].min()), float(frame["at"].max()))
    _show(figure, aim)
    events = [] if removals is None else _removals(removals[removals["at"] >= span[0]])
    if aim.refit is not None and span[0] <= aim.refit <= span[1]:
        events.append((aim.refit, "refit"))
    mark(figure, events, span)
    return figure


def _removals(removals: pd.DataFrame) -> list[tuple[float, str]]:
    """Return the removals; names would lie on one another, so only the last has its own."""
    columns = (removals[name].tolist() for name in ("at", "parameters_before", "parameters"))
    return [
        (at, f"{amount(before)} → {amount(after)}" if place == len(removals) else "")
        for place, (at, before, after) in enumerate(zip(*columns, strict=True), start=1)
    ]


def _show(figure: go.Figure, plan: SparsityPlan) -> None:
    """Mark the target as a level."""
    if plan.target is not None:
        line = {"dash": "dash", "width": 1.5, "color": NEUTRAL}
        figure.add_shape(x0=0, x1=1, xref="x domain", y0=plan.target, y1=plan.target, line=line)
        text = f"target: {plan.target:g} % of the {plan.of}"
        figure.add_annotation(
            x=0, xref="x domain", y=plan.target, text=text, xanchor="left", yanchor="bottom", showarrow=False
        )
