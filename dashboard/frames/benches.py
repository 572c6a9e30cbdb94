"""How fast a pruned network is in each form: what its benches found (engine.jobs.bench_job).

| function      | columns                                                                                       |
|---------------|-----------------------------------------------------------------------------------------------|
| `bench_table` | of `best`: form, batch, threads, dense, compact [s], speed_up, achieved, steady; of `speeds`: |
|               | the rows of every layout and of the masked network; of `layers`, `lost`, `metrics`,           |
|               | `machine`, `left_out`: the engine's                                                           |
"""

import pandas as pd

from winnow.dashboard.frames.stored_tables import stored
from winnow.engine.runs.derived import DerivedJob, derived_jobs
from winnow.engine.runs.run import Run
from winnow.engine.specs.bench import BenchSpec
from winnow.engine.specs.frozen import SpecError

COLUMNS = {
    "said": ("sentence",),
    "best": ("form", "batch", "threads", "dense", "compact", "speed_up", "achieved", "steady"),
    "speeds": ("model", "form", "layout", "batch", "threads", "median", "low", "high", "steady", "speed_up",
               "speed_up_low", "speed_up_high", "achieved", "bytes", "peak_bytes", "relative_error"),
    "layers": ("layer", "kind", "macs_dense", "macs_compact", "bytes_dense", "bytes_compact", "seconds_dense",
               "seconds_compact", "flops_dense", "flops_compact", "bound_dense", "bound_compact", "promised", "lost",
               "gather", "launch", "memory", "padding", "kernel"),
    "lost": ("cause", "seconds", "share"),
    "machine": ("threads", "flops", "bandwidth", "call", "block"),
    "metrics": ("model", "form", "task", "metric", "value", "unit", "higher_is_better"),
    "left_out": ("model", "form", "reason"),
}  # fmt: skip


def benches(run: Run, pruning: str) -> list[DerivedJob]:
    """Return the benches of one pruning, newest first."""
    return [found for found in derived_jobs(run, "bench") if _timed(found) == pruning]


def bench_table(bench: DerivedJob, name: str) -> pd.DataFrame:
    """Return a table of a bench, without rows where it is not there (yet)."""
    return stored(bench, name, COLUMNS).reindex(columns=list(COLUMNS[name]))


def bench_sentence(bench: DerivedJob) -> str:
    """Return what the engine says of a bench, "" before it has ended."""
    said = bench_table(bench, "said")["sentence"]
    return str(said.iloc[0]) if len(said) else ""


def _timed(bench: DerivedJob) -> str:
    try:
        return bench.spec.pruning if isinstance(bench.spec, BenchSpec) else ""
    except (OSError, SpecError, ValueError):
        return ""
