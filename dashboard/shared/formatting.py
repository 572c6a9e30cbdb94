"""How numbers, times and text from users are written on every page.

Names of runs, tasks and layers come from users. Streamlit reads Markdown in most places, so such a name goes through
`plain` first; Plotly reads a few HTML tags, so there it goes through `figures.look.escaped`.
"""

import re
from datetime import UTC, datetime
from typing import Literal
from unicodedata import bidirectional

import numpy as np

from winnow.dashboard.frames.answers.answer import whole_share
from winnow.engine.runs.work_folder import State, Status
from winnow.engine.specs.penalty import PenaltySpec
from winnow.engine.specs.prune import Criterion, PruneSpec

Colour = Literal["gray", "blue", "green", "orange", "red", "violet"]
STATES: dict[State, tuple[str, str, Colour]] = {  # glyph in a table, icon on a page, colour
    "queued": ("○", ":material/schedule:", "gray"),
    "running": ("▶", ":material/play_circle:", "blue"),
    "done": ("✓", ":material/check_circle:", "green"),
    "stopped": ("■", ":material/stop_circle:", "orange"),
    "failed": ("✕", ":material/error:", "red"),
    "lost": ("?", ":material/help:", "violet"),
}
COUNTED = {"group": "groups", "parameter": "parameters", "mac": "MACs", "latency": "latency", "memory": "memory"}
CRITERIA: dict[Criterion, str] = {"zeros": "exact zeros", "norm": "low norms", "relevance": "low relevance"}
REPAIRS = {"norms": "batch norms repaired", "readers": "layers repaired", "both": "layers and batch norms repaired"}


def isolated(text: str) -> str:
    """Return a name that leaves the order of what stands beside it: Hebrew or Arabic would turn ids and numbers round.

    Only a name is isolated, where it is put beside an id or a number: a whole sentence would be laid out from the right
    where it begins with such a name. Never in a file. The marks of an isolate (Unicode U+2068, U+2069) cannot be seen.
    """
    turned = any(bidirectional(letter) in ("R", "AL") for letter in text)
    return f"\u2068{text}\u2069" if turned else text


def plain(text: str) -> str:
    """Return Markdown that shows `text` as it is: no emphasis, links, images, formulae, tags, icons or new lines."""
    escaped = re.sub(r"([!-/;-@\[-`{-~])", r"\\\1", " ".join(text.split()))
    return re.sub(r":(?=\w)", ":\u2060", escaped)  # a word joiner, or :this: becomes an icon


def unescaped(markdown: str) -> str:
    """Return the text that `plain` made safe as it was."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown).replace("\u2060", "")


def on_paper(reading: str) -> str:
    """Return how to read a figure, without what can only be done on a page of the dashboard."""
    only = ("Click", "Move the slider", "A cell that is pointed at")
    return " ".join(part for part in re.split(r"(?<=[.:]) ", reading) if not part.startswith(only))


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
    """Say a time (seconds since 1970) in UTC, as the ids of runs do."""
    return "–" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def power(value: float) -> str:
    """Say a strength: 0, 1e-3, 2.5e-4."""
    if not value:
        return "0"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def measured(value: float, unit: str) -> str:
    """Say a metric with three figures and its unit: 61.4 %, 0.321 m, 14.2°; a dash for one that has no value."""
    if not np.isfinite(value):
        return "–"
    value = whole_share(value) if unit == "%" else value
    number = f"{value:.3g}"
    if unit == "%" and value < 100 <= float(number):
        number = "99.9"  # only a whole is 100 %
    if unit in ("", "1"):
        return number
    return f"{number}{unit}" if unit == "°" else f"{number} {unit}"


def amount(value: float, unit: str = "1") -> str:
    """Say a count, a size [B] or a time [s] with three figures and a prefix: 58.9 M, 2.9 MB, 4.81 ms."""
    if not np.isfinite(value):
        return "–"
    factor, scaled = _scale(value, unit)
    return f"{_three(value / factor)} {scaled}".rstrip()


def spread(value: float, low: float, high: float, unit: str) -> str:
    """Say an amount between two others, in one unit: 12.8 (8.59–17.4) ms."""
    if not np.isfinite(value):
        return "–"
    factor, scaled = _scale(value, unit)
    return f"{_three(value / factor)} ({_three(low / factor)}–{_three(high / factor)}) {scaled}".rstrip()


def _scale(value: float, unit: str) -> tuple[float, str]:
    """Return by what to divide a number, and the unit that it then has."""
    scales = ((1.0, ""), (1e-3, "m"), (1e-6, "µ")) if unit == "s" else ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
    factor, prefix = next((scale for scale in scales if abs(value) >= scale[0]), scales[-1])
    return factor, f"{prefix}{'' if unit == '1' else unit}"


def changed(by: float, unit: str) -> str:
    """Say a difference with its sign and unit: −61 %, +0.012 m; "same" where it rounds to nothing."""
    if not np.isfinite(by):
        return "–"
    if abs(by) < (5e-3 if unit in ("%", "points", "°") else 5e-5):
        return "same"
    return f"{'−' if by < 0 else '+'}{measured(abs(by), unit)}"


def digits(unit: str) -> str:
    """Return, for a table, how many digits a metric is worth: tenths of percents and degrees, else thousandths."""
    return "%.1f" if unit in ("%", "°") else "%.3f"


def _three(value: float) -> str:
    """Write three figures, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def firmly(firmness: float) -> str:
    """Say how firmly a group is dead: the pull of the loss ÷ what the penalty withstands."""
    verdict = "firmly dead" if firmness < 0.5 else "dead" if firmness < 0.9 else "about to revive"
    return f"The pull of the loss is {firmness:.2f} of the pull of the penalty: {verdict}."


def asked(penalty: PenaltySpec) -> str:
    """Say what was asked of the sparsity: a target, a strength that is learned, or the strength at the start."""
    if penalty.learned != "no":
        return "λ learned, one for each layer" if penalty.learned == "layer" else "λ learned"
    if penalty.target is None:
        return f"λ = {power(penalty.strength)} at the start"
    return f"target {penalty.target:g} % of the {COUNTED[penalty.target_of]}"


def asked_of(spec: PruneSpec) -> str:
    """Say what a pruning was asked to do: what goes, which heads stay, how it recovers."""
    parts = [CRITERIA[spec.criterion]]
    if spec.budget is not None:
        parts[0] += f", budget {spec.budget:g} % of the {COUNTED[spec.budget_of]}"
    parts[0] += f", up to {spec.tolerance:g} % of each task layer by layer" if spec.tolerance is not None else ""
    parts[0] += ", layers by sensitivity" if spec.sensitivity and spec.budget is not None else ""
    parts += [f"only {', '.join(spec.tasks)}"] if spec.tasks else []
    parts += [REPAIRS[spec.repair]] if spec.repair != "none" else []
    parts += [f"refit of {spec.refit_epochs} epoch{'s' if spec.refit_epochs > 1 else ''}"] if spec.refit_epochs else []
    parts[-1] += f", imitation {spec.distillation:g}" if spec.distillation else ""
    return ", ".join(parts)


def level_word(of: str, level: float) -> str:
    """Say the sparsity that a study asks for: dense, 60 %, or 0.1 λ_max."""
    if not of:
        return "dense"
    return f"{level:g} %" if of == "target" else f"{level:g} λ_max"
