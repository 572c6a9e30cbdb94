"""What is left of the network's cost? Parameters, multiply–adds, sizes and times, as a share of the dense network's."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, SMALLER, empty, escaped, panels, room_at_the_right
from winnow.dashboard.shared.formatting import amount

READING = (
    "Bars: what the pruned network costs, as a share of the dense one; the dotted line is the dense network. "
    "Whiskers of a time: the 10th and the 90th percentile of the rounds. Hatched grey: the machine was busy, do not "
    "quote the time."
)
BUSY = {"color": "rgba(128,132,149,0.12)", "pattern": {"shape": "/", "fgcolor": NEUTRAL, "size": 5}}


def what_is_left(frame: pd.DataFrame, titles: list[str]) -> go.Figure:
    """Draw `frame` (dashboard.frames.before_after.costs) as one bar per row, with these titles."""
    known = frame["left"].notna()
    drawn = frame[known].reset_index(drop=True)
    if drawn.empty:
        return empty("Costs are measured once the smaller network exists.")
    figure = panels(height=110 + 27 * max(len(drawn), 3))
    for steady in (True, False):
        _bars(figure, drawn[drawn["steady"].astype(bool) == steady], steady)
    room_at_the_right(figure, _texts(figure, drawn))
    figure.add_vline(x=100, line={"dash": "dot", "width": 1.5, "color": NEUTRAL})
    names = [escaped(title) for title, here in zip(titles, known, strict=True) if here]
    figure.update_yaxes(tickvals=np.arange(len(drawn)), ticktext=names, range=[len(drawn) - 0.4, -0.6], showgrid=False)
    most = max(100.0, float(np.nanmax(drawn[["left", "left_high"]].to_numpy(float))))
    figure.update_xaxes(title_text="of the dense network [%]", range=[0, 1.02 * most], rangemode="tozero")
    figure.update_layout(bargap=0.3, margin_t=12)
    return figure


def _bars(figure: go.Figure, own: pd.DataFrame, steady: bool) -> None:
    """Draw the bars that can be quoted, or those that can't."""
    if own.empty:
        return
    marker = {"color": SMALLER} if steady else BUSY
    timed = own["quantity"] == "latency"  # a count has no spread, and shall have no whisker
    low, high = (own[name].where(timed) for name in ("left_low", "left_high"))
    amounts = [[amount(row[name], row["unit"]) for name in ("dense", "pruned")] for _, row in own.iterrows()]
    spread = {
        "type": "data",
        "symmetric": False,
        "array": (high - own["left"]).clip(lower=0).to_numpy(np.float32),
        "arrayminus": (own["left"] - low).clip(lower=0).to_numpy(np.float32),
        "color": NEUTRAL,
        "thickness": 1.5,
        "width": 4,
    }
    figure.add_trace(
        go.Bar(
            x=own["left"].to_numpy(np.float32),
            y=own.index.to_numpy(np.int32),
            orientation="h",
            name="measured" if steady else "the machine was busy",
            marker={**marker, "line": {"width": 0}},
            error_x=spread,
            customdata=np.array(amounts, object),
            hovertemplate="%{x:.1f} % left<br>%{customdata[0]} → %{customdata[1]}<extra></extra>",
        )
    )


def _texts(figure: go.Figure, drawn: pd.DataFrame) -> list[str]:
    """Write behind each bar how many times smaller it is; return what is written."""
    ends = drawn[["left", "left_high"]].max(axis=1).clip(lower=100.0)  # right of the line of the dense network
    texts = [_text(row) for _, row in drawn.iterrows()]
    figure.add_trace(
        go.Scatter(
            x=ends.to_numpy(np.float32),
            y=np.arange(len(drawn), dtype=np.int32),
            mode="text",
            text=[f"\u2002{text}" for text in texts],
            textposition="middle right",
            textfont={"size": 12},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    return texts


def _text(row: pd.Series) -> str:
    if not row["steady"]:
        return "busy"
    times = row["dense"] / row["pruned"] if row["pruned"] else np.nan
    less, more = ("faster", "slower") if row["quantity"] == "latency" else ("less", "more")
    return f"{times:.2g}× {less}" if times >= 1.05 else "the same" if times > 0.95 else f"{1 / times:.2g}× {more}"
