"""Streams under a norm: a channel that is zero and unread goes, and the norm goes on counting it."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.engine.graph.attention_nets import NETS, WIDTH, Classic, Packed, ViT
from tests.engine.pruning.test_heads import LENGTHS, holds, made, zero
from winnow.engine.export import load_model, save_model
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.spaces import Space
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import compact
from winnow.engine.pruning.kept import left_of
from winnow.engine.pruning.selecting import NARROW, NarrowGroupNorm, NarrowLayerNorm, NarrowRMSNorm
from winnow.engine.sparsity.groups import banks, coupled_groups
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Proximal

MASKED = ("torch, masks", "torch, padding")  # one channel of their stream is a mask
VITS = {"packed": lambda: ViT(24, 2, 4, 4, 16), "classic": lambda: ViT(24, 2, 4, 4, 16, Classic)}


def stream(graph: ChannelGraph) -> Space:
    return next(space for space in graph.spaces if space.norms and space.removable and len(space.channels) == WIDTH)


def silence(net: nn.Module, space: Space, count: int) -> None:
    for channel in range(count):
        for part in space.slices:
            zero(net, part, channel)


@pytest.mark.parametrize("name", [name for name in NETS if name not in MASKED])
def test_zero_channels_of_a_stream_go(name: str):
    net, x = made(name)
    graph = trace(net, x)
    silence(net, stream(graph), 10)
    found = compact(net, x, gather="never")
    assert not found.certificate.kept_for
    assert found.certificate.relative_error_float64 <= 1e-10
    assert found.model.embed.weight.shape == (WIDTH - 10, 8)
    assert found.model.out.weight.shape == (3, WIDTH - 10)
    holds(net, found, LENGTHS.get(name, ((1, 16), (3, 5)))[1:])


@pytest.mark.parametrize("form", VITS)
def test_streams_and_heads_of_a_vision_transformer_go_together(form: str):
    torch.manual_seed(0)
    net, x = VITS[form]().double(), torch.randn(2, 3, 16, 16, dtype=torch.float64)
    graph = trace(net, x)
    for space in (space for space in graph.spaces if space.removable):
        silence(net, space, len(space.channels) // 2)
    dead = sum(int((~graph.liveness().kept[space.channels]).sum()) for space in graph.spaces)
    assert dead == sum(len(space.channels) // 2 for space in graph.spaces if space.removable)
    small = compact(net, x, gather="never").model
    assert small.positions.shape == (1, 17, 12)
    assert small.blocks[1].attention.proj.weight.shape == (12, 12)
    assert type(small) is ViT


@pytest.mark.parametrize("groups", [1, 3])
def test_a_group_norm_counts_what_went_in_each_group(groups: int, tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3), nn.GroupNorm(groups, 12), nn.ReLU(), nn.Conv2d(12, 4, 3)).double()
    for parameter in net[1].parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    space = stream_of(net, x)
    for channel in (0, 2, 4, 5, 6, 7):  # of three groups one loses two, one all, one none
        for part in space.slices:
            zero(net, part, channel)
    found = compact(net, x, gather="never")
    small, other = found.model, torch.randn(3, 3, 12, 7, dtype=torch.float64)
    assert isinstance(small[1], NarrowGroupNorm)
    assert small[0].weight.shape[0] == 6
    assert torch.allclose(small(other), net(other), rtol=0, atol=1e-12)
    save_model(tmp_path / "small", small.eval(), x)
    assert torch.allclose(load_model(tmp_path / "small")(other), net(other), rtol=0, atol=1e-12)
    for part in space.slices:
        zero(net, part, 8)
    again = small  # a second removal from what is left
    with torch.no_grad():
        for tensor in (again[0].weight, again[0].bias, again[1].weight, again[1].bias):
            tensor[2] = 0
        again[3].weight[:, 2] = 0
    again = compact(again, x, gather="never").model
    assert again[0].weight.shape[0] == 5
    assert torch.allclose(again(other), net(other), rtol=0, atol=1e-12)


class OneNorm(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.embed, self.norm, self.out = nn.Linear(4, 8), norm, nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.embed(x)))


NORMS = {
    "layer": lambda: nn.LayerNorm(8, eps=1e-3),
    "layer, no bias": lambda: nn.LayerNorm(8, bias=False),
    "rms": lambda: nn.RMSNorm(8),
    "rms, eps": lambda: nn.RMSNorm(8, eps=1e-2),
}


def one_norm(kind: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    net = OneNorm(NORMS[kind]()).double()
    for parameter in net.norm.parameters():
        nn.init.normal_(parameter)
    return net, torch.randn(5, 4, dtype=torch.float64)


@pytest.mark.parametrize("kind", NORMS)
def test_norms_keep_the_old_width(kind: str, tmp_path):
    net, x = one_norm(kind)
    silence(net, stream_of(net, x), 5)
    small = compact(net, x, gather="never").model
    assert isinstance(small.norm, NARROW[type(net.norm)])
    assert (small.norm.width, small.norm.normalized_shape) == (8, (3,))
    assert torch.allclose(small(x), net(x), rtol=0, atol=1e-12)
    save_model(tmp_path / "small", small.eval(), x)
    assert torch.allclose(load_model(tmp_path / "small")(x), net(x), rtol=0, atol=1e-12)
    silence(small, stream_of(small, x), 1)
    again = compact(small, x, gather="never").model
    assert (again.norm.width, again.norm.normalized_shape) == (8, (2,))
    assert torch.allclose(again(x), small(x), rtol=0, atol=1e-12)


def stream_of(net: nn.Module, x: Tensor) -> Space:
    return next(space for space in trace(net, x).spaces if space.norms)


@pytest.mark.parametrize("kind", NORMS)
def test_a_channel_that_is_written_enters_the_sums_even_if_nobody_reads_it(kind: str):
    net, x = one_norm(kind)
    space = stream_of(net, x)
    for part in (*space.readers, *space.norms):
        zero(net, part, 2)
    graph = trace(net, x)
    assert graph.liveness().kept[space.channels].all()
    found = compact(net, x, gather="never")
    assert torch.equal(found.model.embed.weight, net.embed.weight)


def test_a_channel_that_is_read_stays_although_it_is_zero_before_the_norm():
    net, x = one_norm("layer")
    space = stream_of(net, x)
    for part in space.writers:
        zero(net, part, 2)
    assert trace(net, x).liveness().kept[space.channels].all()


def made_by_embed(net: nn.Module, x: Tensor) -> Space:
    return next(space for space in trace(net, x).spaces if space.name == "embed")


@pytest.mark.parametrize("kind", [nn.LayerNorm, nn.RMSNorm])
def test_channels_go_through_norms_without_parameters(kind: type[nn.Module]):
    net, x = OneNorm(kind(8, elementwise_affine=False)).double(), torch.randn(5, 4, dtype=torch.float64)
    silence(net, made_by_embed(net, x), 3)
    found = compact(net, x, gather="never")
    assert (found.model.norm.normalized_shape, found.model.norm.width) == ((5,), 8)
    assert found.certificate.max_error_float64 <= 1e-10
    other = torch.randn(3, 4, dtype=torch.float64)
    assert torch.allclose(found.model(other), net(other), rtol=0, atol=1e-10)
    silence(found.model, made_by_embed(found.model, x), 1)
    again = compact(found.model, x, gather="never").model
    assert (again.norm.normalized_shape, again.norm.width) == ((4,), 8)


def test_a_function_of_a_norm_in_a_larger_module_pins_its_stream():
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma, self.drop = nn.Parameter(torch.ones(8)), nn.Dropout(0.1)

        def forward(self, x: Tensor) -> Tensor:
            return self.drop(torch.nn.functional.layer_norm(x, (8,), self.gamma))

    graph = trace(OneNorm(Own()), torch.randn(5, 4))
    assert any("layer norm mixes" in pin for space in graph.spaces for pin in space.pins)


def test_a_narrow_norm_trains_as_the_whole_one():
    net, x = one_norm("layer")
    silence(net, stream_of(net, x), 5)
    small = compact(net, x, gather="never", training=True).model
    for model in (net, small):
        model(x).square().sum().backward()
    assert torch.allclose(small.norm.weight.grad, net.norm.weight.grad[5:], rtol=0, atol=1e-10)
    assert torch.allclose(small.embed.weight.grad, net.embed.weight.grad[5:], rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", [NarrowLayerNorm, NarrowRMSNorm])
def test_narrow_norms_keep_half_precision(kind: type[nn.Module]):
    norm = {NarrowLayerNorm: nn.LayerNorm, NarrowRMSNorm: nn.RMSNorm}[kind](6)
    narrow = copy.deepcopy(norm)
    narrow.__class__, narrow.width = kind, 6
    x = torch.randn(3, 6, dtype=torch.bfloat16)
    norm, narrow = norm.bfloat16(), narrow.bfloat16()
    assert narrow(x).dtype == torch.bfloat16
    assert torch.allclose(narrow(x), norm(x), rtol=0, atol=0.05)


def test_what_is_left_is_rebuilt_without_a_graph():
    net, x = made("torch")
    graph = trace(net, x)
    silence(net, stream(graph), 10)
    found = compact(net, x, gather="never")
    stays = {cut.name: cut.stays for cut in found.cuts if cut.stays}
    again = left_of(net, stays).model
    assert torch.equal(again.eval()(x), found.model.eval()(x))


def test_training_under_a_penalty_kills_channels_of_the_stream():
    torch.manual_seed(0)
    net = ViT(24, 2, 4, 4, 16, Packed)
    x, target = torch.randn(16, 3, 16, 16), torch.randint(0, 10, (16,))
    graph = trace(net, x[:2])
    groups = [group for group in coupled_groups(net, x[:2], graph=graph) if group.layer == stream(graph).name]
    assert len(groups) == 24
    optimizer = Proximal(torch.optim.SGD(net.parameters(), lr=0.1), groups[:12], GroupLasso(0.05))
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), target).backward()
        optimizer.step()
    alive = sum(int((bank.norms() > 0).sum()) for bank in banks(groups))
    assert alive == 12
    small = compact(net.eval(), x[:2], gather="never").model
    assert small.positions.shape[-1] == alive
    assert float((small(x) - net(x)).detach().abs().max()) < 1e-4


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.sampled_from(list(NETS)), st.data())
def test_streams_that_are_zero_in_part_are_never_wrong(name: str, data):
    net, x = made(name)
    graph = trace(net, x)
    for space in (space for space in graph.spaces if space.removable):
        for channel in data.draw(st.sets(st.integers(0, len(space.channels) - 1), max_size=6)):
            parts = data.draw(st.sampled_from([space.slices, space.slices, space.writers, space.readers]))
            for part in parts:
                zero(net, part, channel)
    found = compact(net, x, gather=data.draw(st.sampled_from(["never", "always"])))
    holds(net, found, LENGTHS.get(name, ((1, 16), (3, 5)))[1:])
