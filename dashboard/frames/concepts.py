"""What a user calls the channels of a run (engine.runs.concepts), read again only when the file is replaced.

A name is the user's text, which anybody may have written who sent the run: it is shown as text, never as markup.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from winnow.dashboard.frames.cells import Cell, Kind
from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.engine.runs.concepts import CONCEPTS, Concept, concepts_of
from winnow.engine.runs.run import Run


def concepts(run: Run) -> Mapping[Cell, Concept]:
    """Return the names and notes of a run's channels."""
    return _concepts(run.path, concepts_version(run))


def concepts_version(run: Run) -> Version:
    """Return when they were last changed: a key of whatever shows them."""
    return version(run.path / CONCEPTS)


def cell_title(run: Run, cell: Cell) -> str:
    """Name a channel as on every page, with what the user calls it: stem, filter 3 “wheels”."""
    found = concepts(run).get(cell)
    return f"{cell} “{found.name}”" if found is not None and found.name else str(cell)


def names_of_channels(
    run: Run, layers: Iterable[object], channels: Iterable[object], kind: Kind = "input"
) -> list[str]:
    """Return what the user calls some channels, "" of those without a name."""
    known = concepts(run)
    cells = (Cell(str(layer), int(str(channel)), kind) for layer, channel in zip(layers, channels, strict=True))
    return [known[cell].name if cell in known else "" for cell in cells]


def names_by_layer(run: Run, kind: Kind) -> dict[str, dict[str, str]]:
    """Return {layer: {number of a channel: its name}} for the maps of one kind."""
    found: dict[str, dict[str, str]] = {}
    for cell, own in concepts(run).items():
        if cell.kind == kind and own.name:
            found.setdefault(cell.layer, {})[str(cell.channel)] = own.name
    return found


def concept_table(run: Run) -> pd.DataFrame:
    """Return the channels with a name or a note: channel (as on every page), name, note."""
    rows = [(str(cell), own.name, own.note) for cell, own in concepts(run).items()]
    return pd.DataFrame(rows, columns=["channel", "name", "note"])


@latest(32)
def _concepts(folder: Path, _written: Version) -> Mapping[Cell, Concept]:
    found = {Cell(layer, channel, own.kind): own for (_, layer, channel), own in concepts_of(folder).items()}
    return MappingProxyType(found)
