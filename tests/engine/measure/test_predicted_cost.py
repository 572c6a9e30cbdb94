"""What a removal saves of time and memory, predicted: planted times, so that no clock is asked."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.engine.small_nets import small_net
from winnow.engine.graph.calls import Call
from winnow.engine.graph.trace import trace
from winnow.engine.measure import layer_timing
from winnow.engine.measure.layer_times import LayerTimes, WidthTimes
from winnow.engine.measure.layer_timing import grid_widths, measured_times, timed_layer, times_of
from winnow.engine.measure.predicted_cost import PredictedTime, predicted_latency, predicted_memory
from winnow.engine.pruning import compact
from winnow.engine.pruning.activations import activation_bytes
from winnow.engine.pruning.blocks import Blocks
from winnow.engine.pruning.foreseen import Foreseen
from winnow.engine.sparsity.counts import Counts, living
from winnow.engine.sparsity.groups import Bank, banks, coupled_groups, input_groups
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.sparsity.strength import Targeted

PER_WEIGHT, PER_LAYER, BETWEEN = 1e-6, 1e-5, 1e-4  # s


def planted(module: nn.Module, inputs: Mapping[str, Any]) -> float:
    """Return a time that a layer's weights alone decide, and for a whole network that of its layers and more."""
    layers = [own for own in module.modules() if isinstance(own, nn.Linear | nn.Conv2d)]
    whole = BETWEEN * (len(list(module.children())) > 0)
    return whole + sum(PER_LAYER + PER_WEIGHT * own.weight[:, :, ...].numel() for own in layers)


def plain_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 10, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(10, 3),
    ).eval()


def drawn(own: list[Bank], seed: int, share: float) -> list[Tensor]:
    chance = torch.Generator().manual_seed(seed)
    found = [torch.rand(bank.channels, generator=chance) >= share for bank in own]
    for mask in found:
        mask[0] = True
    return found


@settings(max_examples=4)
@given(seed=st.integers(0, 100), share=st.floats(0, 0.9), coupled=st.booleans())
def test_the_predicted_time_is_that_of_the_layers_that_compact_leaves(seed: int, share: float, coupled: bool):
    net, x = plain_net(), torch.randn(1, 2, 6, 6)
    graph = trace(net, x)
    own = banks(coupled_groups(net, x, graph=graph) if coupled else input_groups(net, graph=graph))
    times = measured_times(graph, {"input": x}, 1, planted)
    alive = drawn(own, seed, share)
    predicted = PredictedTime(graph, times).seconds(Foreseen(graph, own, "never").plan(alive))
    for bank, mask in zip(own, alive, strict=True):
        bank.scale_(mask.float())
    small = compact(net, x, gather="never").model
    kept = sum(module.weight.numel() for module in small.modules() if isinstance(module, nn.Linear | nn.Conv2d))
    layers = 3 * PER_LAYER + PER_WEIGHT * kept
    assert 0 <= predicted - layers <= BETWEEN * 1.01  # what is between the layers is no more than that of the dense one


def test_the_dense_network_is_predicted_to_take_what_it_takes():
    net, x = plain_net(), torch.randn(1, 2, 6, 6)
    graph = trace(net, x)
    own = banks(input_groups(net, graph=graph))
    times = measured_times(graph, {"input": x}, 1, planted)
    whole = Foreseen(graph, own).plan([torch.ones(bank.channels, dtype=torch.bool) for bank in own])
    assert PredictedTime(graph, times).seconds(whole) == pytest.approx(times.whole, rel=1e-6)


def test_a_reader_that_gathers_takes_the_time_of_what_it_picks_and_of_the_gather():
    net, x = small_net(), torch.randn(1, 2, 6, 6)
    graph = trace(net, x)
    own = banks(input_groups(net, graph=graph))
    times = measured_times(graph, {"images": x}, 1, planted)
    alive = [torch.ones(bank.channels, dtype=torch.bool) for bank in own]
    reader = next(place for place, bank in enumerate(own) if bank.layer == "trunk.1.inner.0")
    alive[reader][1:] = False  # the stream has other readers
    cost = PredictedTime(graph, times)
    dear, cheap = (cost.seconds(Foreseen(graph, own, gather).plan(alive)) for gather in ("never", "always"))
    saved = 3 * 4 * 9 * PER_WEIGHT
    assert 0 < dear - cheap < saved
    assert dear - cheap == pytest.approx(saved, abs=times.per_call + 2 * 4 * 36 * 4 * times.per_byte)


def test_times_between_widths_are_linear_block_by_block():
    times = WidthTimes((8, 16), (8, 32), ((1.0, 2.0), (3.0, 6.0)))
    assert times.at(9, 8, 8) == times.at(16, 8, 8) == 3.0
    assert times.at(12, 20, 4) == pytest.approx(3.0)
    assert times.at(1, 1, 8) == 1.0
    assert grid_widths(3, 8) == (3,)
    assert grid_widths(100, 16) == (16, 32, 64, 80, 100)
    with pytest.raises(ValueError, match="`seconds` must hold a time above 0"):
        WidthTimes((8, 4), (8,), ((1.0,), (2.0,)))


def test_a_disturbed_timing_never_makes_a_smaller_layer_slower():
    net, x = plain_net(), torch.randn(1, 2, 6, 6)
    graph = trace(net, x)
    layer = timed_layer(graph, graph.products[1])
    assert layer is not None
    chance = torch.Generator().manual_seed(0)
    found = times_of(layer, 1, 1, lambda module, given: float(torch.rand(1, generator=chance)) + 0.1)
    grid = torch.tensor(found.seconds)
    assert (grid.diff(dim=0) >= 0).all()
    assert (grid.diff(dim=1) >= 0).all()


def test_times_survive_their_document_and_damaged_ones_are_refused():
    net, x = plain_net(), torch.randn(1, 2, 6, 6)
    graph = trace(net, x)
    times = measured_times(graph, {"input": x}, 1, planted)
    document = json.loads(json.dumps(times.document()))
    assert LayerTimes.from_document(document) == times
    for damage in ({"step": 0}, {"whole": -1}, {"format_version": 9}, {"layers": {"a": {"reads": [1]}}}):
        with pytest.raises(ValueError, match="`document` must hold times of layers"):
            LayerTimes.from_document({**document, **damage})
    other = trace(net, torch.randn(1, 2, 9, 9))
    with pytest.raises(ValueError, match="another network or another size of the images"):
        PredictedTime(other, times)


@pytest.mark.parametrize("share", [0.3, 0.8])
@pytest.mark.parametrize("make", [plain_net, small_net])
def test_the_predicted_peak_of_memory_is_that_of_the_compact_network(make: Any, share: float):
    net, x = make(), torch.randn(1, 2, 8, 8)
    graph = trace(net, x)
    own = banks(coupled_groups(net, x, graph=graph))
    dense, shares, alive = copy.deepcopy(net), predicted_memory(graph, own), drawn(own, 3, share)
    predicted = shares(alive)
    for bank, mask in zip(own, alive, strict=True):
        bank.scale_(mask.float())
    before, after = (activation_bytes(one, Call((x,))) for one in (dense, compact(net, x, gather="never").model))
    assert predicted == pytest.approx(100 * (1 - after / before), abs=0.5)
    assert predicted > 0


class Uneven(nn.Module):
    """Takes another way on shapes alone: it needs values."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + float(torch.ones(1, device=x.device).sum().item())


def test_a_network_that_needs_values_is_refused_by_name():
    net, x = Uneven(), torch.randn(1, 4)
    graph = trace(net, x)
    with pytest.raises(ValueError, match="`memory` must be predicted from shapes alone"):
        predicted_memory(graph, banks(input_groups(net, graph=graph)))


def test_a_target_of_latency_is_met_and_without_times_it_is_refused():
    net, x = plain_net(), torch.randn(1, 2, 6, 6)
    graph = trace(net, x)
    proximal = Proximal(torch.optim.AdamW(net.parameters(), lr=1e-2), input_groups(net, graph=graph), GroupLasso(1e-3))
    counts = Counts(net, proximal.banks, {})
    with pytest.raises(ValueError, match="nothing predicts a share of latency"):
        counts.percent("latency", living(proximal.norms))
    counts.predicted["latency"] = predicted_latency(
        graph, proximal.banks, measured_times(graph, {"input": x}, 1, planted)
    )
    control = Targeted(proximal, 1e-3, counts, "latency", 40.0, warm_up=2, refit_from=60, every=4)
    generator = torch.Generator().manual_seed(1)
    net.train()
    strengths = []
    for step in range(64):
        control.before(step)
        strengths.append(proximal.strength)
        images = torch.randn(16, 2, 6, 6, generator=generator)
        proximal.zero_grad()
        (net(images) - images.mean((2, 3)).repeat(1, 2)[:, :3]).square().mean().backward()
        proximal.step()
    assert counts.percent("latency", living(proximal.norms)) == pytest.approx(40, abs=6)  # channels are few
    assert len(set(strengths[2:6])) == 1
    assert len(set(strengths[2:60])) > 5
    assert control.missing() < 7


def test_a_machine_measures_a_shape_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(layer_timing, "measured_cost", lambda *_: layer_timing.PLANTED)
    monkeypatch.setattr(layer_timing, "measured_blocks", lambda *_: Blocks((), 4))
    heard: list[nn.Module] = []
    monkeypatch.setattr(layer_timing, "least_seconds", lambda module, *_: heard.append(module) or 1.0 + len(heard))
    net, x = plain_net(), torch.randn(1, 2, 6, 6)
    first = measured_times(trace(net, x), {"input": x}, 1)
    count = len(heard)
    assert measured_times(trace(net, x), {"input": x}, 1) == first
    assert len(heard) == count
    measured_times(trace(net, x), {"input": x}, 2)
    assert len(heard) == 2 * count
    (tmp_path / "winnow" / "latency.json").write_text("{")
    measured_times(trace(net, x), {"input": x}, 1)
    assert len(heard) == 3 * count
