"""A run for Model Explorer: from its tables alone, pruned or not, recorded or trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.engine.own_loop import own_loop
from winnow.engine.explain.usage import layer_usage, usage
from winnow.engine.jobs.export_job import explorer_graph, run_export
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.derived import DerivedJob, derived_job, read
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.train import parse


def exported(run: Run) -> tuple[DerivedJob, dict[str, Any]]:
    """Do the export in this process; return it, and its files as JSON."""
    work = derived_job(run, read({"kind": "export", "formats": ["model-explorer"]}))
    writer = ResultWriter(work)
    writer.finish(run_export(run, work.spec, writer, False))
    return work, {path.name: json.loads(path.read_text()) for path in (work.path / "files").iterdir()}


def explanation(run: Run, layer: str, channels: int) -> DerivedJob:
    """Write an explanation of one layer: the first task alone relies on its channels; the last is dead."""
    first, second = run.spec.tasks[:2]
    found = [(task, channel, float(task == first) * (channel < channels - 1)) for channel in range(channels)
             for task in (first, second)]  # fmt: skip
    frame = pd.DataFrame(found, columns=["task", "channel", "relevance"]).assign(layer=layer)
    used = usage(frame.assign(low=frame["relevance"], high=frame["relevance"]))
    work = derived_job(run, read({"kind": "explain"}))
    writer = ResultWriter(work)
    writer.table("usage", used)
    writer.table("layers", layer_usage(used))
    writer.finish("done")
    return work


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return own_loop(tmp_path_factory.mktemp("mine"))[0]


def test_run_export(mine: Run) -> None:
    work, found = exported(mine)
    assert work.status.state == "done"
    assert work.status.message.startswith("No leading tasks and shares: the run has no explanation.")
    assert sorted(work.table("files")["file"]) == sorted(found)
    assert not {"model_explorer_leading_task.json", "model_explorer_share_1.json"} & set(found)
    nodes = {own["id"]: own for own in found["model_explorer.json"]["graphs"][0]["nodes"]}
    network, streams = mine.table("network"), mine.table("streams")
    assert set(network.loc[network["kind"] == "layer", "name"]) <= set(nodes)
    assert sum(len(own["incomingEdges"]) for own in nodes.values()) == len(streams)
    groups = mine.table("groups")
    spaces = network.set_index("name")["space"]
    means = found["model_explorer_norm_mean.json"]["results"]
    assert means
    for name, said in means.items():
        layer = name if name in set(groups["layer"]) else spaces[name]
        assert said["value"] == pytest.approx(float(groups.loc[groups["layer"] == layer, "norm"].mean()))
    for document in (own for name, own in found.items() if name != "model_explorer.json"):
        assert set(document["results"]) <= set(nodes)


def test_the_newest_explanation_says_who_leads(mine: Run) -> None:
    layer = str(mine.table("network").query("kind == 'layer'")["name"].iloc[1])
    work = explanation(mine, layer, 4)
    graph, missing = explorer_graph(mine)
    first, second = mine.spec.tasks[:2]
    assert missing == []
    assert graph.leads is not None
    assert graph.leads.counts == {layer: {first: 3, second: 0}}
    found = exported(mine)[1]
    assert found["model_explorer_leading_task.json"]["results"][layer]["value"] == first
    assert [found[f"model_explorer_share_{n}.json"]["results"][layer]["value"] for n in (1, 2)] == [100.0, 0.0]
    assert work.id in json.dumps(found["model_explorer.json"]["graphs"][0]["groupNodeAttributes"])


def test_a_run_without_tables_and_an_export_without_a_pruning_are_refused(tmp_path: Path) -> None:
    run = create(parse({"data": {"dataset": "digits"}, "name": "new"}), tmp_path)
    with pytest.raises(ValueError, match="`run` must have the tables of its network, got none"):
        exported(run)
    with pytest.raises(SpecError, match="`pruning` must be the id of a pruning for onnx, got none"):
        read({"kind": "export", "formats": ["model-explorer", "onnx"]})
    with pytest.raises(SpecError, match=r"formats\.0"):
        read({"kind": "export", "formats": ["netron"]})


def test_a_table_that_is_not_as_it_should_be_is_named(tmp_path: Path) -> None:
    run = create(parse({"data": {"dataset": "digits"}, "name": "odd"}), tmp_path)
    (run.path / "tables").mkdir()
    for name in ("network", "streams", "groups"):
        pd.DataFrame({"x": np.zeros(1)}).to_parquet(run.path / "tables" / f"{name}.parquet")
    with pytest.raises(ValueError, match="`nodes` must have the columns"):
        exported(run)
