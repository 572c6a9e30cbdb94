"""Small prunings and exports, written as the worker writes them: engine.jobs.prune_report has the columns."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from tests.dashboard.making import START
from winnow.engine.runs.derived import DerivedJob, derived_job, read
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.bench import BenchSpec
from winnow.engine.specs.export import ExportSpec

METRICS = {  # dense, pruned, refitted, unit, higher is better
    "loss": (1.0, 1.2, 1.1, "", False),
    "abs_error": (0.5, 0.6, 0.55, "m", False),
}
COSTS = {"parameters": (1000.0, 250.0, "1"), "macs": (8e6, 4e6, "1"), "file_size": (4000.0, 1000.0, "B")}
TIMES = {  # (batch, backend): dense, masked, pruned [s], steady
    (1, "eager"): (0.010, 0.011, 0.005, True),
    (16, "eager"): (0.100, 0.100, 0.040, True),
    (1, "onnxruntime"): (0.008, 0.008, 0.004, False),
}
CERTIFICATE = {
    "format_version": 1,
    "compared_with": "the network of small at step 30",
    "inputs": ["the example, (1, 3, 64, 64)"],
    "max_error_float32": 2e-6,
    "max_error_float64": 1e-15,
    "relative_error_float32": 3.4e-7,
    "relative_error_float64": 4e-16,
    "fixed_sizes": False,
    "refitted_afterwards": False,
}


def write_pruning(run: Run, state: str = "done", message: str = "", stem: str = "", **spec: Any) -> DerivedJob:
    """Write a pruning that ended, with all its tables; `swept` ones by a criterion of theirs."""
    work = derived_job(run, read({"kind": "prune", **spec}), stem)
    done = {"progress": 1.0, "started": START + 70, "finished": START + 82, "requested": START + 70}
    set_status(work, state=state, phase=state, message=message, **done)
    for name, frame in _tables(bool(spec.get("refit_epochs"))).items():
        write_table(work, name, frame)
    if spec.get("criterion", "zeros") != "zeros":
        write_table(work, "sweep", _sweep())
    replace_json(work.path / "certificate.json", CERTIFICATE)
    return work


def write_export(run: Run, pruning: DerivedJob) -> DerivedJob:
    """Write an export of a pruning that ended, with two files."""
    work = derived_job(run, ExportSpec(pruning=pruning.id), "export")
    set_status(work, state="done", phase="done", progress=1.0, started=START + 90, finished=START + 95)
    (work.path / "files").mkdir()
    rows = []
    for name, form, error in (("network.safetensors", "safetensors", 0.0), ("README.md", "card", np.nan)):
        content = f"the bytes of {name}".encode()
        (work.path / "files" / name).write_bytes(content)
        rows.append([name, form, len(content), hashlib.sha256(content).hexdigest(), error])
    write_table(work, "files", pd.DataFrame(rows, columns=["file", "format", "bytes", "sha256", "max_error"]))
    return work


def write_bench(run: Run, pruning: DerivedJob) -> DerivedJob:
    """Write a bench of a pruning that ended, as engine.jobs.bench_job does."""
    work = derived_job(run, BenchSpec(pruning=pruning.id), "bench")
    set_status(work, state="done", phase="done", progress=1.0, started=START + 90, finished=START + 95)
    place = {"form": "eager", "layout": "NCHW", "batch": 1, "threads": 1, "steady": True, "bytes": 4000}
    rows = [
        {"model": model, **place, "median": 0.01 / up, "low": 0.009 / up, "high": 0.012 / up, "speed_up": up,
         "speed_up_low": 0.9 * up, "speed_up_high": 1.1 * up, "achieved": up / 4, "peak_bytes": 1e6,
         "relative_error": 0.0}
        for model, up in (("dense", 1.0), ("masked", 1.0), ("compact", 2.0))
    ]  # fmt: skip
    layer = {"layer": "<b>stem</b>", "kind": "Conv2d", "bound_dense": "compute", "bound_compact": "memory"}
    numbers = {f"{name}_{of}": 1e6 for name in ("macs", "bytes", "flops") for of in ("dense", "compact")}
    seconds = dict.fromkeys(("seconds_dense", "seconds_compact", "promised", "lost"), 0.001)
    parts = dict.fromkeys(("gather", "launch", "memory", "padding", "kernel"), 2e-4)
    write_table(work, "said", pd.DataFrame({"sentence": ["Compact runs 2.0 × as fast as dense."]}))
    write_table(work, "speeds", pd.DataFrame(rows))
    write_table(work, "layers", pd.DataFrame([layer | numbers | seconds | parts]))
    lost = {"cause": ["memory traffic", "gathering channels"], "seconds": [2e-3, -1e-4], "share": [100.0, 0.0]}
    write_table(work, "lost", pd.DataFrame(lost))
    write_table(
        work, "left_out", pd.DataFrame([["dense", "compiled", "no compiler"]], columns=["model", "form", "reason"])
    )
    return work


def set_status(work: DerivedJob, **changes: object) -> None:
    """Change the status as the worker does."""
    status = Status.model_validate({**work.recorded_status().model_dump(), **changes})
    replace(work.path / "status.json", status.model_dump_json().encode())


def write_table(work: DerivedJob, name: str, frame: pd.DataFrame) -> None:
    """Replace a table as the worker does."""
    (work.path / "tables").mkdir(exist_ok=True)
    replace(work.path / "tables" / f"{name}.parquet", frame.to_parquet(index=False))


def _tables(refitted: bool) -> dict[str, pd.DataFrame]:
    removed = [("stem", "24×3×3×3", "20×3×3×3", 648, 540), ("stem.1", "24", "20", 48, 40)]
    removed += [("<b>deep</b>", "48×24×3×3", "12×20×3×3", 10_368, 2160), ("heads.edge", "1×48×1×1", "", 48, 0)]
    reasons = [("gathered", "stem", "7"), ("kept_for", "<b>deep</b>", "softmax mixes *all* channels")]
    saved = [("group", 40.0), ("parameter", 75.0), ("mac", 50.0)]
    return {
        "metrics": _metrics(refitted),
        "measures": measures(),
        "removed": pd.DataFrame(
            removed, columns=["layer", "shape_before", "shape_after", "parameters_before", "parameters_after"]
        ),
        "reasons": pd.DataFrame(reasons, columns=["kind", "layer", "reason"]),
        "saved": pd.DataFrame(saved, columns=["of", "value"]),
    }


def _metrics(refitted: bool) -> pd.DataFrame:
    models = ("dense", "pruned", "refitted")[: 3 if refitted else 2]
    rows = [
        [model, "depth", name, values[place], values[3], values[4]]
        for place, model in enumerate(models)
        for name, values in METRICS.items()
    ]
    return pd.DataFrame(rows, columns=["model", "task", "metric", "value", "unit", "higher_is_better"])


def measures() -> pd.DataFrame:
    """Return what `engine.measure.compare` measures of the dense, the masked and the pruned network."""
    rows: list[list[object]] = []
    for name, (dense, pruned, unit) in COSTS.items():
        for model, value in (("dense", dense), ("masked", dense), ("pruned", pruned)):
            rows.append([model, name, np.nan, "", value, value, value, unit, 2, True])
    for (batch, backend), (*values, steady) in TIMES.items():
        for model, value in zip(("dense", "masked", "pruned"), values, strict=True):
            rows.append([model, "latency", batch, backend, value, 0.9 * value, 1.2 * value, "s", 2, steady])
    columns = ["model", "quantity", "batch", "backend", "value", "low", "high", "unit", "threads", "steady"]
    return pd.DataFrame(rows, columns=columns)


def _sweep() -> pd.DataFrame:
    """Return a sweep whose first two steps remove the same."""
    rows = []
    for share, removed in ((0.0, 40.0), (10.0, 40.0), (50.0, 50.0), (90.0, 85.0)):
        threshold = -np.inf if removed == 40 else removed / 100
        for name, factor in (("loss", 2.0), ("abs_error", 0.5)):
            place = [share, threshold, removed, removed + 5, removed + 2]
            rows.append([*place, "depth", name, factor * (1 + (removed - 40) / 100)])
    columns = ["share", "threshold", "groups", "parameters", "macs", "task", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)
