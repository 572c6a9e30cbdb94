"""Does it hurt more to lose what is said to matter? Channels go, the most relevant first, or in random order."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, Style, empty, evenly, of_all, panels, shortened

MOST_LAYERS = 12
COLUMNS = 4
READING = (
    "One panel per layer: the rise of the task's loss while the layer's living channels are removed. Coloured: the "
    "most relevant first. Grey: in random order, the mean of the draws and their range. If the relevance is right, "
    "the coloured curve lies above the grey one from the start."
)


def deletion_curves(frame: pd.DataFrame, layers: Sequence[str], look: Style) -> go.Figure:
    """Draw `frame` (layer, order, fraction, loss_change, low, high).

    Of many layers, `MOST_LAYERS` are drawn, evenly spread in depth, which is said.
    """
    known = [name for name in layers if (frame["layer"] == name).any()]
    if not known:
        return empty("No channels have been removed together yet.", height=300)
    drawn = [known[place] for place in evenly(len(known), MOST_LAYERS)]
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = panels(rows, columns, [shortened(name, 24) for name in drawn], height=90 + 190 * rows)
    for place, name in enumerate(drawn):
        own = frame[frame["layer"] == name]
        where = {"row": place // columns + 1, "col": place % columns + 1}
        figure.add_traces(_random(own[own["order"] == "random"], place == 0), rows=where["row"], cols=where["col"])
        figure.add_trace(_relevant(own[own["order"] == "relevance"], look, place == 0), **where)
    figure.update_annotations(font={"size": 11})
    figure.update_layout(showlegend=True, legend={"y": 1 + 0.14 / rows}, margin={"t": 66})
    figure.update_xaxes(tickformat=".0%", range=[-0.03, 1.03], dtick=0.25)
    figure.update_yaxes(exponentformat="power", nticks=5, tickfont={"size": 11})
    part = of_all(len(drawn), len(known), "layers, evenly spread")  # wider than a panel: below one in the middle
    figure.update_xaxes(title_text="removed<br> " if part else "removed", title_font={"size": 11}, row=rows)
    if part:
        figure.update_xaxes(title_text=f"removed{part}", row=rows, col=2)
    figure.update_yaxes(title_text="rise of the loss", col=1, title_font={"size": 11})
    return figure


def _relevant(own: pd.DataFrame, look: Style, named: bool) -> go.Scatter:
    return go.Scatter(
        x=own["fraction"].to_numpy(np.float32),
        y=own["loss_change"].to_numpy(np.float32),
        mode="lines+markers",
        name="the most relevant first",
        showlegend=named,
        line={"color": look.colour, "width": 2.5},
        marker={"symbol": look.marker, "size": 7},
        hovertemplate="%{x:.0%} removed by relevance<br>loss +%{y:.3g}<extra></extra>",
    )


def _random(own: pd.DataFrame, named: bool) -> list[go.Scatter]:
    x = own["fraction"].to_numpy(np.float32)
    band = np.r_[own["high"].to_numpy(np.float32), own["low"].to_numpy(np.float32)[::-1]]
    return [
        go.Scatter(
            x=np.r_[x, x[::-1]],
            y=band,
            fill="toself",
            fillcolor="rgba(128,132,149,0.25)",
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
        ),
        go.Scatter(
            x=x,
            y=own["loss_change"].to_numpy(np.float32),
            mode="lines",
            name="in random order",
            showlegend=named,
            line={"color": NEUTRAL, "width": 2, "dash": "dash"},
            hovertemplate="%{x:.0%} removed at random<br>loss +%{y:.3g}<extra></extra>",
        ),
    ]
