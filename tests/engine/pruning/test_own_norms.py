"""Streams under norms of the user's own: a channel that nobody needs goes, exactly; what is no such norm is pinned."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.engine.graph.norm_nets import FIRST, INPUT, LAST, WIDTH, Deviation, Maps, Tokens
from winnow.engine.export import load_model, save_model
from winnow.engine.graph.own_norms import as_norms, own_norms
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import Compacted, compact
from winnow.engine.sparsity.groups import banks, coupled_groups, input_groups, output_groups

NORMS = {**LAST, **FIRST}


def made(name: str, seed: int = 1) -> tuple[nn.Module, Tensor]:
    """A net in float32, for some norms name that type; its certificate is in float64."""
    torch.manual_seed(seed)
    net = Tokens(LAST[name]) if name in LAST else Maps(FIRST[name])
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    return net.eval(), torch.randn(*((2, 6, INPUT) if name in LAST else (2, INPUT, 6, 7)))


def silence(net: nn.Module, x: Tensor, kind: str, share: float, seed: int = 0) -> None:
    graph, generator = trace(net, x), torch.Generator().manual_seed(seed)
    groups = {"coupled": lambda: coupled_groups(net, x, graph=graph), "input": lambda: input_groups(net, graph=graph)}
    for bank in banks(groups.get(kind, lambda: output_groups(net, graph=graph))()):
        dead = torch.rand(bank.channels, generator=generator) < share
        dead[0] = False
        bank.scale_((~dead).float())


def holds(net: nn.Module, found: Compacted) -> None:
    assert found.certificate.relative_error_float64 <= 1e-10
    assert "training mode" not in found.certificate.open
    shapes = ((1, 3, INPUT), (3, 9, INPUT)) if isinstance(net, Tokens) else ((1, INPUT, 5, 5), (3, INPUT, 9, 4))
    for shape in shapes:
        x = torch.randn(shape)
        with torch.no_grad():
            expected, got = net(x), found.model.eval()(x)
        assert float((expected - got).abs().max()) <= 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize("name", NORMS)
def test_channels_of_a_stream_go_through_own_norms(name: str):
    net, x = made(name)
    silence(net, x, "coupled", 0.5)
    found = compact(net, x, gather="never")
    assert not found.certificate.kept_for
    left = found.model.head.weight.shape[1]
    assert left < WIDTH
    assert all(len(parameter) == left for parameter in found.model.last.parameters())
    holds(net, found)
    assert {name for name, _ in found.model.named_parameters()} == {name for name, _ in net.named_parameters()}
    again = compact(found.model, x, gather="never")
    assert again.certificate.removed.empty


def test_channels_go_a_second_time():
    net, x = made("channels")
    silence(net, x, "coupled", 0.3)
    small = compact(net, x, gather="never").model
    silence(small, x, "coupled", 0.3, seed=1)
    found = compact(small, x, gather="never")
    assert found.model.head.weight.shape[1] < small.head.weight.shape[1]
    holds(small, found)
    assert found.model.last.width == WIDTH


def test_own_norms():
    net, _ = made("by hand")
    found = own_norms(net)
    assert set(found) == {"first", "last"}
    assert (found["first"].kind, found["first"].scale, found["first"].shift) == ("layer", "gamma", "beta")
    assert found["first"].eps == pytest.approx(1e-3)


def test_a_norm_that_is_another_is_pinned_by_name():
    torch.manual_seed(0)
    net, x = Tokens(Deviation), torch.randn(2, 6, INPUT)
    assert own_norms(net) == {}
    pins = [pin for space in trace(net, x).spaces for pin in space.pins]
    assert any("first.mean: mean mixes the channels" in pin for pin in pins)


def test_modules_are_what_they_were_after_they_ran_as_norms():
    net, x = made("channels")
    expected = net(x)
    with as_norms(net):
        assert "forward" in vars(net.first)
        assert torch.equal(net(x), expected)
    assert "forward" not in vars(net.first)


@pytest.mark.parametrize("name", ["llama", "permuted"])
def test_what_lost_channels_is_saved_and_loaded(name: str, tmp_path):
    net, x = made(name)
    silence(net, x, "coupled", 0.5)
    small = compact(net, x, gather="never").model
    save_model(tmp_path / "small", small, x)
    assert float((load_model(tmp_path / "small").eval()(x) - net(x)).detach().abs().max()) <= 1e-4


def exact(described: tuple) -> None:
    name, kind, share, seed = described
    net, x = made(name, seed)
    silence(net, x, kind, share, seed)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    attributes = {name: sorted(vars(module)) for name, module in net.named_modules()}
    holds(net, compact(net, x))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert attributes == {name: sorted(vars(module)) for name, module in net.named_modules()}


NETS = st.tuples(
    st.sampled_from(sorted(NORMS)),
    st.sampled_from(("input", "output", "coupled")),
    st.sampled_from((0.2, 0.5, 0.8)),
    st.integers(0, 99),
)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(NETS)
def test_generated_streams_are_exact(described):
    exact(described)


@pytest.mark.study
@settings(max_examples=300, deadline=None)
@given(NETS)
def test_many_generated_streams_are_exact(described):
    exact(described)
