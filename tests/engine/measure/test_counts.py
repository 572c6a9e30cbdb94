"""Parameters and MACs by hand, functions and tied weights included."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from tests.engine.pruning.test_compact import silenced
from winnow.engine.graph.calls import Call
from winnow.engine.graph.trace import trace
from winnow.engine.graph.weighing import weigh
from winnow.engine.measure.counts import cost, layer_macs, macs, parameters, sparsity_table, weight_macs
from winnow.engine.pruning import compact
from winnow.engine.sparsity.counts import Counts
from winnow.engine.sparsity.groups import banks, input_groups


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.weight = nn.Conv2d(3, 4, 3, padding=1), nn.Parameter(torch.randn(2, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(self.conv(x), self.weight)


def test_functions_count_too():
    net, x = Functional(), torch.randn(5, 3, 6, 6)
    assert macs(net, x) == (4 * 3 * 9 + 2 * 4) * 36
    assert parameters(net) == 4 * 3 * 9 + 4 + 8
    total = cost(net, x).set_index("component").loc["total"]
    assert (total.parameters, total.macs) == (parameters(net), macs(net, x))


def test_a_tied_weight_counts_once():
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    net[1].weight = net[0].weight
    assert parameters(net) == 16
    assert macs(net, torch.randn(2, 4)) == 32


def test_components_of_a_compact_network_sum_to_the_whole():
    net, x = silenced("ours basic", "input", 0.7)
    small = compact(net, x, gather="always").model
    frame = cost(small, x).set_index("component")
    assert frame.loc["total", "macs"] == frame.drop("total")["macs"].sum()
    assert frame.loc["total", "macs"] < macs(net, x)


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.colour, self.depth, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(1, 8, 3), nn.Conv2d(16, 4, 1)

    def forward(self, colour: Tensor, depth: Tensor) -> Tensor:
        return self.head(torch.cat([self.colour(colour), self.depth(depth)], 1))


def test_all_counts_take_what_a_model_takes():
    net, inputs = TwoInputs(), {"colour": torch.randn(2, 3, 8, 8), "depth": torch.randn(2, 1, 8, 8)}
    by_hand = {"colour": 8 * 27 * 36, "depth": 8 * 9 * 36, "head": 64 * 36}
    for given in (inputs, tuple(inputs.values()), Call(kwargs=inputs)):
        assert layer_macs(net, given) == by_hand
        assert macs(net, given) == sum(by_hand.values())
        assert cost(net, given)["macs"].iloc[-1] == sum(by_hand.values())
        assert sparsity_table(net, given)["macs"].iloc[-1] == sum(by_hand.values())


def test_kernels_that_hide_what_they_multiply_are_counted():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()  # torch has one kernel for all of it
    found = weight_macs(layer, torch.randn(2, 5, 16))
    projections = {"self_attn.in_proj_weight": 48 * 16 * 5, "self_attn.out_proj.weight": 16 * 16 * 5}
    assert found == {**projections, "linear1.weight": 32 * 16 * 5, "linear2.weight": 16 * 32 * 5}
    assert macs(layer, torch.randn(2, 5, 16)) == sum(found.values()) + 2 * 5 * 5 * 16  # queries·keys, weights·values
    lstm = nn.LSTM(8, 16, batch_first=True)
    assert weight_macs(lstm, torch.randn(2, 5, 8)) == {"weight_ih_l0": 64 * 8 * 5, "weight_hh_l0": 64 * 16 * 5}


def test_a_computed_weight_counts_for_what_it_is_computed_from():
    found = weight_macs(weight_norm(nn.Conv2d(3, 4, 3)), torch.randn(2, 3, 8, 8))
    assert found == {"parametrizations.weight.original0": 0, "parametrizations.weight.original1": 4 * 27 * 36}


class Distances(nn.Linear):
    def __init__(self) -> None:
        super().__init__(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cdist(x, self.weight)


class Kept(nn.Module):
    """A pass writes into a buffer what it then reads, or reads the coordinates that a buffer holds."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.a, self.c, self.b = way, nn.Linear(6, 8), nn.Linear(8, 9), nn.Linear(9, 2)
        self.register_buffer("kept", torch.randn(3, 8))
        if way == "spectral norm":
            spectral_norm(self.b)
        elif way == "weight norm":
            weight_norm(self.b)

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "written":
            self.kept.copy_(self.a(x))
        elif self.way == "written in part":
            self.kept[1:].copy_(self.a(x)[1:])
        h = torch.relu(self.c(self.kept))
        return self.b(h) + self.a(x).sum()


@pytest.mark.parametrize("way", ["written", "written in part", "constant", "weight norm"])
def test_layers_behind_a_buffer_have_their_own_macs(way: str):
    torch.manual_seed(0)
    times = 2 if way.startswith("written") else 1
    found = layer_macs(Kept(way).eval(), torch.randn(3, 6))
    assert sum(count for name, count in found.items() if name.startswith("b")) == 18
    assert (found["a"], found["c"]) == (48 * times, 72)


def test_layers_behind_a_buffer_and_a_norm_that_multiplies():
    found = layer_macs(Kept("spectral norm").eval(), torch.randn(3, 6))
    assert found["c"] == 72
    assert sum(count for name, count in found.items() if name.startswith("b")) == pytest.approx(18 + 18 / 3 + 2 / 3)


def test_what_is_added_makes_no_macs():
    class Biased(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 4)
            self.places = nn.Parameter(torch.zeros(1, 5, 5))

        def forward(self, x: Tensor) -> Tensor:
            q = super().forward(x)
            return torch.baddbmm(self.places, q, x.mT)

    total, found = weigh(Biased(), torch.randn(2, 5, 4))
    assert (total, found) == (4 * 4 * 5 + 5 * 5 * 4, {"weight": 80, "places": 0})


def test_an_operation_without_a_formula_is_no_zero():
    found = weight_macs(Distances(), torch.randn(2, 3))
    assert np.isnan(found["weight"])


def test_counting_leaves_the_model_as_it_was():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).train()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    layer_macs(net, torch.randn(3, 1, 4, 4))
    assert net.training
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_macs_go_by_the_names_inside_a_wrapper_and_shards_are_refused(tmp_path: Path) -> None:
    net, x = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), torch.randn(2, 4)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrapped = nn.parallel.DistributedDataParallel(net)
            assert layer_macs(wrapped, x) == layer_macs(net, x) == {"0": 12.0, "1": 6.0}
            assert cost(wrapped, x).equals(cost(net, x))
            assert sparsity_table(wrapped, x).equals(sparsity_table(net, x))
            found = banks(input_groups(wrapped))
            assert Counts(wrapped, found, layer_macs(net, x)).without_macs == []
            sharded = fully_shard(nn.Sequential(nn.Linear(4, 3)), mesh=init_device_mesh("cpu", (1,)))
            for count in (layer_macs, macs, cost):
                with pytest.raises(ValueError, match="`model` must hold whole parameters, got a fully sharded model"):
                    count(sharded, x)
    finally:
        torch.distributed.destroy_process_group()


class Whole(nn.Module):
    """Three layers, of which the middle one is of a kind that nothing of can go."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(5, 6), middle, nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.middle(torch.relu(self.first(x)))))


class Scaled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, 0.5 * self.weight, self.bias)


class Low(nn.Linear):
    """A weight and a product of two matrices that is added to it at each pass."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.up, self.down = nn.Parameter(torch.randn(outputs, 2)), nn.Parameter(torch.randn(2, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight + self.up @ self.down, self.bias)


class Pairs(nn.Bilinear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x, x)


class Bank(nn.Linear):
    """Several weights in one, mixed for each image."""

    def __init__(self) -> None:
        super().__init__(6, 3)
        self.bank = nn.Parameter(torch.randn(3, 8, 6))

    def forward(self, x: Tensor) -> Tensor:
        mixed = torch.einsum("bk,koi->boi", super().forward(x).softmax(-1), self.bank)
        return torch.einsum("boi,bi->bo", mixed, x)


@pytest.mark.parametrize(
    ("middle", "expected"),
    [
        (lambda: Scaled(6, 8), 48),
        (lambda: Low(6, 8), 48 + 8 * 2 * 6 / 3),
        (lambda: Pairs(6, 6, 8), 8 * 6 * 6),
        (lambda: weight_norm(nn.Linear(6, 8)), 48),
        (lambda: spectral_norm(nn.Linear(6, 8)), 48 + 8 * 6 / 3 + 8 / 3),
        (Bank, 6 * 3 + 3 * 8 * 6),
    ],
    ids=["scaled", "low rank", "bilinear", "weight norm", "spectral norm", "bank"],
)
def test_layers_that_stay_whole_count_in_what_can_be_saved(middle, expected: float):
    torch.manual_seed(0)
    net, x = Whole(middle()).eval(), torch.randn(3, 5)
    counted = sum(layer_macs(net, x).values())
    assert counted == pytest.approx(5 * 6 + expected + 8 * 2)
    assert trace(net, x).savings().macs.iloc[-1] == pytest.approx(counted)


class Again(nn.Module):
    """Weights of layers that are used once more, in part."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.first, self.last = nn.Embedding(20, 8), nn.Linear(8, 6), nn.Linear(6, 8)

    def forward(self, words: Tensor) -> Tensor:
        x = self.words(words)
        h = torch.relu(self.first(x) + x[..., :3] @ self.first.weight[:, :3].T)
        return self.last(h).mean(1) @ self.words.weight[:10].T


class Recurrent(nn.LSTM):
    """A recurrent layer that is the model itself, and holds a layer and a bank besides."""

    def __init__(self) -> None:
        super().__init__(4, 6, batch_first=True)
        self.last, self.bank = nn.Linear(6, 3), nn.Parameter(torch.randn(2, 6, 6))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.einsum("btk,ekj->btj", super().forward(x)[0], self.bank))


class Queries(nn.Module):
    """Learned queries that are more than the weight that they meet."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.queries = nn.Linear(6, 8), nn.Embedding(20, 8)
        self.inner, self.last = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x) + self.inner(self.queries.weight).sum(0))


@pytest.mark.parametrize(
    ("make", "x", "expected"),
    [
        (Again, torch.arange(10).reshape(2, 5), (8 * 6 + 3 * 6 + 6 * 8) * 5 + 8 * 10),
        (Recurrent, torch.ones(2, 5, 4), (24 * 4 + 24 * 6 + 6 * 6 + 6 * 3) * 5),
        (Queries, torch.ones(4, 6), 6 * 8 + 20 * 8 * 8 / 4 + 8 * 2),
    ],
)
def test_what_can_be_saved_is_of_all_uses_of_a_weight(make: type[nn.Module], x: Tensor, expected: float):
    torch.manual_seed(0)
    net = make().eval()
    counted = sum(layer_macs(net, x).values())
    assert trace(net, x).savings().macs.iloc[-1] == pytest.approx(counted)
    assert counted == pytest.approx(expected)


class Uncounted(nn.Linear):
    """What torch runs, but not under a count."""

    def __init__(self, error: type[Exception]) -> None:
        super().__init__(6, 8)
        self.bank, self.error = nn.Parameter(torch.randn(8, 6)), error

    def forward(self, x: Tensor) -> Tensor:
        if any("_Weighing" in str(type(mode)) for mode in _get_current_dispatch_mode_stack()):
            raise self.error("not under a count")
        return super().forward(x) + x @ (2 * self.bank).T


def test_a_weight_is_unknown_only_where_torch_cannot_count():
    x = torch.randn(3, 5)
    found = trace(Whole(Uncounted(RuntimeError)).eval(), x)
    assert np.isnan(found.savings().macs.iloc[-1])
    assert [name for name, _ in found.whole_macs] == ["middle.bank"]
    with pytest.raises(KeyError, match="not under a count"):
        trace(Whole(Uncounted(KeyError)).eval(), x)


def test_macs_are_those_of_the_mode_that_a_call_names():
    class Aside(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(super().forward(x)) if self.training else super().forward(x)

    net, x = Aside(4, 4), torch.randn(2, 4)
    assert [macs(net, Call((x,), training=mode)) for mode in (None, False, True)] == [16, 16, 32]


def test_the_number_of_images_is_the_same_to_all_counts():
    class Bags(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bags, self.last = nn.EmbeddingBag(20, 8), nn.Linear(8, 2)

        def forward(self, words: Tensor, starts: Tensor) -> Tensor:
            return self.last(self.bags(words, starts))

    net, call = Bags().eval(), (torch.randint(0, 20, (9,)), torch.tensor([0, 3, 7]))
    assert trace(net, call).savings().macs.iloc[-1] == pytest.approx(sum(layer_macs(net, call).values()))
