"""How numbers, times and other people's words are said on every page.

Names of runs, tasks and layers come from users. Streamlit reads Markdown in most places, so such a name goes through
`plain` first; Plotly reads a few HTML tags, so there it goes through `figures.look.escaped`.
"""

import re
from datetime import datetime
from typing import Literal

from engine.folders import State, Status
from engine.spec import PenaltySpec

Colour = Literal["gray", "blue", "green", "orange", "red", "violet"]
STATES: dict[State, tuple[str, str, Colour]] = {  # glyph in a table, icon on a page, colour
    "queued": ("○", ":material/schedule:", "gray"),
    "running": ("▶", ":material/play_circle:", "blue"),
    "done": ("✓", ":material/check_circle:", "green"),
    "stopped": ("■", ":material/stop_circle:", "orange"),
    "failed": ("✕", ":material/error:", "red"),
    "lost": ("?", ":material/help:", "violet"),
}
COUNTED = {"group": "groups", "parameter": "parameters", "mac": "MACs"}


def plain(text: str) -> str:
    """Return Markdown that shows `text` as it is: no emphasis, links, images, formulae, tags, icons or new lines."""
    escaped = re.sub(r"([!-/;-@\[-`{-~])", r"\\\1", " ".join(text.split()))
    return re.sub(r":(?=\w)", ":\u2060", escaped)  # a word joiner, or :this: becomes an icon


def sentence(text: str) -> str:
    """Return Markdown that shows a message as it is, but for `names` in backticks, which are set as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0 or any(not part.strip() for part in parts[1::2]):
        return plain(text)
    return " ".join(f"`{part}`" if place % 2 else plain(part) for place, part in enumerate(parts) if part.strip())


def state_word(status: Status) -> str:
    """Say the state in one word, `paused` included."""
    return "paused" if status.state == "running" and status.paused else status.state


def duration(seconds: float | None) -> str:
    """Say a length of time with two units at most: 45 s, 2 min 05 s, 3 h 20 min, 2 d 4 h."""
    if seconds is None or seconds < 0:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def elapsed(status: Status) -> float | None:
    """Return the seconds from the start of a run to its end, or to its last sign of life."""
    if status.started is None:
        return None
    return (status.finished or status.updated or status.started) - status.started


def moment(seconds: float | None) -> str:
    """Say a time (seconds since 1970, UTC) in the local zone."""
    return "–" if seconds is None else f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def power(value: float) -> str:
    """Say a strength: 0, 1e-3, 2.5e-4."""
    if not value:
        return "0"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def amount(value: float) -> str:
    """Say a large number with three figures: 48, 1.23 k, 0.512 M."""
    for name, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= (unit if name == "k" else unit / 10):
            return f"{value / unit:.3g} {name}"
    return f"{value:.3g}"


def measured(value: float, unit: str) -> str:
    """Say a metric with three figures and its unit: 61.4 %, 0.321 m, 14.2°."""
    number = f"{value:.3g}"
    if unit in ("", "1"):
        return number
    return f"{number}{unit}" if unit == "°" else f"{number} {unit}"


def firmly(firmness: float) -> str:
    """Say how firmly a group is dead: the pull of the loss ÷ what the penalty withstands."""
    verdict = "firmly dead" if firmness < 0.5 else "dead" if firmness < 0.9 else "about to revive"
    return f"The loss pulls at {firmness:.2f} of what the penalty withstands: {verdict}."


def asked(penalty: PenaltySpec) -> str:
    """Say what was asked of the sparsity: a target, or the strength at the start."""
    if penalty.target is None:
        return f"λ = {power(penalty.strength)} at the start"
    return f"target {penalty.target:g} % of the {COUNTED[penalty.target_of]}"
