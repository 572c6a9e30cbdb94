"""What the graph calls dead does not matter, and what it calls alive does: judged by running the nets."""

import copy
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.engine.graph.random_nets import random_net
from tests.engine.graph.surgery import removed
from tests.engine.graph.zoo import ZOO, build
from tests.thinning import spread
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.liveness import Liveness
from winnow.engine.graph.spaces import Slice, Space
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import compact
from winnow.engine.sparsity.groups import banks, coupled_groups, input_groups, output_groups

SIZES_IN_CODE = ("splits", "input side")  # their compaction needs the program rewritten, not only the weights
SHARES = {"coupled": (0.3, 0.5, 0.7, 0.9), "output": (0.5, 0.9), "input": (0.5, 0.9)}


@dataclass
class Case:
    """A net, its graph (drawn once) and its outputs on the example."""

    net: nn.Module
    x: Tensor
    graph: ChannelGraph

    def outputs(self, net: nn.Module | None = None) -> list[Tensor]:
        with torch.no_grad():
            return torch.utils._pytree.tree_leaves((net or self.net)(self.x))

    def difference(self, net: nn.Module, before: list[Tensor]) -> float:
        pairs = zip(self.outputs(net), before, strict=True)
        return max(float(((one - other).abs() / (1 + other.abs())).max()) for one, other in pairs)


@cache
def drawn(name: str) -> tuple[Case, dict[str, Tensor]]:
    net, x = random_net(int(name.removeprefix("random "))) if name.startswith("random") else build(name)
    return Case(net, x, trace(net, x)), copy.deepcopy(net.state_dict())


def fresh(name: str) -> Case:
    case, state = drawn(name)
    case.net.load_state_dict(state)
    return case


def silence(case: Case, kind: str, share: float) -> list[tuple[str, int]]:
    """Zero random groups, at least one of each bank left alive; return their names."""
    generator = torch.Generator().manual_seed(int(100 * share))
    groups = {
        "coupled": lambda: coupled_groups(case.net, case.x, graph=case.graph),
        "output": lambda: output_groups(case.net, graph=case.graph),
        "input": lambda: input_groups(case.net),
    }[kind]()
    gone = []
    for bank in banks(groups):
        dead = (torch.rand(bank.channels, generator=generator) < share) & bank.present
        dead[torch.randint(bank.channels, (1,), generator=generator)] = False
        bank.scale_(1 - dead.double())
        gone += [(bank.layer, int(channel)) for channel in dead.nonzero()]
    return gone


def entries(net: nn.Module, part: Slice, channel: int) -> Tensor | None:
    """Return the entries of a parameter (or buffer) that belong to one channel of a space, as a view."""
    tensor = (dict(net.named_parameters()) | dict(net.named_buffers()))[part.parameter]
    place = channel - part.first
    if not 0 <= place < part.length:
        return None
    return tensor.detach().narrow(part.axis, part.start + place * part.repeat, part.repeat)


def randomise(net: nn.Module, parts: list[Slice], channels: np.ndarray, scale: float = 1.0) -> None:
    for part in parts:
        for channel in channels.tolist():
            found = entries(net, part, channel)
            if found is not None:
                found.copy_(scale * (0.1 + torch.rand_like(found)))


def dead_channels(liveness: Liveness, space: Space) -> np.ndarray:
    return np.flatnonzero(~liveness.kept[space.channels])


def ignored(net: nn.Module, space: Space, channel: int) -> bool:
    """Whether every weight that reads a channel is zero."""
    found = [entries(net, part, channel) for part in space.readers]
    return all(bool((part == 0).all()) for part in found if part is not None)


CASES = spread(3, ZOO, [(kind, share) for kind, shares in SHARES.items() for share in shares])


@pytest.mark.parametrize(("name", "kind", "share"), CASES)
def test_what_is_removable_can_be_removed(name: str, kind: str, share: float):
    assert_removable(name, kind, share)


def assert_removable(name: str, kind: str, share: float) -> None:
    case = fresh(name)
    silence(case, kind, share)
    liveness, before = case.graph.liveness(), case.outputs()
    whole = [space for space in case.graph.spaces if not liveness.kept[space.channels].any()]
    if name not in SIZES_IN_CODE and not whole:
        assert case.difference(removed(case.net, liveness), before) < 1e-10
    twin = copy.deepcopy(case.net)
    for space in case.graph.spaces:  # what makes a channel is free where nobody reads it
        if any(isinstance(case.net.get_submodule(part.layer), nn.LayerNorm | nn.GroupNorm) for part in space.norms):
            continue  # such a norm takes what is written, read or not
        unread = [c for c in dead_channels(liveness, space) if ignored(case.net, space, c)]
        randomise(twin, [*space.writers, *space.norms], np.array(unread, int))
    assert case.difference(twin, before) < 1e-10


@pytest.mark.parametrize(("seed", "kind"), spread(3, range(40), SHARES))
def test_it_holds_for_random_programs(seed: int, kind: str):
    assert_removable(f"random {seed}", kind, 0.6)


@pytest.mark.parametrize(("name", "kind"), spread(2, ZOO, ["coupled", "output"]))
def test_readers_of_a_silent_channel_are_free(name: str, kind: str):
    case = fresh(name)
    silence(case, kind, 0.6)
    frame, before = case.graph.channels().set_index("space"), case.outputs()
    for space in case.graph.spaces:
        rows = frame.loc[[space.name]]
        silent = rows.channel[rows.removable & (rows.constant == 0)].to_numpy()
        for reader in space.readers if len(silent) else ():
            twin = copy.deepcopy(case.net)
            randomise(twin, [reader], silent)
            assert case.difference(twin, before) < 1e-10, (space.name, reader)


@pytest.mark.parametrize("name", ZOO)
def test_every_zero_coupled_group_is_removable(name: str):
    case = fresh(name)
    gone = silence(case, "coupled", 0.5)
    frame = case.graph.channels().set_index(["space", "channel"])
    assert gone
    for space, channel in gone:
        assert frame.loc[(space, channel), "removable"], (space, channel)


@pytest.mark.parametrize(("name", "kind"), spread(3, ZOO, ["coupled", "input", None]))
def test_what_is_not_removable_changes_an_output(name: str, kind: str | None):
    case = fresh(name)
    if kind is not None:
        silence(case, kind, 0.3)
    liveness, before = case.graph.liveness(), case.outputs()
    for space in case.graph.spaces:
        if space.removable:
            for channel in np.flatnonzero(liveness.kept[space.channels])[:3]:
                assert matters(case, space, int(channel), before), (space.name, channel)


def matters(case: Case, space: Space, channel: int, before: list[Tensor]) -> bool:
    """Whether other weights in front of a channel, or its own, can change an output (a ReLU may need a push)."""
    makers = [part for part in space.slices if part.role in ("writer", "norm", "depthwise")]
    for scale in (1.0, -1.0, 0.3, -0.3, 3.0, -3.0, 30.0, -30.0):
        twin = copy.deepcopy(case.net)
        randomise(twin, makers, np.array([channel]), scale)
        for part in makers:  # variances stay positive
            if part.parameter.endswith("running_var") and part.first <= channel < part.first + part.length:
                entries(twin, part, channel).abs_()
        if case.difference(twin, before) > 1e-12:
            return True
    return False


def test_input_groups_are_removable_where_all_readers_agree():
    case = fresh("ours bottleneck, D-stem, ASPP")
    silence(case, "input", 0.6)
    liveness = case.graph.liveness()
    agreed = 0
    for space in case.graph.spaces:
        for channel in range(len(space.channels)) if space.removable else ():
            removable = not liveness.kept[space.channels[channel]]
            agreed += ignored(case.net, space, channel)
            if ignored(case.net, space, channel):
                assert removable
            elif removable:  # then those who still list it are dead themselves
                assert all(_rows_dead(case, liveness, part, channel) for part in space.readers)
    assert agreed > 5


def _rows_dead(case: Case, liveness: Liveness, part: Slice, channel: int) -> bool:
    rows = next(product.rows for product in case.graph.products if product.weight == part.parameter)
    column = entries(case.net, part, channel).movedim(part.axis, 1).flatten(1)
    return not (column.ne(0).any(1).numpy() & liveness.live[rows]).any()


def test_a_head_that_is_not_asked_for_needs_nothing():
    graph = fresh("ours basic").graph
    frame = graph.channels(outputs=["depth"])
    assert frame.removable[frame.space.str.startswith(("heads.seg", "heads.kind"))].all()
    assert not frame.removable[frame.space.str.startswith(("heads.depth", "trunk"))].any()
    with pytest.raises(ValueError, match="`outputs` must be among"):
        graph.liveness(["edges"])


def test_blocked_names_who_still_reads():
    case = fresh("ours basic")
    with torch.no_grad():
        case.net.heads["seg"].mix[0][0].weight[:, 2] = 0
    row = case.graph.channels().set_index(["space", "channel"]).loc[("trunk.stages.1.0.add", 2)]
    assert row.blocked == "trunk.stages.1.0.add: 3 readers, 2 still use it (heads.depth.mix.0.0, heads.kind.hidden.0)"
    assert (row.readers, row.using, row.outputs) == (3, 2, "seg, depth, kind")


def test_constants_are_known_through_norm_and_activation():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    with torch.no_grad():
        net[0].weight[1:3] = 0
        net[0].bias.zero_()
        net[1].bias.copy_(torch.tensor([0.0, 0.5, -0.5, 0.0]))
    frame = trace(net, torch.randn(1, 3, 8, 8)).channels().query("space == '0'")
    assert frame.constant.isna().tolist() == [True, False, False, True]
    assert frame.constant[frame.channel == 1].item() == pytest.approx(0.5)
    assert frame.removable.tolist() == [False, False, True, False]


def test_memory_written_in_place_is_no_longer_known():
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            y[:, :2].add_(1.0)
            return self.second(y)

    net = InPlace()
    with torch.no_grad():
        net.first.weight.zero_()
        net.first.bias.zero_()
    removable = trace(net, torch.randn(1, 3, 4, 4)).channels().set_index(["space", "channel"]).removable
    assert not any(removable[name, 0] for name, _ in removable.index if name.startswith("first"))


class TwoProducts(nn.Module):
    """A tensor that is an operand of two products, each of which looks at it along other axes, and of a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm, self.last = nn.Linear(5, 8), nn.Linear(5, 8), nn.LayerNorm(8), nn.Linear(8, 2)
        self.register_buffer("bank", torch.randn(8, 6))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        a, b = torch.relu(self.a(x)), torch.relu(self.b(x))
        alike = torch.einsum("nc,nc->n", a, b)
        return alike, a @ self.bank, a.t() @ b, a @ a.t(), b @ a.t(), self.last(self.norm(b))


def test_a_tensor_is_seen_by_each_product_in_its_own_way():
    torch.manual_seed(0)
    net, x = TwoProducts().eval(), torch.randn(3, 5)
    assert Liveness(trace(net, x), ["0"]).kept.any()
    with torch.no_grad():
        net.a.weight[::2], net.a.bias[::2] = 0, 0
    found = compact(net, x).model
    for one, two in zip(found(x), net(x), strict=True):
        torch.testing.assert_close(one, two)
