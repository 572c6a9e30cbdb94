"""The network of a run on a page: layers as boxes in the order in which they run, the streams between them.

The boxes show what is asked for: how much of what a layer reads it uses, how many of its channels stay, which tasks
lead its channels, or what share of the multiply–adds is its. A click or Enter selects the layer.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from winnow.dashboard.canvas.components import markup, script, style
from winnow.dashboard.figures.style import CIVIDIS, Style
from winnow.dashboard.frames.answers.answer import count, percent
from winnow.dashboard.frames.layered import Layered
from winnow.dashboard.frames.network import By

GREY = "#808495"
DARK, LIGHT = "#10151c", "#ffffff"  # the inks of a filled box
LEGENDS = {
    "used": "share of its inputs that the layer uses: 0 % to 100 %",
    "kept": "channels that stay: 0 % to 100 %",
    "macs": "share of all MACs: 0 to the largest",
}
READING = (
    "From the input at the top to the heads. Each box is a layer, or a place where streams meet. Lines: the channels "
    "that go from one to the next, thicker for more; dashed where none of them stays. The bar in a box: how much of it "
    "is left; by leading task, the part of its channels that each task surely leads. Click a layer, or move with the "
    "arrow keys and press Enter, to select it on all pages."
)
_mount = st.components.v2.component(
    "winnow_network", html=markup("network.html"), css=style("network.css"), js=script("network.js")
)


@dataclass(frozen=True)
class NetworkDrawing:
    """What is drawn: the nodes and edges of a run (frames.network), by what they are filled, and what is selected."""

    run: str
    nodes: pd.DataFrame
    edges: pd.DataFrame
    layout: Layered
    by: By = "used"
    led: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    looks: Mapping[str, Style] = field(default_factory=dict)
    selected: str | None = None


@dataclass(frozen=True)
class _Look:
    """How a box looks: its fill (none for a neutral one), its second line, the parts of its bar."""

    fill: str | None
    words: str
    bars: tuple[tuple[float, str], ...] = ()


def network_graph(drawing: NetworkDrawing, key: str, picked: Callable[[str], None]) -> None:
    """Draw the network; `picked` is called with the name of the layer that the user selects."""
    layers = set(drawing.nodes["group_layer"]) - {""}

    def report() -> None:
        said = st.session_state[key].get("picked")
        if isinstance(said, Mapping) and said.get("of") == drawing.run and said.get("layer") in layers:
            picked(str(said["layer"]))

    _mount(key=key, data=network_payload(drawing), on_picked_change=report)


def network_payload(drawing: NetworkDrawing) -> dict[str, Any]:
    """Return what the browser needs; `digest` tells two drawings apart."""
    whole = max(float(drawing.nodes["macs"].sum()), 1.0)
    nodes = [_node(row, _look(row, drawing, whole)) for row in drawing.nodes.to_dict("records")]
    drawn = {"nodes": nodes, "edges": _edges(drawing), "legend": _legend(drawing)}
    digest = hashlib.sha256(json.dumps(drawn).encode()).hexdigest()[:16]
    return {"of": drawing.run, "selected": drawing.selected, "digest": digest, **drawn}


def _node(row: Mapping[Any, Any], look: _Look) -> dict[str, Any]:
    return {
        "at": (round(float(row["across"]), 3), int(row["down"])),
        "name": row["name"] if row["kind"] in ("layer", "join") else f"{row['kind']}: {row['name']}",
        "words": look.words,
        "fill": look.fill,
        "ink": _ink(look.fill) if look.fill else None,
        "bars": look.bars,
        "layer": row["group_layer"] or None,
        "tip": _tip(row),
    }


def _edges(drawing: NetworkDrawing) -> list[dict[str, Any]]:
    rows = drawing.edges[["source", "target", "channels", "kept"]].to_numpy().tolist()
    return [
        {
            "from": source,
            "to": target,
            "over": [(round(across, 3), down) for across, down in drawing.layout.edges[source, target]],
            "width": round(1 + 0.5 * np.log2(max(kept, 1)), 1),
            "silent": kept == 0,
        }
        for source, target, channels, kept in rows
    ]


def _look(row: Mapping[Any, Any], drawing: NetworkDrawing, whole: float) -> _Look:
    stay = f"{row['kept']} of {row['channels']} channels stay"
    if row["kind"] != "layer":
        return _Look(None, stay if row["kind"] == "join" else count(row["channels"], "channel"))
    kept, used = (row[part] / max(row[of], 1) for part, of in (("kept", "channels"), ("used", "columns")))
    if drawing.by == "kept":
        return _Look(share_colour(kept), stay, ((kept, GREY),))
    if drawing.by == "used":
        return _Look(share_colour(used), f"uses {row['used']} of {row['columns']} channels", ((used, GREY),))
    if drawing.by == "macs":
        return _macs(row, whole, float(drawing.nodes["macs"].max()))
    return _led(drawing.led.get(row["name"], {}), drawing.looks)


def _macs(row: Mapping[Any, Any], whole: float, largest: float) -> _Look:
    left = 1 - row["gathered_macs"] / max(row["macs"], 1.0)
    words = f"{percent(100 * row['macs'] / whole)} of the MACs, {percent(100 * left)} left"
    return _Look(share_colour(row["macs"] / max(largest, 1.0)), words, ((left, GREY),))


def _led(counts: Mapping[str, int], looks: Mapping[str, Style]) -> _Look:
    """Return the look of a layer by who leads its channels; one that was not explained is neutral."""
    if not counts:
        return _Look(None, "not explained")
    total = max(sum(counts.values()), 1)
    tasks = {task: count for task, count in counts.items() if task in looks}
    bars = tuple((count / total, looks[task].colour) for task, count in tasks.items() if count)
    first, most = max(tasks.items(), key=lambda pair: pair[1], default=("", 0))
    if not most:
        return _Look(None, f"no sure lead in {total - counts['unused']} channels")
    return _Look(None, f"{first} leads {most} of {total - counts['unused']}", bars)


def _tip(row: Mapping[Any, Any]) -> str:
    """Say all that is known of a node; it is set as text."""
    lines = [f"{row['name']}{' · ' + row['operation'] if row['operation'] != row['name'] and row['operation'] else ''}"]
    lines.append(f"gives {row['channels']} channels, {row['kept']} of them stay")
    if row["kind"] == "layer":
        lines.append(f"reads {row['columns']} channels, uses {row['used']} of them")
        lines.append(f"{row['parameters']:,} parameters, {row['macs'] / 1e6:.3g} million MACs for one image")
        if row["macs"]:
            gone = (percent(100 * row[name] / row["macs"]) for name in ("removable_macs", "gathered_macs"))
            lines.append("of these MACs, {} can go, {} with gathers".format(*gone))
    if row["groups"]:
        lines.append(f"{row['alive']} of {row['groups']} groups alive")
    elif row["kind"] == "layer":
        lines.append("without groups of its own: nothing to select")
    if row["outputs"]:
        lines.append(f"serves {row['outputs']}")
    return "\n".join(lines)


def _legend(drawing: NetworkDrawing) -> list[tuple[str, str]]:
    """Return (words, colour or gradient) for each entry."""
    if drawing.by != "lead":
        return [(LEGENDS[drawing.by], f"linear-gradient(90deg, {', '.join(CIVIDIS)})")]
    return [(f"{task} leads", look.colour) for task, look in drawing.looks.items()]


def share_colour(share: float) -> str:
    """Return the colour of a share from 0 to 1, as #rrggbb."""
    place = min(max(share, 0.0), 1.0) * (len(CIVIDIS) - 1)
    low = min(int(place), len(CIVIDIS) - 2)
    ends = [np.array([int(hexed[at : at + 2], 16) for at in (1, 3, 5)]) for hexed in CIVIDIS[low : low + 2]]
    mixed = np.rint(ends[0] + (place - low) * (ends[1] - ends[0])).astype(int)
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _ink(fill: str) -> str:
    """Return the ink that reads better on a colour, by the contrast of WCAG 2."""
    bright = luminance(fill)
    return LIGHT if 1.05 / (bright + 0.05) >= (bright + 0.05) / (luminance(DARK) + 0.05) else DARK


def luminance(colour: str) -> float:
    """Return the relative luminance [1] of #rrggbb (WCAG 2.2)."""
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
