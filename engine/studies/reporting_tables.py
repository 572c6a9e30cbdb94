"""A study's results as the tables of a paper: Markdown, LaTeX and CSV. Text from tables; no torch.

One row per arm, tasks and balancing; one column per quantity: mean ± standard deviation over seeds. The columns of Δ_m
show the 95 % interval of the mean instead; Δ_m is paired by seed by its definition.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from winnow.data.sample import Field
from winnow.engine.runs.quantities import Metric, metric_title, metrics
from winnow.engine.runs.spreadsheet import safe_frame
from winnow.engine.specs.study import Definition

ROW = ["arm", "subset", "balancing", "level_of", "level"]
FIGURES = MappingProxyType(
    {
        "group_sparsity": "zero groups [%]",
        "parameter_sparsity": "zero parameters [%]",
        "mac_sparsity": "zero MACs [%]",
        "removable_macs": "removable MACs [%]",
    }
)
SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "Δ": r"$\Delta$", "λ": r"$\lambda$", "±": r"$\pm$",
    "°": r"$^\circ$", "–": "--", "−": "$-$", "×": r"$\times$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "\u00a0": "~",
}  # fmt: skip
MARKED = re.compile(r"([\\`*_{}\[\]<>#|~$!])")


@dataclass(frozen=True)
class Column:
    """A column: its name in `summary`, its title, and whether it shows the interval instead of the std."""

    name: str
    title: str
    interval: bool = False


def paper_table(
    summary: pd.DataFrame, fields: Mapping[str, Field], definition: Definition, split: str = "test"
) -> pd.DataFrame:
    """Return the table `summary` of a study as text, one row per arm, for one split.

    `fields` are those of the study's data set: metrics of different kinds of tasks share names.
    """
    own = summary[summary["split"] == split]
    chosen = _quantities(own, fields, definition)
    rows = []
    for who, cells in own.groupby(ROW, sort=False):
        found = cells.set_index("quantity")
        arm, subset, balancing, of, level = who
        texts = {quantity.title: _cell(found, quantity) for quantity in chosen}
        seeds = int(found["n"].max())
        rows.append(
            {"arm": _arm(str(arm), str(of), level), "tasks": subset, "balancing": balancing, **texts, "n": seeds}
        )
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Return a table of text as Markdown that shows the text as it is."""
    rows = [[MARKED.sub(r"\\\1", _one_line(cell)) for cell in line] for line in table.astype(str).to_numpy().tolist()]
    head = [MARKED.sub(r"\\\1", _one_line(name)) for name in table.columns]
    lines = [head, ["---"] * len(table.columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(table: pd.DataFrame) -> str:
    """Return a table of text as a LaTeX tabular, for the package booktabs."""
    rows = [" & ".join(_escaped(str(cell)) for cell in line) + r" \\" for line in table.astype(str).to_numpy()]
    head = " & ".join(_escaped(str(name)) for name in table.columns) + r" \\"
    columns = "lll" + "r" * max(len(table.columns) - 3, 0)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def csv_text(table: pd.DataFrame) -> str:
    """Return any table as CSV, with all digits of its numbers; text that looks like a formula gets an apostrophe."""
    return safe_frame(table).to_csv(index=False)


FORMATS: Mapping[str, Callable[[pd.DataFrame], str]] = MappingProxyType({"md": markdown, "tex": latex})


def _quantities(own: pd.DataFrame, fields: Mapping[str, Field], definition: Definition) -> Sequence[Column]:
    known = list(dict.fromkeys(own["quantity"]))
    units = {f"{task}.{metric.name}": metric for task, field in fields.items() for metric in metrics(field)}
    tasks = [name for name in known if "." in name and not name.startswith("delta.")]
    shown = [Column(name, _title(name, units)) for name in tasks]
    deltas = {"single": "Δ_m over single tasks [%]", "dense": "Δ_m over dense [%]"}
    shown += [Column(f"delta.{of}.{definition}", title, True) for of, title in deltas.items()]
    return [quantity for quantity in shown if quantity.name in known] + [
        Column(name, title) for name, title in FIGURES.items() if name in known
    ]


def _title(name: str, units: Mapping[str, Metric]) -> str:
    task, _, metric = name.partition(".")
    return metric_title(task, units[name]) if name in units else f"{task} {metric}"


def _arm(arm: str, of: str, level: object) -> str:
    if not of:
        return arm
    return f"{arm}, {level:g} %" if of == "target" else f"{arm}, {level:g} λ_max"


def _cell(found: pd.DataFrame, quantity: Column) -> str:
    if quantity.name not in found.index:
        return "–"
    mean, std, low, high = found.loc[[quantity.name], ["mean", "std", "low", "high"]].to_numpy(float)[0]
    if quantity.interval and math.isfinite(low):
        return f"{mean:.2f} ({low:.2f} to {high:.2f})"
    return f"{_number(mean)} ± {_number(std, like=mean)}" if math.isfinite(std) else _number(mean)


def _number(value: float, like: float | None = None) -> str:
    """Return three or four significant digits; a deviation gets as many decimals as its mean."""
    size = abs(value if like is None else like)
    return f"{value:.{1 if size >= 10 else 2 if size >= 1 else 4}f}"


def _escaped(text: str) -> str:
    """Return LaTeX that shows text as it is, on one line."""
    return "".join(SPECIAL.get(letter, letter) for letter in _one_line(text))


def _one_line(text: object) -> str:
    """Return text without line breaks and control characters, which end a row of a table."""
    return "".join(letter if letter.isprintable() or letter == "\u00a0" else " " for letter in str(text))
