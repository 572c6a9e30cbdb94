"""The network of a run as a graph: what the engine stores of it after an epoch, and what it is coloured by.

`network_nodes` has the columns of engine.graph.streams, and group_layer: what the run's groups call the layer, "" where
it has none; alive, groups: how many of its groups live; across, down: where it stands. `network_edges` has source,
target, channels, kept.

A run that has not finished its first epoch has neither, nor has one of an older version: the frames are empty then.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.dashboard.frames import channel_states, current, explanations, leads
from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.dashboard.frames.groups import Norms
from winnow.dashboard.frames.layered import Edge, Layered, laid_out
from winnow.dashboard.frames.stored_tables import stored, stored_version
from winnow.engine.explain.usage import DEAD, IDLE
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run

By = Literal["used", "kept", "lead", "macs"]
BYS: tuple[By, ...] = get_args(By)
COLUMNS = {
    "network": (
        *("node", "kind", "name", "operation", "component", "space", "outputs", "channels", "kept", "columns", "used"),
        *("parameters", "macs", "removable_macs", "gathered_macs"),
    ),
    "streams": ("source", "target", "channels", "kept"),
}


def network_nodes(run: Run) -> pd.DataFrame:
    """Return one row per node, in the order in which the network runs."""
    known = stored(run, "network", COLUMNS)
    return known if known.empty else _nodes(run.path, *_versions(run))


def network_edges(run: Run) -> pd.DataFrame:
    """Return one row per stream from one node to another."""
    return stored(run, "streams", COLUMNS)


def network_layout(run: Run) -> Layered:
    """Return where the nodes stand and which way the edges take."""
    return _layout(run.path, *_versions(run))


def running_order(run: Run) -> dict[str, int]:
    """Return the place of each layer, by what the groups call it, in the order in which the network runs."""
    known = network_nodes(run)
    own = known[known["group_layer"] != ""] if len(known) else known
    return (
        {} if own.empty else {str(name): int(place) for name, place in own.groupby("group_layer")["node"].min().items()}
    )


def in_running_order(run: Run, known: Norms, flags: NDArray[np.bool_]) -> tuple[Norms, NDArray[np.bool_]]:
    """Return norms and flags (groups,) with the layers in the order in which the network runs.

    A layer that is not in the network's graph, or a run without one, keeps its place behind the others.
    """
    place = running_order(run)
    order = sorted(range(len(known.layers)), key=lambda at: place.get(known.layers[at].name, len(place) + 10**6))
    if order == list(range(len(known.layers))):
        return known, flags
    groups = np.concatenate([np.arange(*known.starts[at : at + 2]) for at in order])
    layers = tuple(known.layers[at] for at in order)
    return replace(known, layers=layers, values=known.values[:, groups]), flags[groups]


def explained_by(run: Run) -> DerivedJob | None:
    """Return the explanation that says who leads the channels of a layer; None where there is none yet."""
    best = explanations.best(explanations.explanations(run))
    return best if best is not None and explanations.begun_explanations(best) else None


def image_layers(run: Run) -> set[str]:
    """Return the layers that read the images themselves, by the groups or, where those don't tell, by the graph."""
    if run.spec.penalty.groups == "input":
        return current.layers_of_images(run)
    kinds = network_nodes(run).set_index("node")["kind"]
    edges = network_edges(run)
    reached, front = set[int](), {int(node) for node in kinds.index[kinds == "input"]}
    while front:
        targets = {int(node) for node in edges.loc[edges["source"].isin(front), "target"]} - reached
        reached |= targets
        front = {node for node in targets if kinds[node] != "layer"}
    known = network_nodes(run)
    return set(known.loc[known["node"].isin(reached) & (known["kind"] == "layer"), "name"])


def led_by_task(work: DerivedJob) -> dict[str, dict[str, int]]:
    """Return {layer: {task: channels that it surely leads}}, with `others` and `unused` for the rest of the layer."""
    names = explanations.explained_tasks(work)
    return {str(row["layer"]): _who(row, names) for _, row in leads.lead_counts(work).iterrows()}


def _who(row: pd.Series, names: list[str]) -> dict[str, int]:
    sure = {task: int(row[f"lead_{task}"]) for task in names}
    unused = int(row[IDLE] + row[DEAD])
    return {**sure, "others": int(row["total"]) - unused - sum(sure.values()), "unused": unused}


def _versions(run: Run) -> tuple[Version, ...]:
    return (stored_version(run, "network"), stored_version(run, "streams"), version(run.path / "groups" / "norms.bin"))


@latest(16)
def _nodes(path: Path, *_written: Version) -> pd.DataFrame:
    run = Run(path)
    known = stored(run, "network", COLUMNS)
    states = channel_states.layers(run).set_index("layer")
    own = known["kind"] == "layer"
    named = np.select([own & known["name"].isin(states.index), own & known["space"].isin(states.index)],
                      [known["name"], known["space"]], "")  # fmt: skip
    counts = states.reindex(named)
    alive = (counts["alive"] + counts["near"]).fillna(0).to_numpy(int)
    spots = network_layout(run).nodes
    return known.assign(
        group_layer=named,
        alive=alive,
        groups=counts["total"].fillna(0).to_numpy(int),
        across=[across for across, _ in spots],
        down=[down for _, down in spots],
    )


@latest(16)
def _layout(path: Path, *_written: Version) -> Layered:
    run = Run(path)
    known = stored(run, "network", COLUMNS)
    pairs: list[Edge] = [(int(a), int(b)) for a, b in network_edges(run)[["source", "target"]].to_numpy().tolist()]
    return laid_out(len(known), pairs, known.loc[known["kind"] == "output", "node"].tolist())
