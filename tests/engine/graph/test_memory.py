"""Parameters over one memory: refused by name where a trace, a bank or a file would count them twice or part them."""

from pathlib import Path

import pytest
import torch
from torch import nn

from winnow.engine.export import save_model
from winnow.engine.graph.memory import sharing
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import compact
from winnow.engine.sparsity.groups import banks, input_groups

X = torch.randn(2, 4)


def two_over_one() -> nn.Sequential:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    net[2].weight = nn.Parameter(net[0].weight.data)
    return net


def test_two_parameters_in_one_memory_are_refused_by_name(tmp_path: Path):
    net = two_over_one()
    words = r"`model` must hold each weight once, got `0.weight` and `2.weight` in the same memory. Make them one"
    for work in (trace, compact, lambda model, x: save_model(tmp_path / "net", model, x)):
        with pytest.raises(ValueError, match=words):
            work(net, X)
    with pytest.raises(
        ValueError, match=r"`groups` must hold parameters of a memory of their own, got those of 0 and 2"
    ):
        banks(input_groups(net))
    net[2].weight = net[0].weight
    assert trace(net, X).count
    assert banks(input_groups(net))


def test_a_buffer_over_a_parameter_and_an_expanded_parameter_are_refused():
    net = nn.Sequential(nn.Linear(4, 4))
    net.register_buffer("shadow", net[0].weight.data[1:])
    with pytest.raises(ValueError, match="got `0.weight` and `shadow`"):
        trace(net, X)
    net = nn.Sequential(nn.Linear(4, 4))
    net[0].weight = nn.Parameter(torch.randn(1, 4).expand(4, 4))
    with pytest.raises(ValueError, match="got `0.weight`, an expanded view"):
        trace(net, X)


def test_sharing():
    flat = torch.randn(24)
    one, other = nn.Parameter(flat[0:12:2]), nn.Parameter(flat[1:12:2])
    assert (
        sharing([one, other, nn.Parameter(flat[12:].view(3, 4)), torch.empty(0), torch.empty(2, device="meta")]) is None
    )
    later = nn.Parameter(flat[8:16])
    found = sharing([later, one])
    assert found is not None
    assert {id(part) for part in found} == {id(one), id(later)}
    assert sharing([flat, flat[2:]]) is None  # two buffers: neither is trained, or cut for itself
