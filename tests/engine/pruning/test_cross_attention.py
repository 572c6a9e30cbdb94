"""Heads of attention between streams, and heads that share keys and values: what is zero goes, exactly."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.engine.graph.cross_attention_nets import DIM, GROUPS, HEADS, NETS, WIDTH
from winnow.engine.export import load_model, save_model
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import compact
from winnow.engine.pruning.chance import same_chance
from winnow.engine.sparsity.groups import Bank, banks, coupled_groups, input_groups, output_groups

X = torch.randn(2, 10, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def made(name: str) -> nn.Module:
    torch.manual_seed(1)
    net = NETS[name]().double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.4)
    return net.eval()


def outputs(net: nn.Module, x: Tensor, training: bool) -> Tensor:
    twin = copy.deepcopy(net).train(training)
    with torch.no_grad(), same_chance(twin, len(x), seed=3):
        return twin(x)


def holds(net: nn.Module, small: nn.Module) -> None:
    for count, length in ((1, 10), (3, 5), (2, 17)):
        x = torch.randn(count, length, 8, dtype=torch.float64)
        for training in (False, True):
            assert float((outputs(net, x, training) - outputs(small, x, training)).abs().max()) <= 1e-10


def heads(net: nn.Module) -> Bank:
    """The coupled groups of the attention's inside."""
    makers = ("attn", "matmul", "wq", "scaled_dot_product_attention")
    found = [bank for bank in banks(coupled_groups(net, X)) if any(bank.layer.startswith(name) for name in makers)]
    return next(bank for bank in found if bank.size > WIDTH * DIM)


@pytest.mark.parametrize("name", [name for name in NETS if name != "decoder"])
def test_a_zero_head_goes_with_all_that_shares_it(name: str):
    net = made(name)
    bank = heads(net)
    count = GROUPS.get(name, GROUPS.get(name.partition(",")[0], HEADS))
    assert bank.channels == count
    bank.scale_((torch.arange(count) >= count // 2).double())
    small = compact(net, X, gather="never")
    assert not small.certificate.kept_for
    assert small.certificate.max_error_float64 <= 1e-10
    gone = HEADS // count * (count // 2)
    out = small.model.attn.out_proj if hasattr(net, "attn") else getattr(small.model, "wo", None) or small.model.proj
    assert out.weight.shape[1] == (HEADS - gone) * DIM
    holds(net, small.model)


def test_both_attentions_of_a_decoder_lose_heads():
    net = made("decoder")
    for bank in banks(coupled_groups(net, X)):
        if "attn" in bank.layer:
            bank.scale_((torch.arange(bank.channels) >= 2).double())
    small = compact(net, X, gather="never").model
    assert (small.layer.self_attn.num_heads, small.layer.multihead_attn.num_heads) == (2, 2)
    holds(net, small)


@pytest.mark.parametrize("name", ["multi-query, broadcast"])
def test_what_lost_heads_is_saved_and_loaded(name: str, tmp_path):
    net = made(name)
    bank = heads(net)
    bank.scale_((torch.arange(bank.channels) >= 2).double())
    small = compact(net, X, gather="never").model
    save_model(tmp_path / "small", small, X)
    holds(net, load_model(tmp_path / "small"))


def test_an_output_group_of_a_cross_attention_is_a_head():
    net = made("cross")
    (bank,) = [bank for bank in banks(output_groups(net, graph=trace(net, X))) if bank.layer == "attn"]
    assert (bank.channels, bank.size) == (HEADS, 3 * DIM * (WIDTH + 1))
    bank.scale_((torch.arange(HEADS) >= 1).double())
    assert compact(net, X).model.attn.num_heads == HEADS - 1


def exact(described: tuple) -> None:
    name, kind, share, seed = described
    net, generator = made(name), torch.Generator().manual_seed(seed)
    graph = trace(net, X)
    groups = {"coupled": lambda: coupled_groups(net, X, graph=graph), "input": lambda: input_groups(net, graph=graph)}
    for bank in banks(groups.get(kind, lambda: output_groups(net, graph=graph))()):
        bank.scale_((torch.rand(bank.channels, generator=generator) > share).double())
    holds(net, compact(net, X).model)


CROSSED = st.tuples(
    st.sampled_from(sorted(NETS)),
    st.sampled_from(("input", "output", "coupled")),
    st.sampled_from((0.2, 0.5, 0.8)),
    st.integers(0, 99),
)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(CROSSED)
def test_generated_zeros_are_removed_exactly(described):
    exact(described)


@pytest.mark.study
@settings(max_examples=300, deadline=None)
@given(CROSSED)
def test_many_generated_zeros_are_removed_exactly(described):
    exact(described)
