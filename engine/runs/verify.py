"""Is a run folder intact? Each file is read as any reader would read it; checkpoints are compared to their digests."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from winnow.engine.runs.digests import BEFORE, manifests, verified
from winnow.engine.runs.run import Run
from winnow.engine.runs.snapshots import FOLDER, is_intact, read_snapshot, snapshot_folders
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.frozen import SpecError


@dataclass(frozen=True)
class FileCheck:
    """One file of a run folder: whether it is intact, and in short what is in it or what is wrong."""

    file: str
    whole: bool
    detail: str


def verify(run: Run) -> list[FileCheck]:
    """Return a finding per file of the run: spec, status, events, norms, checkpoints, snapshots, tables."""
    return [
        _tried("spec.json", lambda: f"{run.spec.kind} {run.spec.name}"),
        _tried("status.json", lambda: Status.model_validate_json((run.path / "status.json").read_bytes()).state),
        _tried("events.jsonl", lambda: f"{len(run.events())} records"),
        _tried("groups/norms.bin", lambda: f"{len(run.norms.rows())} rows of {len(run.norms.frame())} groups"),
        *(_checkpoint(manifest) for manifest in manifests(run.path / "weights")),
        *(_checkpoint(manifest, f"{BEFORE}/") for manifest in manifests(run.path / "weights" / BEFORE)),
        *(_snapshot(place) for place in snapshot_folders(run.path)),
        *(_table(file) for file in sorted(run.path.glob("tables/*.parquet"))),
    ]


def _checkpoint(manifest: Path, folder: str = "") -> FileCheck:
    content = verified(manifest)
    detail = "its digest is not that of the manifest" if content is None else f"{len(content)} bytes, digest agrees"
    return FileCheck(f"weights/{folder}{manifest.stem}.safetensors", content is not None, detail)


def _snapshot(place: Path) -> FileCheck:
    file = f"{FOLDER}/{place.name}/network.safetensors"
    if not is_intact(place):
        return FileCheck(file, False, "its digest is not that of architecture.json")
    return _tried(file, lambda: f"{read_snapshot(place).bytes} bytes, digest agrees")


def _table(file: Path) -> FileCheck:
    return _tried(f"tables/{file.name}", lambda: f"{len(pd.read_parquet(file))} rows")


def _tried(file: str, read: Callable[[], str]) -> FileCheck:
    try:
        return FileCheck(file, True, read())
    except (OSError, SpecError, ValueError, TypeError, KeyError, json.JSONDecodeError, pa.ArrowException) as error:
        return FileCheck(file, False, str(error).splitlines()[0] if str(error) else type(error).__name__)
