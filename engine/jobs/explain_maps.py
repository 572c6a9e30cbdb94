"""The maps of an explanation: chosen as its spec says, computed, and put beside its tables."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from winnow.engine.explain.maps.choosing import top_cells
from winnow.engine.explain.maps.making import SpatialSettings, check_cells, spatial
from winnow.engine.explain.maps.store import write_spatial
from winnow.engine.explain.relevance.means import Means
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.specs.explain import ExplainSpec


def check_channels(asked: Probe, spec: ExplainSpec) -> None:
    """Raise `ValueError` where the spec names channels that the layer does not have, before anything is computed."""
    if spec.channels:
        check_cells(asked, {spec.layers[0]: spec.channels})


def write_maps(
    asked: Probe, relevance: pd.DataFrame, means: Means, spec: ExplainSpec, place: tuple[Path, Callable[[str], None]]
) -> None:
    """Write the maps of the channels named, else of the most relevant ones of every task, for the first images.

    `place` is the folder, and what is told what comes next; it may raise to end the work.
    """
    folder, say = place
    named = {spec.layers[0]: spec.channels} if spec.channels else None
    cells = named or top_cells(relevance, spec.map_channels, spec.layers or None)
    found = spatial(asked, cells, means, SpatialSettings(images=spec.maps, steps=spec.steps), say)
    write_spatial(folder, found.arrays, found.index)
