"""Heads of attention: a zero head goes, from every form in which attention is written, and nothing else changes."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.engine.graph.attention_nets import (
    EXAMPLE,
    HEADS,
    NETS,
    WIDTH,
    Classic,
    Net,
    Packed,
    Residual,
    Torch,
    ViT,
    encoder,
)
from winnow.engine.export import load_model, save_model
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.spaces import Slice, Space
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import Compacted, compact
from winnow.engine.pruning.chance import same_chance
from winnow.engine.sparsity.groups import banks, coupled_groups, input_groups, output_groups
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Proximal

LENGTHS = {"windows": ((1, 16), (5, 16))}


def made(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return NETS[name]().double(), torch.randn(*EXAMPLE, dtype=torch.float64)


def heads(graph: ChannelGraph) -> list[Space]:
    """The spaces of what attention makes inside, in order."""
    makers = ("attention", "self_attn")
    found = [space for space in graph.spaces if space.writers and space.removable]
    return [space for space in found if all(any(name in part.layer for name in makers) for part in space.writers)]


@torch.no_grad()
def zero(net: nn.Module, part: Slice, channel: int) -> None:
    if part.first <= channel < part.first + part.length:
        start = part.start + (channel - part.first) * part.repeat
        net.state_dict()[part.parameter].narrow(part.axis, start, part.repeat).zero_()


def silence(net: nn.Module, graph: ChannelGraph, count: int | None = None) -> int:
    """Zero the first half of every space of heads; return how many channels that are."""
    total = 0
    for space in heads(graph):
        first = len(space.channels) // 2 if count is None else count
        for channel in range(first):
            for part in space.slices:
                zero(net, part, channel)
        total += first
    return total


def outputs(net: nn.Module, x: Tensor, training: bool) -> Tensor:
    twin = copy.deepcopy(net).train(training)
    with torch.no_grad(), same_chance(twin, len(x), seed=7):
        return twin(x)


def holds(net: nn.Module, found: Compacted, sizes: tuple[tuple[int, int], ...] = ((1, 16), (3, 5), (2, 23))) -> None:
    """Compare with the model at batches and lengths that the certificate did not see, in both modes."""
    for batch, length in sizes:
        x = torch.randn(batch, length, 8, dtype=torch.float64)
        for training in (False, True) if "training mode" not in found.certificate.open else (False,):
            expected = outputs(net, x, training)
            assert float((outputs(found.model, x, training) - expected).abs().max()) <= 1e-10 * float(
                expected.abs().max()
            )


@pytest.mark.parametrize("name", NETS)
def test_zero_heads_go_from_every_form_of_attention(name: str):
    net, x = made(name)
    graph = trace(net, x)
    total = silence(net, graph)
    assert total > 0
    found = compact(net, x, gather="never")
    assert not found.certificate.kept_for
    assert found.certificate.max_error_float64 <= 1e-10
    kept, left = graph.liveness().kept, found.model.state_dict()
    assert sum(int((~kept[space.channels]).sum()) for space in heads(graph)) == total
    for site in graph.sites:
        assert left[site.parameter].shape[site.axis] == kept[site.channels].sum(), site.parameter
    holds(net, found, LENGTHS.get(name, ((1, 16), (3, 5))))


@pytest.mark.parametrize("name", ["packed", "classic", "grouped natively", "windows", "torch, weights", "encoder"])
def test_what_lost_heads_is_saved_and_loaded(name: str, tmp_path):
    net, x = made(name)
    silence(net, trace(net, x))
    small = compact(net, x, gather="never").model.eval()
    save_model(tmp_path / "small", small, x)
    assert float((load_model(tmp_path / "small").eval()(x) - net.eval()(x)).detach().abs().max()) < 1e-10


def test_a_module_keeps_its_class_and_names_the_heads_that_are_left():
    net, x = made("packed")
    silence(net, trace(net, x), count=3)
    small = compact(net, x, gather="never").model
    attention = small.blocks[0].attention
    assert (type(attention), attention.num_heads, attention.head_dim) == (Packed, 1, 6)
    assert attention.qkv.weight.shape == (18, WIDTH)
    assert net.blocks[0].attention.num_heads == HEADS


def test_a_module_that_computes_sizes_from_the_stream_becomes_a_program_alone():
    net, x = made("classic")
    silence(net, trace(net, x))
    found = compact(net, x, gather="never")
    assert type(found.model) is Net
    assert found.certificate.programs == ("blocks.0.attention",)
    assert not found.certificate.fixed_sizes
    assert found.model.blocks[0].attention.proj.weight.shape == (WIDTH, WIDTH // 2)


@pytest.mark.parametrize("name", ["packed", "torch", "einsum"])
@pytest.mark.parametrize("side", ["values", "readers"])
def test_a_head_is_dead_if_its_values_are_zero_or_nobody_reads_it(name: str, side: str):
    net, x = made(name)
    graph = trace(net, x)
    for space in heads(graph):
        writers = [part for part in space.writers if "v." in part.parameter or part.start == 2 * WIDTH]
        for part in writers if side == "values" else space.readers:
            zero(net, part, 1)
        dead = ~graph.liveness().kept[space.channels]
        assert dead.tolist() == [False, True, False, False]


@pytest.mark.parametrize("name", ["packed", "torch", "torch, weights", "classic", "einsum"])
def test_a_head_of_zero_queries_is_alive(name: str):
    """Its scores are 0, so that it takes the mean of its values."""
    net, x = made(name)
    graph = trace(net, x)
    (space, *_) = heads(graph)
    for part in space.writers:
        if ".q." in part.parameter or (".k." not in part.parameter and ".v." not in part.parameter and part.start == 0):
            zero(net, part, 1)
    assert graph.liveness().kept[space.channels].all()


def test_dimensions_of_one_head_go_in_pairs_and_those_of_values_alone():
    net, x = made("single")
    graph = trace(net, x)
    pairs, values = heads(graph)
    assert (len(pairs.channels), len(values.channels)) == (7, 9)
    for part in pairs.writers:
        if ".q." in part.parameter:
            zero(net, part, 2)
    assert (~graph.liveness().kept[pairs.channels]).sum() == 1
    found = compact(net, x, gather="never")
    assert found.model.blocks[0].attention.k.weight.shape == (6, WIDTH)
    holds(net, found)


def test_dimensions_that_a_scale_counts_stay():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(WIDTH, 7) for _ in range(3))
            self.out = nn.Linear(7, WIDTH)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(torch.nn.functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x)))

    net, x = Net(Residual(Scaled())).double(), torch.randn(*EXAMPLE, dtype=torch.float64)
    graph = trace(net, x)
    pairs = next(
        space
        for space in graph.spaces
        if any(".q." in part.parameter for part in space.slices if part.role == "writer")
    )
    assert not pairs.removable
    assert "is scaled by their number" in pairs.pins[0]
    (values,) = heads(graph)
    assert len(values.channels) == 7


def test_a_group_is_a_head_with_all_that_writes_and_reads_it():
    net, x = made("windows")
    groups = [group for group in coupled_groups(net, x) if "attention" in group.layer]
    assert len(groups) == HEADS
    wide = WIDTH // HEADS
    rows, columns, table = 3 * wide * (WIDTH + 1), wide * WIDTH, 9
    assert groups[0].size == rows + columns + table


def test_attention_weights_that_are_returned_keep_their_heads():
    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.attn(x, x, x)

    graph = trace(Looking(), torch.randn(2, 5, WIDTH))
    assert any("mean mixes the channels" in pin for space in graph.spaces for pin in space.pins)
    assert not any(space.removable and space.writers for space in graph.spaces)


def test_all_heads_of_an_attention_but_one_go_where_none_is_needed():
    net, x = made("torch")
    silence(net, trace(net, x), count=HEADS)
    found = compact(net, x, gather="never", keep_modules=True)
    assert found.model.blocks[0].attention.attn.num_heads == 1
    assert found.certificate.hollow
    holds(net, found)
    with torch.no_grad():
        net.blocks[0].attention.attn.out_proj.bias.zero_()
    found = compact(net, x, gather="never")
    assert found.certificate.silent == ("blocks.0.attention",)
    holds(net, found)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_encoders_of_torch_call_their_narrow_parts():
    """Their fast kernels, in evaluation mode without gradients, read the weights of whole layers."""

    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.TransformerEncoder(encoder(), 2)

        def forward(self, x: Tensor, padding: Tensor) -> Tensor:
            return self.encoder(x, src_key_padding_mask=padding).masked_fill(padding[..., None], 0)

    torch.manual_seed(0)
    net, x = Stack().double(), torch.randn(2, 5, WIDTH, dtype=torch.float64)
    padding = torch.arange(5) >= torch.tensor([[5], [3]])
    silence(net, trace(net, (x, padding)))
    found = compact(net, (x, padding), gather="never")
    assert [layer.self_attn.num_heads for layer in found.model.encoder.layers] == [2, 2]
    with torch.no_grad():
        expected = net.eval()(x, padding)
        assert float((found.model.eval()(x, padding) - expected).abs().max()) < 1e-10


KINDS = st.sampled_from(["all", "readers", "one writer", "half"])


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.sampled_from(list(NETS)), st.data())
def test_heads_and_dimensions_that_are_zero_in_part_are_never_wrong(name: str, data):
    net, x = made(name)
    graph = trace(net, x)
    dead = 0
    for space in (space for space in graph.spaces if space.removable and len(space.channels) > 1):
        for channel in data.draw(st.sets(st.integers(0, min(len(space.channels), 8) - 1), max_size=3)):
            kind = data.draw(KINDS)
            parts = space.slices if kind == "all" else space.readers if kind == "readers" else space.writers
            parts = parts[:1] if kind == "one writer" else parts[::2] if kind == "half" else parts
            for part in parts:
                zero(net, part, channel)
            dead += kind == "all"  # a stream channel that nothing reads still moves the norms while it is written
    found = compact(net, x, gather=data.draw(st.sampled_from(["never", "always"])))
    kept = graph.liveness().kept
    gone = sum(int((~kept[space.channels]).sum()) for space in graph.spaces)
    assert gone >= dead
    holds(net, found, LENGTHS.get(name, ((1, 16), (3, 5)))[1:])


def test_layers_of_torch_run_as_before_when_nothing_is_zero():
    net = Net(Residual(Torch(batch_first=True))).double()
    found = compact(net, torch.randn(*EXAMPLE, dtype=torch.float64))
    assert type(found.model.blocks[0].attention.attn) is nn.MultiheadAttention


def test_classic_forms_with_as_many_dimensions_as_heads():
    """`h` and the width of a head are one number: the name of the attribute decides which is rewritten."""
    for attention in (Packed(16, 4), Classic(16, 4)):
        net = nn.Sequential(Residual(attention, 16)).double()
        x = torch.randn(2, 5, 16, dtype=torch.float64)
        silence(net, trace(net, x), count=1)
        found = compact(net, x, gather="never")
        assert found.model.get_submodule("0.attention.proj").weight.shape == (16, 12)


def grouped(name: str) -> dict[str, list[tuple[str, int, int]]]:
    net, x = made(name)
    graph = trace(net, x)
    kinds = {
        "input": input_groups(net, graph=graph),
        "output": output_groups(net, graph=graph),
        "coupled": coupled_groups(net, x, graph=graph),
    }
    return {
        kind: [(b.layer.rpartition(".")[2], b.channels, b.size) for b in banks(found) if "attention" in b.layer]
        for kind, found in kinds.items()
    }


def test_groups_of_every_kind_are_heads():
    """4 heads of 6 dimensions on a stream of 24: 3·6 rows with biases, 6 columns."""
    rows, columns = 3 * 6 * 25, 6 * 24
    found = grouped("packed")
    assert ("qkv", 4, rows) in found["output"]
    assert ("proj", 4, columns) in found["input"]
    assert ("qkv", 4, rows + columns) in found["coupled"]
    found = grouped("torch")
    assert found["output"] == [("out_proj", 24, 25), ("attn", 4, rows)]
    assert ("out_proj", 4, columns) in found["input"]
    assert found["coupled"] == [("linear", 4, rows + columns)]


def test_training_under_a_penalty_kills_whole_heads_that_go_exactly():
    torch.manual_seed(0)
    net = ViT(24, 2, 4, 4, 16)
    x, target = torch.randn(16, 3, 16, 16), torch.randint(0, 10, (16,))
    graph = trace(net, x[:2])
    groups = [group for group in coupled_groups(net, x[:2], graph=graph) if "attention" in group.layer]
    optimizer = Proximal(torch.optim.SGD(net.parameters(), lr=0.1), groups, GroupLasso(0.02))
    for _ in range(75):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), target).backward()
        optimizer.step()
    zero = sum(int((bank.norms() == 0).sum()) for bank in banks(groups))
    assert 0 < zero < len(groups)
    small = compact(net.eval(), x[:2], gather="never").model
    alive = [int((bank.norms() > 0).sum()) for bank in banks(groups)]
    assert [block.attention.num_heads for block in small.blocks] == [max(1, count) for count in alive]
    assert float((small(x) - net(x)).detach().abs().max()) < 1e-5
