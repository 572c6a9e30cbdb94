"""Is a run folder intact? Each file is read as any reader would read it; checkpoints are compared to their digests."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from winnow.engine.runs.digests import APART, BEFORE, NOTED, SIGNATURE, changed_files, manifests, verified
from winnow.engine.runs.reading import checked_table, read_object
from winnow.engine.runs.run import Run
from winnow.engine.runs.signing import checked_signature
from winnow.engine.runs.snapshots import FOLDER, is_intact, read_snapshot, snapshot_folders
from winnow.engine.runs.work_folder import Status, folders
from winnow.engine.specs.frozen import SpecError


@dataclass(frozen=True)
class FileCheck:
    """One file of a run folder: whether it is intact, and in short what is in it or what is wrong."""

    file: str
    whole: bool
    detail: str


def verify(run: Run, known: Path | None = None) -> list[FileCheck]:
    """Return a finding per file of the run and of the jobs on its result.

    Where the work has ended, every file is compared to the digest that was noted then (`engine.runs.digests`). Where
    the digests are signed, so is the signature; with `known`, a public key, they must be, by that key.

    Raises:
        ValueError: `known` is no public key.

    """
    found = _as_readers_do(run)
    for folder in (run.path, *(job for kind in APART for job in folders(run.path / kind))):
        name = folder.relative_to(run.path).as_posix() if folder != run.path else ""
        found = _compared(found, folder, name)
        if (signed := checked_signature(folder, known)) is not None:
            found = [*found, FileCheck(f"{name}/{SIGNATURE}".lstrip("/"), signed.whole, signed.detail)]
    return found


def _compared(found: list[FileCheck], folder: Path, name: str) -> list[FileCheck]:
    """Return the findings with those of a folder's digests: what a reader accepts may have changed all the same."""
    prefix = f"{name}/" if name else ""
    try:
        wrong = changed_files(folder)
    except (OSError, ValueError) as error:
        return [*found, FileCheck(f"{prefix}{NOTED}", False, str(error))]
    own = [FileCheck(f"{prefix}{file}", False, problem) for file, problem in wrong.items()]
    worse = {check.file for check in own}
    told = [check for check in found if check.file not in worse or not check.whole]
    known = {check.file for check in told}
    noted = (folder / NOTED).is_file()
    whole = FileCheck(f"{prefix}{NOTED}", True, "every digest agrees" if not wrong else f"{len(wrong)} files differ")
    return [*told, *(check for check in own if check.file not in known), *([whole] if noted else [])]


def _as_readers_do(run: Run) -> list[FileCheck]:
    """Read spec, status, events, norms, checkpoints, snapshots and tables as any reader would."""
    return [
        _tried("spec.json", lambda: f"{run.spec.kind} {run.spec.name}"),
        _tried("status.json", lambda: Status.model_validate(read_object(run.path / "status.json")).state),
        _tried("events.jsonl", lambda: _events(run)),
        _tried("groups/norms.bin", lambda: f"{len(run.norms.rows())} rows of {len(run.norms.frame())} groups"),
        *(_checkpoint(manifest) for manifest in manifests(run.path / "weights")),
        *(_checkpoint(manifest, f"{BEFORE}/") for manifest in manifests(run.path / "weights" / BEFORE)),
        *(_snapshot(place) for place in snapshot_folders(run.path)),
        *(_table(file) for file in sorted(run.path.glob("tables/*.parquet"))),
    ]


def _events(run: Run) -> str:
    found = run.events()
    if damaged := found.attrs["damaged"]:
        raise ValueError("1 line is not a valid record" if damaged == 1 else f"{damaged} lines are not valid records")
    return f"{len(found)} records"


def _checkpoint(manifest: Path, folder: str = "") -> FileCheck:
    content = verified(manifest)
    detail = (
        "its digest differs from the one in its manifest" if content is None else f"{len(content)} bytes, digest agrees"
    )
    return FileCheck(f"weights/{folder}{manifest.stem}.safetensors", content is not None, detail)


def _snapshot(place: Path) -> FileCheck:
    file = f"{FOLDER}/{place.name}/network.safetensors"
    if not is_intact(place):
        return FileCheck(file, False, "its digest differs from the one in architecture.json")
    return _tried(file, lambda: f"{read_snapshot(place).bytes} bytes, digest agrees")


def _table(file: Path) -> FileCheck:
    return _tried(f"tables/{file.name}", lambda: f"{len(checked_table(file))} rows")


def _tried(file: str, read: Callable[[], str]) -> FileCheck:
    try:
        return FileCheck(file, True, read())
    except (OSError, SpecError, ValueError, TypeError, KeyError, json.JSONDecodeError, pa.ArrowException) as error:
        return FileCheck(file, False, str(error).splitlines()[0] if str(error) else type(error).__name__)
