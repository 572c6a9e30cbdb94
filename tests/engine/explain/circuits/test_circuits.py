"""Circuits of networks whose edges are planted; what cutting does; what is refused."""

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from tests.engine.explain.circuits.planted_edges import TASKS, PlantedEdges, planted_edges, recovered
from winnow.engine.explain.circuits.circuits import (
    CircuitTables,
    circuit_layers,
    jaccard,
    probe_circuits,
    task_circuits,
    with_layers,
)
from winnow.engine.explain.circuits.edges import cuttable, edge_scores
from winnow.engine.explain.circuits.losses import TaskEdges
from winnow.engine.explain.circuits.selecting import Learning
from winnow.engine.explain.circuits.tables import FIGURES, OVERLAPS, circuit_verdict
from winnow.engine.explain.relevance.means import channel_means
from winnow.engine.explain.relevance.probe import Probe, probe
from winnow.engine.graph.trace import trace

QUICK = Learning(steps=60)


@pytest.fixture(scope="module")
def planted() -> PlantedEdges:
    return planted_edges()


@pytest.fixture(scope="module")
def found(planted: PlantedEdges) -> CircuitTables:
    probed = probe(planted.net, planted.batches)
    layers = circuit_layers(probed, trace(planted.net, planted.batches[0][0][:1]))
    probed = with_layers(probed, layers)
    return probe_circuits(probed, channel_means(probed), QUICK)


def test_planted_edges_are_found_and_no_others(planted: PlantedEdges, found: CircuitTables):
    for task in TASKS:
        precision, recall = recovered(found.circuits, "kept_95", planted.truth[task], task)
        assert precision >= 0.95
        assert recall >= 0.95
    assert set(found.circuits.loc[found.circuits["task"] == "one", "layer"]) == {"trunk.0", "trunk.2", "heads.one"}
    assert circuit_verdict(found.figures)[0] == "green"


def test_the_tables_have_the_columns_that_are_told(found: CircuitTables):
    assert tuple(found.figures) == FIGURES
    assert tuple(found.overlaps) == OVERLAPS
    assert (found.figures["faithfulness"] >= found.figures["level"]).all()
    assert (found.figures["random"] < 0.2).all()
    assert (found.figures["completeness"] > 0.8).all()
    whole = found.overlaps[found.overlaps["layer"] == ""].iloc[0]
    assert whole["low"] <= whole["jaccard"] <= whole["high"]
    assert whole["jaccard"] == pytest.approx(2 / 14)  # one chain of four each is shared, outside the heads
    shared = found.circuits.groupby("layer")["shared"].mean()
    assert shared["trunk.0"] == 1
    assert shared["heads.one"] == 0


def convolutions() -> tuple[nn.Module, list[tuple[Tensor, dict[str, Tensor]]]]:
    """Grouped, strided and padded convolutions with a batch norm, and a linear layer at the end."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2, groups=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2),
    ).train()  # fmt: skip
    images = torch.randn(16, 3, 9, 9)
    model(images)
    return model.eval(), [(images, {"output": torch.randn(16, 2)})]


def test_an_edge_that_is_cut_passes_the_mean_of_its_channel():
    model, batches = convolutions()
    probed, images = probe(model, batches), batches[0][0]
    means = channel_means(probed)
    with torch.no_grad():
        whole = model(images)
    with cuttable(probed, probed.sites, means) as network, torch.no_grad():
        for reader in network.readers:
            reader.factor = torch.ones_like(reader.factor)
        torch.testing.assert_close(model(images), whole, rtol=1e-4, atol=1e-5)
        first = network.readers[0]
        first.factor[:, 1] = 0  # all edges of a channel
        cut = model(images)
    changed = images.clone()
    changed[:, 1] = means["0"][1]
    with torch.no_grad():
        torch.testing.assert_close(cut, model(changed), rtol=1e-4, atol=1e-5)


def test_the_sources_of_a_grouped_convolution_are_its_own_part():
    model, batches = convolutions()
    probed = probe(model, batches)
    with cuttable(probed, probed.sites, channel_means(probed)) as network:
        grouped = network.readers[1]
        assert grouped.sources().tolist() == [[0, 1]] * 3 + [[2, 3]] * 3


def test_scores_are_the_gradient_of_the_loss_by_an_edge():
    model, batches = convolutions()
    probed = probe(model, batches)
    with cuttable(probed, probed.sites, channel_means(probed)) as network:
        task = next(iter(probed.objectives))
        edges = TaskEdges(network, task, network.edges_of(task))
        half = network.joined(network.every(0.5))
        score = network.joined(edge_scores(network, network.split(half), (task,))[task])
        place, step = 17, 1e-2
        moved = []
        for sign in (1, -1):
            at = half.clone()
            at[place] += sign * step
            moved.append(float(edges.losses(list(probed.batches()), at).mean()))
        assert float(score[place]) == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=0.05, abs=1e-5)


def few(probed: Probe) -> CircuitTables:
    return probe_circuits(probed, channel_means(probed), Learning(steps=2))


def test_what_cannot_be_told_is_refused_by_name(planted: PlantedEdges):
    inputs, targets = planted.batches[0]
    with pytest.raises(ValueError, match="`images` must be at least 8"):
        task_circuits(planted.net, [(inputs[:7], {name: own[:7] for name, own in targets.items()})])
    untrained = {name: torch.rand_like(own) * 1e-3 - own for name, own in targets.items()}
    with pytest.raises(ValueError, match="that has learned something, got one"):
        few(probe(planted.net, [(inputs, untrained)]))


def test_the_model_is_given_back_as_it_was(planted: PlantedEdges):
    before = {name: own.clone() for name, own in planted.net.state_dict().items()}
    few(probe(planted.net, planted.batches))
    assert all("forward" not in vars(module) for module in planted.net.modules())
    assert all(torch.equal(own, before[name]) for name, own in planted.net.state_dict().items())
    assert all(parameter.requires_grad for parameter in planted.net.parameters())


def test_jaccard():
    one, other = torch.tensor([1, 1, 0, 0]).bool(), torch.tensor([0, 1, 1, 0]).bool()
    assert jaccard(one, other) == pytest.approx(1 / 3)
    assert pd.isna(jaccard(one & False, other & False))
