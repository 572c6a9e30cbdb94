"""The files for Model Explorer: its own format, ids that agree, and the numbers of the tables."""

import dataclasses
import json
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.engine.export import ExplorerGraph, Leads, explorer_files
from winnow.engine.export.model_explorer import NODES, node_ids

STRING, NUMBER, BOOL = (str,), (int, float), (bool,)
PAIR = {"key": STRING, "value": STRING}
METADATA = {"id": STRING, "attrs": [PAIR]}
EDGE = {"sourceNodeId": STRING, "sourceNodeOutputId": STRING, "targetNodeInputId": STRING}
GRAPH = MappingProxyType(  # GraphCollection of graph_builder.py, ai-edge-model-explorer 0.1.34
    {
        "label": STRING,
        "graphs": [
            {
                "id": STRING,
                "nodes": [
                    {
                        "id": STRING,
                        "label": STRING,
                        "namespace": STRING,
                        "attrs": [PAIR],
                        "incomingEdges": [EDGE],
                        "inputsMetadata": [METADATA],
                        "outputsMetadata": [METADATA],
                    }
                ],
                "groupNodeAttributes": dict,
            }
        ],
    }
)
OVERLAY = MappingProxyType(  # GraphNodeData of node_data_builder.py; its web application takes texts as values too
    {
        "name": STRING,
        "thresholds": [{"value": NUMBER, "bgColor": STRING}],
        "gradient": [{"stop": NUMBER, "bgColor": STRING}],
        "showExpandedSummaryOnGroupNode": BOOL,
        "results": dict,
    }
)


def fits(value: Any, schema: Any) -> bool:
    """Return whether a JSON value has no other keys and types than a schema."""
    if isinstance(schema, list):
        return isinstance(value, list) and all(fits(own, schema[0]) for own in value)
    if isinstance(schema, dict | MappingProxyType):
        return isinstance(value, dict) and all(
            name in schema and fits(own, schema[name]) for name, own in value.items()
        )
    return isinstance(value, schema)


def node(number: int, kind: str, name: str, space: str = "", **more: Any) -> dict[str, Any]:
    usual = dict.fromkeys(NODES, 0) | {"operation": "Conv2d" if kind == "layer" else name, "component": "trunk"}
    usual |= {"outputs": "seg", "channels": 4, "kept": 4, "macs": 1.5, "removable_macs": 0.0}
    return usual | {"node": number, "kind": kind, "name": name, "space": space} | more


def small(**more: Any) -> ExplorerGraph:
    """A stem, a block that runs twice, its sum, and an output whose name a layer has too."""
    nodes = pd.DataFrame(
        [
            node(0, "input", "images", channels=3),
            node(1, "layer", "trunk.stem.0", "trunk.add"),
            node(2, "layer", "trunk.block.conv", "inner", kept=1),
            node(3, "layer", "trunk.block.conv", "inner", kept=1),
            node(4, "join", "add"),
            node(5, "layer", "seg"),
            node(6, "output", "seg", channels=0, kept=0),
        ]
    )
    ends = [(0, 1), (1, 2), (2, 3), (1, 4), (3, 4), (4, 5), (5, 6)]
    edges = pd.DataFrame([(*end, 4, 3) for end in ends], columns=["source", "target", "channels", "kept"])
    norms = {"trunk.add": [1.0, 3.0], "trunk.block.conv": [0.0, 0.0, 0.5, 1.5]}
    groups = [(layer, norm, "alive" if norm else "dead") for layer, own in norms.items() for norm in own]
    return dataclasses.replace(
        ExplorerGraph("a run", nodes, edges, pd.DataFrame(groups, columns=["layer", "norm", "state"])), **more
    )


def read(given: ExplorerGraph) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in explorer_files(given).files.items()}


def results(document: dict[str, Any]) -> dict[str, Any]:
    return {name: own["value"] for name, own in document["results"].items()}


def test_explorer_files() -> None:
    found = read(small())
    graph = found.pop("model_explorer.json")
    assert fits(graph, GRAPH)
    assert all(fits(own, OVERLAY) for own in found.values())
    nodes = {own["id"]: own for own in graph["graphs"][0]["nodes"]}
    assert list(nodes) == ["images", "trunk.stem.0", "trunk.block.conv", "trunk.block.conv #2", "add", "seg", "seg #2"]
    assert {own["sourceNodeId"] for own in nodes["add"]["incomingEdges"]} == {"trunk.stem.0", "trunk.block.conv #2"}
    assert [own["namespace"] for own in nodes.values()] == [
        "", "trunk/stem", "trunk/block", "trunk/block", "trunk/block", "", "",
    ]  # fmt: skip
    assert [own["label"] for own in nodes.values()][1:3] == ["stem.0: Conv2d", "conv: Conv2d"]
    for own in found.values():
        assert set(own["results"]) <= set(nodes)
    assert set(found) == {f"model_explorer_{name}.json" for name in ("norm_mean", "norm_largest", "alive", "needed")}
    twice = ("trunk.block.conv", "trunk.block.conv #2")
    assert results(found["model_explorer_norm_mean.json"]) == {"trunk.stem.0": 2.0, **dict.fromkeys(twice, 0.5)}
    assert results(found["model_explorer_alive.json"]) == {"trunk.stem.0": 100.0, **dict.fromkeys(twice, 50.0)}
    needed = results(found["model_explorer_needed.json"])
    assert (needed["trunk.block.conv"], needed["seg"]) == (25.0, 100.0)
    assert "seg #2" not in needed  # an output without channels


def test_the_leading_task_is_that_of_most_channels_and_none_where_two_have_as_many() -> None:
    counts = {"trunk.stem.0": {"seg": 2, "depth": 1}, "trunk.block.conv": {"seg": 1, "depth": 1}, "seg": {"seg": 0}}
    shares = {"seg": {"trunk.stem.0": 60.0, "trunk": 50.0}, "depth": {"trunk.stem.0": 40.0}}
    made = explorer_files(
        small(leads=Leads({**counts, "trunk": {}}, {"trunk.stem.0": 3, "trunk.block.conv": 2}, shares))
    )
    found = {name: json.loads(text) for name, text in made.files.items()}
    assert all(fits(own, OVERLAY) for name, own in found.items() if name != "model_explorer.json")
    assert results(found["model_explorer_leading_task.json"]) == {
        "trunk.stem.0": "seg",
        "trunk.block.conv": "no sure lead",
        "trunk.block.conv #2": "no sure lead",
        "seg": "unused",
    }
    assert results(found["model_explorer_share_2.json"]) == {"trunk.stem.0": 40.0}
    assert made.missing == ("The explanation is also about trunk, which is no layer of the graph.",)


def test_norms_that_are_not_finite_are_left_out_by_name_and_json_stays_json() -> None:
    graph = small()
    graph.groups.loc[1, "norm"] = np.nan
    made = explorer_files(graph)
    found = {name: json.loads(text, parse_constant=pytest.fail) for name, text in made.files.items()}
    assert set(results(found["model_explorer_norm_mean.json"])) == {"trunk.block.conv", "trunk.block.conv #2"}
    assert "model_explorer_alive.json" in found
    assert made.missing == ("The groups of these layers have norms that are not finite, and no overlay: trunk.add.",)
    assert made.missing[0] in found["model_explorer.json"]["graphs"][0]["groupNodeAttributes"][""].values()


def test_groups_that_no_node_has_are_named_and_a_missing_column_is_refused() -> None:
    graph = small()
    more = pd.DataFrame([("elsewhere", 1.0, "alive")], columns=["layer", "norm", "state"])
    made = explorer_files(dataclasses.replace(graph, groups=pd.concat([graph.groups, more])))
    assert made.missing == ("No node of the graph has the groups of elsewhere.",)
    with pytest.raises(ValueError, match=r"`edges` must have the columns .*, got none of kept"):
        explorer_files(dataclasses.replace(graph, edges=graph.edges.drop(columns="kept")))


@given(st.lists(st.sampled_from(["a", "a #2", "b", "a #2 #2", ""])))
def test_node_ids(names: list[str]) -> None:
    found = node_ids(names)
    assert len(set(found)) == len(names) == len(found)
    assert all(own.startswith(name) for own, name in zip(found, names, strict=True))
