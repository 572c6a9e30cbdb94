"""Networks kept on the way: what a run was when its sparsity first reached each multiple of some per cent. No torch.

    snapshots/35/network.safetensors, architecture.json    the network without its zeros: `engine.export.load_model`
    snapshots/35/certificate.json, tables/                 the proof that it is the same (engine.jobs.certificate_file)
    snapshots/35/snapshot.json                             what it is: `Snapshot`

A folder is renamed to its place when all that is in it, so that a snapshot is whole or not there.
"""

import json
import shutil
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import ValidationError

from winnow.engine.runs.digests import digest
from winnow.engine.specs.frozen import Frozen

FOLDER, DESCRIPTION = "snapshots", "snapshot.json"
TABLE_COLUMNS = (
    "level", "of", "epoch", "step", "group_sparsity", "parameter_sparsity", "mac_sparsity", "parameters", "macs",
    "bytes", "folder",
)  # fmt: skip


class Snapshot(Frozen):
    """One network kept on the way.

    `level` [%] is the multiple that was reached, of groups, parameters or MACs (`of`); the sparsities [%] are those of
    the penalised layers as they were then, after `epoch`. `parameters`, `macs` (of one image) and `bytes` (of its
    file) are those of the network without its zeros, `metrics` those on the validation images after that epoch, None
    where one is no number.
    """

    format_version: Literal[1] = 1
    level: int
    of: Literal["group", "parameter", "mac"]
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
    """Return where the network of a level lies in a run's folder."""
    return run / FOLDER / str(level)


def places(run: Path) -> list[Path]:
    """Return the folders of all networks that a run kept on the way, the least sparse first."""
    return sorted((place for place in (run / FOLDER).glob("*") if place.name.isdigit()), key=lambda own: int(own.name))


def snapshots(run: Path) -> list[Snapshot]:
    """Return what is known of the networks that a run kept on the way, the least sparse first; none that is damaged."""
    found = []
    for place in places(run):
        try:
            found.append(read(place))
        except (OSError, ValueError):
            continue
    return found


def read(place: Path) -> Snapshot:
    """Return what a folder says about its network.

    Raises:
        ValueError, OSError: it says nothing that can be read.

    """
    try:
        return Snapshot.model_validate_json((place / DESCRIPTION).read_bytes())
    except ValidationError as error:
        raise ValueError(f"`{DESCRIPTION}` should describe a network. Found {error.errors()[0]['msg']}.") from error


def whole(place: Path) -> bool:
    """Return whether the tensors of a network are those that its architecture promises."""
    try:
        promised = json.loads((place / "architecture.json").read_bytes())["sha256"]
        return digest((place / "network.safetensors").read_bytes()) == str(promised)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def drop_later(run: Path, step: int) -> None:
    """Remove the networks from after a step, and those without a description: that part of the run is void."""
    known = {own.level: own.step for own in snapshots(run)}
    for place in places(run):
        if known.get(int(place.name), step + 1) > step:
            shutil.rmtree(place)


def table(run: Path) -> pd.DataFrame:
    """Return a row per network, its `folder` below the run's."""
    rows = [
        {**known.model_dump(exclude={"metrics", "format_version"}), "folder": f"{FOLDER}/{known.level}"}
        for known in snapshots(run)
    ]
    return pd.DataFrame(rows, columns=pd.Index(TABLE_COLUMNS))
