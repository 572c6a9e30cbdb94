"""How sparse is the network? The three counts side by side, since 70 % of the groups may be 40 % of the work."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.look import COLOURS, DASHES, MARKERS, empty, panels, xy

COUNTS = {"group_sparsity": "groups", "parameter_sparsity": "parameters", "mac_sparsity": "MACs"}
READING = (
    "The part of the penalised layers that is exactly zero: counted in groups, in parameters, and in multiply–adds "
    "of one image. Layers outside the penalty (stem, heads) are not counted."
)


def sparsities(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (at and the three sparsities [%]) as one curve each, named at its end."""
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
    figure.update_layout(showlegend=True)
    figure.update_yaxes(title_text="exactly zero [%]", range=[0, 103])
    figure.update_xaxes(title_text="epoch")
    return figure
