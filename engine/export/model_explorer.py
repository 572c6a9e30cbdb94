"""A run's network for Google's Model Explorer: its graph, and what is known of each node as data to lay over it.

The graph is the one that the run stores in its tables (engine.graph.streams), so that neither the user's code nor a
checkpoint is read. A node is a use of a layer, an input, an output or a join. Layers lie in the namespace of their
module; a join is drawn beside the last layer that it takes from. Norms and activations are part of the edges.

| file                               | of each node                                                               |
|------------------------------------|----------------------------------------------------------------------------|
| `model_explorer.json`              | the graph: a GraphCollection                                               |
| `model_explorer_norm_mean.json`    | mean norm of its groups                                                    |
| `model_explorer_norm_largest.json` | largest norm of its groups                                                 |
| `model_explorer_alive.json`        | groups that are not exactly zero [%]                                       |
| `model_explorer_needed.json`       | channels that removal would keep [%]                                       |
| `model_explorer_leading_task.json` | the task that surely leads most channels (engine.explain.usage.surely_led) |
| `model_explorer_share_<n>.json`    | share of the n-th task in the relevance of what the layer reads [%]        |

All but the first are a GraphNodeData each. Their keys are ids of nodes in the graph. A node without groups, or with a
number that is not finite, is in no overlay of it. Source of the formats: graph_builder.py and node_data_builder.py of
ai-edge-model-explorer 0.1.34, and the JSON loader of its web application.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

STEM = "model_explorer"
NO_LEADER, UNUSED = "no sure lead", "unused"
GREY = "#d9d9d9"
SHARES = [(20, "#f7fbff"), (40, "#c6dbef"), (60, "#6baed6"), (80, "#2171b5"), (100, "#08306b")]  # upper ends [%]
TASKS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")
NODES = ("node", "kind", "name", "operation", "component", "space", "outputs", "channels", "kept", "columns", "used",
         "parameters", "macs", "removable_macs")  # fmt: skip
EDGES = ("source", "target", "channels", "kept")
Json = dict[str, Any]


@dataclass(frozen=True)
class Leads:
    """What an explanation says of the layers: who leads how many channels, and the shares of the tasks.

    `counts` is {layer: {task: channels that it surely leads}}, `used` the channels of each layer that some task uses,
    `shares` {task: {layer: share of the task in the layer's relevance [%]}}.
    """

    counts: Mapping[str, Mapping[str, int]]
    used: Mapping[str, int]
    shares: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class ExplorerGraph:
    """What is drawn: the tables of a run's graph and groups, an explanation if there is one, and facts of the run."""

    name: str
    nodes: pd.DataFrame
    edges: pd.DataFrame
    groups: pd.DataFrame
    leads: Leads | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExplorerFiles:
    """The files by name, and what is missing in them, a sentence each."""

    files: Mapping[str, str]
    missing: tuple[str, ...]


def explorer_files(given: ExplorerGraph) -> ExplorerFiles:
    """Return the graph and its overlays as JSON texts.

    Raises:
        ValueError: a table lacks a column.

    """
    for name, frame, columns in (("nodes", given.nodes, NODES), ("edges", given.edges, EDGES),
                                 ("groups", given.groups, ("layer", "norm", "state"))):  # fmt: skip
        if lacking := [column for column in columns if column not in frame.columns]:
            raise ValueError(f"`{name}` must have the columns {', '.join(columns)}, got none of {', '.join(lacking)}.")
    drawn = _Drawn(given)
    overlays = drawn.overlays()
    return ExplorerFiles(
        {f"{STEM}.json": _text(drawn.collection())}
        | {f"{STEM}_{name}.json": _text(overlay) for name, overlay in overlays.items()},
        tuple(drawn.missing()),
    )


def node_ids(names: Iterable[str]) -> list[str]:
    """Return an id for each node: its name, with a number behind it where an earlier node has that id.

    Examples:
        >>> node_ids(["add", "conv", "add"])
        ['add', 'conv', 'add #2']

    """
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        number, own = 1, name
        while own in taken:
            number += 1
            own = f"{name} #{number}"
        taken.add(own)
        found.append(own)
    return found


class _Drawn:
    """The documents of one run, with the group layer of every node: what the groups call it, "" where it has none."""

    def __init__(self, given: ExplorerGraph) -> None:
        self.given = given
        self.rows = _records(given.nodes)
        self.ids = node_ids(str(row["name"]) for row in self.rows)
        self.places = {int(row["node"]): place for place, row in enumerate(self.rows)}
        self.norms = {str(layer): own for layer, own in given.groups.groupby("layer", observed=True, sort=False)}
        self.layers = [self._group_layer(row) for row in self.rows]
        self.incoming: list[list[dict[str, Any]]] = [[] for _ in self.rows]
        for edge in _records(given.edges):
            self.incoming[self.places[int(edge["target"])]].append(edge)
        self.modules: list[str] = []  # that each node is drawn in, "" for the model itself
        for place, row in enumerate(self.rows):
            before = [self.places[int(edge["source"])] for edge in self.incoming[place]]
            last = max((source for source in before if source < place), default=None)
            if row["kind"] == "layer":
                self.modules.append(str(row["name"]).rpartition(".")[0])
            else:
                self.modules.append(self.modules[last] if row["kind"] == "join" and last is not None else "")

    def _group_layer(self, row: Mapping[str, Any]) -> str:
        names = (str(row["name"]), str(row["space"])) if row["kind"] == "layer" else ()
        return next((name for name in names if name in self.norms), "")

    def collection(self) -> Json:
        """Return the graph, as the only one of a collection."""
        facts = {**self.given.facts, **{f"missing {place}": text for place, text in enumerate(self.missing(), 1)}}
        graph = {
            "id": self.given.name,
            "nodes": [self._node(place) for place in range(len(self.rows))],
            "groupNodeAttributes": {"": facts},
        }
        return {"label": self.given.name, "graphs": [graph]}

    def _node(self, place: int) -> Json:
        row, incoming = self.rows[place], self.incoming[place]
        return {
            "id": self.ids[place],
            "label": _label(row),
            "namespace": _namespace(self.modules[place]),
            "attrs": _pairs(self._facts(place)),
            "incomingEdges": [
                {
                    "sourceNodeId": self.ids[self.places[int(edge["source"])]],
                    "sourceNodeOutputId": "0",
                    "targetNodeInputId": str(number),
                }
                for number, edge in enumerate(incoming)
            ],
            "inputsMetadata": [{"id": str(number), "attrs": _given(edge)} for number, edge in enumerate(incoming)],
            "outputsMetadata": [{"id": "0", "attrs": _given(row)}],
        }

    def _facts(self, place: int) -> dict[str, Any]:
        row, layer = self.rows[place], self.layers[place]
        facts = {"kind": row["kind"], "outputs reached": row["outputs"], "channels": row["channels"]}
        facts |= {"channels needed": row["kept"], "channel space": row["space"]}
        if row["kind"] != "layer":
            return facts
        facts |= {"layer": row["name"], "operation": row["operation"], "component": row["component"]}
        facts |= {"columns read": row["columns"], "columns used": row["used"], "parameters": row["parameters"]}
        facts |= {"MACs": row["macs"], "removable MACs": row["removable_macs"]}
        if layer:
            own = self.norms[layer]
            facts |= {"groups": len(own), "alive groups": int((own["state"] != "dead").sum())}
            norm = own["norm"].to_numpy(float)
            facts |= {"norm, smallest": norm.min(), "norm, median": np.median(norm), "norm, largest": norm.max()}
        if self.given.leads is not None and (counts := self.given.leads.counts.get(str(row["name"]))) is not None:
            facts |= {f"channels that {task} surely leads": count for task, count in counts.items()}
        return facts

    def overlays(self) -> dict[str, Json]:
        """Return the overlays by the end of their file's name; one without any node is left out."""
        norms = {layer: own["norm"].to_numpy(float) for layer, own in self.norms.items()}
        finite = {layer: own for layer, own in norms.items() if np.isfinite(own).all()}
        alive = {layer: 100 * float((self.norms[layer]["state"] != "dead").mean()) for layer in finite}
        needed = [100 * row["kept"] / row["channels"] if row["channels"] else math.nan for row in self.rows]
        found = {
            "norm_mean": _ranged("mean norm of the groups", self._of_groups({k: v.mean() for k, v in finite.items()})),
            "norm_largest": _ranged(
                "largest norm of the groups", self._of_groups({k: v.max() for k, v in finite.items()})
            ),
            "alive": _shares("alive groups [%]", self._of_groups(alive)),
            "needed": _shares("channels needed [%]", dict(zip(self.ids, needed, strict=True))),
        }
        if (leads := self.given.leads) is not None:
            found["leading_task"] = _leading(
                self._of_layers({name: _leader(leads, name) for name in leads.counts}), leads
            )
            for number, (task, own) in enumerate(leads.shares.items(), 1):
                found[f"share_{number}"] = _shares(f"share of {task} in the relevance [%]", self._of_layers(own))
        return {name: overlay for name, overlay in found.items() if overlay["results"]}

    def _of_groups(self, values: Mapping[str, float]) -> dict[str, float]:
        return {own: float(values[layer]) for own, layer in zip(self.ids, self.layers, strict=True) if layer in values}

    def _of_layers(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values of layers by the nodes that are one."""
        return {
            own: values[str(row["name"])]
            for own, row in zip(self.ids, self.rows, strict=True)
            if row["kind"] == "layer" and str(row["name"]) in values
        }

    def missing(self) -> list[str]:
        """Return what the overlays lack, a sentence each."""
        found = []
        if left := [layer for layer in self.norms if layer not in self.layers]:
            found.append(f"No node of the graph has the groups of {', '.join(left)}.")
        if left := [layer for layer, own in self.norms.items() if not np.isfinite(own["norm"].to_numpy(float)).all()]:
            found.append(
                f"The groups of these layers have norms that are not finite, and no overlay: {', '.join(left)}."
            )
        names = {str(row["name"]) for row in self.rows if row["kind"] == "layer"}
        if self.given.leads is not None and (left := [name for name in self.given.leads.counts if name not in names]):
            found.append(f"The explanation is also about {', '.join(left)}, which is no layer of the graph.")
        return found


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _leader(leads: Leads, layer: str) -> str:
    """Return the task that surely leads most channels of a layer, or why there is none."""
    counts = leads.counts[layer]
    most = max(counts.values(), default=0)
    if not leads.used.get(layer, 0):
        return UNUSED
    first = [task for task, count in counts.items() if count == most]
    return first[0] if most and len(first) == 1 else NO_LEADER


def _leading(values: Mapping[str, str], leads: Leads) -> Json:
    colours = {task: TASKS[place % len(TASKS)] for place, task in enumerate(leads.shares)}
    results = {own: {"value": value, "bgColor": colours.get(value, GREY)} for own, value in values.items()}
    return {"name": "leading task", "results": results, "showExpandedSummaryOnGroupNode": True}


def _shares(name: str, values: Mapping[str, float]) -> Json:
    """Return an overlay of percentages, coloured alike in every run."""
    colours = [{"value": end, "bgColor": colour} for end, colour in SHARES]
    return {"name": name, "results": _finite(values), "thresholds": colours}


def _ranged(name: str, values: Mapping[str, float]) -> Json:
    """Return an overlay of numbers, coloured from the smallest to the largest."""
    found: Json = {"name": name, "results": _finite(values)}
    if len({own["value"] for own in found["results"].values()}) > 1:  # else there is no range
        found["gradient"] = [{"stop": 0, "bgColor": SHARES[0][1]}, {"stop": 1, "bgColor": SHARES[-1][1]}]
    return found


def _finite(values: Mapping[str, float]) -> dict[str, Json]:
    return {own: {"value": value} for own, value in values.items() if math.isfinite(value)}


def _label(row: Mapping[str, Any]) -> str:
    """Return what stands in a node: of a layer the end of its name that tells it apart, `conv1.0`, and its kind."""
    name = str(row["name"])
    if row["kind"] != "layer":
        return name
    end = re.search(r"[^.]*(\.\d+)*$", name)
    return f"{end[0] if end else name}: {row['operation']}"


def _namespace(module: str) -> str:
    return "/".join(part.replace("/", "|") for part in module.split("."))


def _given(row: Mapping[str, Any]) -> list[Json]:
    return _pairs({"channels": row["channels"], "channels needed": row["kept"]})


def _pairs(facts: Mapping[str, Any]) -> list[Json]:
    return [
        {"key": key, "value": f"{value:.6g}" if isinstance(value, float) else str(value)}
        for key, value in facts.items()
    ]


def _text(document: Json) -> str:
    return json.dumps(document, indent=1, allow_nan=False)
