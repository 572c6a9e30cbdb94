"""Snapshots: the network of a run each time its sparsity first reached a multiple of some per cent, without its zeros.

    snapshots/35/network.safetensors, architecture.json    the smaller network: `winnow.engine.load_model` reads it
    snapshots/35/certificate.json, tables/                 the proof that it is the same (engine.jobs.certificate_file)
    snapshots/35/snapshot.json                             what it is: `Snapshot`

A folder gets its name when all files are in it, so that a snapshot is complete or absent.
"""

import shutil
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import ValidationError

from winnow.engine.runs.digests import digest
from winnow.engine.runs.reading import read_json, read_object
from winnow.engine.specs.frozen import Frozen
from winnow.engine.specs.penalty import TargetOf

LARGEST_ARCHITECTURE = 64 << 20  # bytes
FOLDER, DESCRIPTION = "snapshots", "snapshot.json"
TABLE_COLUMNS = (
    "level", "of", "epoch", "step", "group_sparsity", "parameter_sparsity", "mac_sparsity", "parameters", "macs",
    "bytes", "folder",
)  # fmt: skip


class Snapshot(Frozen):
    """One network kept during training.

    `level` [%] is the multiple that was reached of what the target is a share of (`of`); the sparsities [%] are of
    the penalised layers after `epoch`. `parameters`, `macs` (of one image) and `bytes` (of its file) are those of the
    network without its zeros. `metrics` are those on the validation images after that epoch, None for one that is not
    finite.
    """

    format_version: Literal[1] = 1
    level: int
    of: TargetOf
    epoch: int
    step: int
    group_sparsity: float
    parameter_sparsity: float
    mac_sparsity: float
    parameters: int
    macs: float
    bytes: int
    metrics: dict[str, dict[str, float | None]]


def folder_of(run: Path, level: int) -> Path:
    """Return the folder of a level's network in a run's folder."""
    return run / FOLDER / str(level)


def snapshot_folders(run: Path) -> list[Path]:
    """Return the folders of all snapshots of a run, the least sparse first."""
    return sorted((place for place in (run / FOLDER).glob("*") if place.name.isdigit()), key=lambda own: int(own.name))


def list_snapshots(run: Path) -> list[Snapshot]:
    """Return the snapshots of a run, the least sparse first; those whose description is damaged are left out."""
    found = []
    for place in snapshot_folders(run):
        try:
            found.append(read_snapshot(place))
        except (OSError, ValueError):
            continue
    return found


def read_snapshot(folder: Path) -> Snapshot:
    """Return the description of a snapshot.

    Raises:
        ValueError, OSError: it is missing or damaged.

    """
    try:
        return Snapshot.model_validate(read_object(folder / DESCRIPTION))
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise ValueError(f"`{DESCRIPTION}` must describe a network, got {problem!r} from its check.") from error


def is_intact(folder: Path) -> bool:
    """Return whether a snapshot's tensors have the digest that its architecture.json names."""
    try:
        expected = read_json(folder / "architecture.json", LARGEST_ARCHITECTURE)["sha256"]
        return digest((folder / "network.safetensors").read_bytes()) == str(expected)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def drop_later(run: Path, step: int) -> None:
    """Remove the snapshots from after a step, and those without a description: that part of the run is void."""
    known = {own.level: own.step for own in list_snapshots(run)}
    for place in snapshot_folders(run):
        if known.get(int(place.name), step + 1) > step:
            shutil.rmtree(place)


def snapshots_table(run: Path) -> pd.DataFrame:
    """Return one row per snapshot; `folder` is relative to the run's."""
    rows = [
        {**known.model_dump(exclude={"metrics", "format_version"}), "folder": f"{FOLDER}/{known.level}"}
        for known in list_snapshots(run)
    ]
    return pd.DataFrame(rows, columns=pd.Index(TABLE_COLUMNS))
