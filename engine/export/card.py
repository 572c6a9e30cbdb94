"""The model card: one Markdown page that says what a model is, where it comes from, and how well it does.

Nothing is computed and nothing is filled in: a fact that is not given is left out, with its heading.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pandas as pd

from winnow.engine.export.graphs import Exported
from winnow.engine.export.saving import ARCHITECTURE, TENSORS, Saved
from winnow.engine.pruning.certificate import Certificate

METRIC_COLUMNS = ("task", "metric", "unit", "before", "after")
MEASURE_COLUMNS = ("model", "quantity", "batch", "backend", "value", "low", "high", "unit", "threads", "steady")
SCALES = {"B": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")), "1": ((1e9, "G"), (1e6, "M"), (1e3, "k"))}
SMALL = {"s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))}


@dataclass(frozen=True)
class ModelFacts:
    """The facts for a model card; leave out what is not known.

    summary: one sentence. tasks: {task: what it predicts}. inputs: {input: shape and meaning}; the first shape of
    `example` is what the code on the card runs. spec: {parameter: value}, of the run. packages: {name: version}.
    digests: {what decided the result: its SHA-256}.
    metrics: a frame with the columns task, metric, unit, before, after (NaN where not measured). measures: a frame of
    `engine.measure.compare`. saved, exported: the files beside the card. limits: sentences.
    """

    name: str
    summary: str = ""
    run: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = ""
    seeds: Sequence[int] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)
    example: Sequence[int] = ()
    certificate: Certificate | None = None
    metrics: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)
    measures: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)
    saved: Saved | None = None
    exported: Sequence[Exported] = ()
    limits: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError(f"`name` must be a text on one line, not empty, got {self.name!r}.")
        for name, frame, columns in (
            ("metrics", self.metrics, METRIC_COLUMNS),
            ("measures", self.measures, MEASURE_COLUMNS),
        ):
            if len(frame) and (missing := [column for column in columns if column not in frame]):
                raise ValueError(f"`{name}` must have the columns {', '.join(columns)}, got none called {missing[0]}.")


def model_card(facts: ModelFacts) -> str:
    """Return a model card as Markdown."""
    sections = [
        ("", _text(facts.summary)),
        ("Tasks", _pairs(("task", "prediction"), facts.tasks)),
        ("Where it comes from", _provenance(facts)),
        ("Provenance", _digests(facts)),
        ("What was removed", _removed(facts.certificate)),
        ("Certificate", _certificate(facts.certificate)),
        ("Metrics", _metrics(facts.metrics)),
        ("Cost", _measures(facts.measures)),
        ("Files", _files(facts)),
        ("How to load it", _loading(facts)),
        ("Limits", _limits(facts)),
    ]
    parts = [f"## {title}\n\n{body}" if title else body for title, body in sections if body]
    return "\n\n".join([f"# {_text(facts.name)}", *parts]) + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table, empty without rows."""
    if not rows:
        return ""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_text(cell) for cell in line) + " |" for line in lines)


def _text(value: Any) -> str:
    """Return a value on one line that opens no table cell, link, picture or tag of its own."""
    found = " ".join(str(value).split())
    for mark in "\\|<>[]`":
        found = found.replace(mark, f"\\{mark}")
    return found


def _pairs(columns: tuple[str, str], values: Mapping[str, Any]) -> str:
    return table(columns, [[name, value] for name, value in values.items()])


def _provenance(facts: ModelFacts) -> str:
    known = {
        "run": facts.run,
        "data set": facts.dataset,
        "seeds": ", ".join(map(str, facts.seeds)),
        "packages": ", ".join(f"{name} {version}" for name, version in facts.packages.items()),
    }
    return _pairs(("what", "value"), {name: value for name, value in (known | dict(facts.spec)).items() if value != ""})


def _digests(facts: ModelFacts) -> str:
    if not facts.digests:
        return ""
    check = f"winnow runs verify {_text(facts.run)}"
    said = f"`{check}` compares the run's files with their digests, and `--by KEY.pub` checks who signed them."
    return f"{_pairs(('what', 'SHA-256'), facts.digests)}\n\n{said if facts.run else ''}".strip()


def _removed(certificate: Certificate | None) -> str:
    if certificate is None or certificate.removed.empty:
        return ""
    frame = certificate.removed
    before, after = int(frame["parameters_before"].sum()), int(frame["parameters_after"].sum())
    said = f"{len(frame)} layers are smaller: {before:,} parameters became {after:,} in them."
    columns = ["layer", "shape_before", "shape_after", "parameters_before", "parameters_after"]
    rows = [[row[0], row[1], row[2] or "gone", row[3], row[4]] for row in frame[columns].to_numpy().tolist()]
    return f"{said}\n\n{table(('layer', 'weight before', 'weight after', 'parameters before', 'after'), rows)}"


def _certificate(certificate: Certificate | None) -> str:
    if certificate is None:
        return ""
    rows = [
        ["float32", f"{certificate.max_error_float32:.2g}", f"{certificate.relative_error_float32:.2g}"],
        ["float64", f"{certificate.max_error_float64:.2g}", f"{certificate.relative_error_float64:.2g}"],
    ]
    if certificate.relative_error_training is not None:
        rows.append(["float64, training mode", "", f"{certificate.relative_error_training:.2g}"])
    head = "The outputs were compared with those of the network before the removal, on:"
    inputs = "\n".join(f"- {_text(words)}" for words in certificate.inputs)
    parts = [head, inputs, table(("precision", "largest error", "relative to the output's scale"), rows)]
    if certificate.elements:
        sizes = f" Other sizes: {', '.join(map(_text, certificate.sizes))}." if certificate.sizes else ""
        parts.append(f"{certificate.tensors:,} tensors with {certificate.elements:,} elements in float64.{sizes}")
    parts += [f"Not compared: {_text(what)} ({_text(why)})." for what, why in certificate.open.items()]
    for words, found in (
        ("Channels gathered by", certificate.gathered),
        ("Constants taken over by", certificate.folded),
    ):
        if found:
            parts.append(f"{words}: " + ", ".join(f"{_text(layer)} ({_text(n)})" for layer, n in found.items()) + ".")
    if kept := {**certificate.pinned, **certificate.kept_for}:
        parts.append(_pairs(("channels kept for", "why"), kept))
    return "\n\n".join(parts)


def _metrics(frame: pd.DataFrame) -> str:
    rows = [
        [
            row["task"],
            row["metric"],
            row["unit"],
            *("" if pd.isna(row[c]) else f"{row[c]:.4g}" for c in ("before", "after")),
        ]
        for _, row in frame.iterrows()
    ]
    return table(METRIC_COLUMNS, rows)


def _measures(frame: pd.DataFrame) -> str:
    """Return a row per quantity and a column per model."""
    if frame.empty:
        return ""
    models = list(dict.fromkeys(frame["model"]))
    rows, noisy = [], False
    for key, group in frame.groupby(["quantity", "batch", "backend"], sort=False, dropna=False):
        quantity, batch, backend = cast(tuple[str, float, str], key)
        cells = group.set_index("model")
        found = [_cell(cells.loc[model]) if model in cells.index else "" for model in models]
        noisy |= any("busy" in cell for cell in found)
        rows.append([quantity, "" if math.isnan(batch) else int(batch), backend, *found])
    threads = sorted({int(count) for count in frame["threads"]})
    said = f"Times: median [p10 – p90], {' and '.join(map(str, threads))} thread{'s' * (threads != [1])}, in turns."
    said += " Do not quote a time marked busy: the machine was busy." if noisy else ""
    return f"{table(['quantity', 'batch', 'backend', *models], rows)}\n\n{said}"


def _cell(row: pd.Series) -> str:
    if row["quantity"] != "latency":
        return scaled(row["value"], row["unit"])
    spread = f"{scaled(row['value'], 's')} [{scaled(row['low'], 's')} – {scaled(row['high'], 's')}]"
    return spread if row["steady"] else f"busy: {spread}"


def scaled(value: float, unit: str) -> str:
    """Return a value with a unit of its size: 12.3 ms, 4.56 MB, 7.89 M."""
    steps = SCALES.get(unit, ()) + SMALL.get(unit, ())
    for step, name in steps:
        if abs(value) >= step:
            return f"{value / step:.3g} {name}"
    return f"{value:.3g} {'' if unit == '1' else unit}".strip()


def _files(facts: ModelFacts) -> str:
    rows = [[one.path.name, f"{one.bytes:,}", one.sha256, ""] for one in (facts.saved,) if one is not None]
    rows += [[e.path.name, f"{e.bytes:,}", e.sha256, f"{e.relative_error:.2g}"] for e in facts.exported]
    return table(("file", "bytes", "SHA-256", "relative error beside the model"), rows)


def _loading(facts: ModelFacts) -> str:
    """Return code that runs in the card's folder, for the files that are there."""
    parts = []
    sizes = ", ".join(map(str, facts.example))
    if facts.saved is not None:
        run = f"\npredictions = model(torch.zeros({sizes}))" if sizes else ""
        imports = "import torch\n\n" if sizes else ""
        code = f'{imports}from winnow.engine.export import load_model\n\nmodel = load_model(".").eval(){run}'
        parts.append(f"From `{TENSORS}` and `{ARCHITECTURE}`, in this folder, with Winnow:\n\n```python\n{code}\n```")
    files = [one.path.name for one in facts.exported if one.path.suffix == ".onnx"] if sizes else []
    parts += [f"From `{_text(name)}`, without torch:\n\n```python\n{_onnx(name, sizes)}\n```" for name in files]
    return "\n\n".join(parts)


def _onnx(name: str, sizes: str) -> str:
    return (
        "import numpy\nimport onnxruntime\n\n"
        f"session = onnxruntime.InferenceSession({name!r})\n"
        "image = session.get_inputs()[0].name\n"
        f'predictions = session.run(None, {{image: numpy.zeros(({sizes}), "float32")}})'
    )


def _limits(facts: ModelFacts) -> str:
    found = list(facts.limits)
    if facts.certificate is not None and facts.certificate.fixed_sizes:
        found.append("It takes inputs of the certificate's sizes only.")
    return "\n".join(f"- {_text(sentence)}" for sentence in found)
