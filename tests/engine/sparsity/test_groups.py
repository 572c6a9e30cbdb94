"""Groups: every weight that belongs to a channel, as read, as written, or as both, and no other."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.swa_utils import AveragedModel

from tests.engine.graph.zoo import build
from winnow.engine.graph.trace import trace
from winnow.engine.sparsity.groups import Axis, Group, banks, coupled_groups, input_groups, output_groups
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Proximal

LAYERS = {
    "conv": (nn.Conv2d(6, 4, 3), lambda w, i: w[:, i]),
    "grouped": (nn.Conv2d(6, 4, 3, groups=2), lambda w, i: w[2 * (i // 3) : 2 * (i // 3) + 2, i % 3]),
    "depthwise": (nn.Conv2d(6, 6, 3, groups=6), lambda w, i: w[i]),
    "transposed": (nn.ConvTranspose2d(6, 4, 3), lambda w, i: w[i]),
    "linear": (nn.Linear(6, 4), lambda w, i: w[:, i]),
    "conv1d": (nn.Conv1d(6, 4, 5), lambda w, i: w[:, i]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_group_is_what_a_layer_reads_from_one_channel(name: str):
    layer, weights_of = LAYERS[name]
    groups = input_groups(layer)
    assert [group.channel for group in groups] == list(range(6))
    for group in groups:
        expected = weights_of(layer.weight.detach(), group.channel)
        assert group.size == expected.numel()
        torch.testing.assert_close(group.norm(), expected.norm())


@pytest.mark.parametrize("name", LAYERS)
def test_a_factor_of_zero_silences_one_channel_exactly(name: str):
    layer, _ = LAYERS[name]
    (bank,) = banks(input_groups(layer))
    factors = torch.ones(6)
    factors[4] = 0
    before = bank.norms()
    bank.scale_(factors)
    after = bank.norms()
    assert after[4] == 0
    assert torch.equal(after[:4], before[:4])
    x = torch.randn({2: (2, 6), 3: (2, 6, 9), 4: (2, 6, 9, 9)}[layer.weight.dim()])
    changed = x.clone()
    changed[:, 4] += 1
    torch.testing.assert_close(layer(x), layer(changed))


def test_channels_last_weights_have_the_same_norms():
    layer = nn.Conv2d(8, 5, 3)
    (plain,) = [bank.norms() for bank in banks(input_groups(layer))]
    layer = layer.to(memory_format=torch.channels_last)
    torch.testing.assert_close(banks(input_groups(layer))[0].norms(), plain)


def test_shared_parameters_are_grouped_once():
    layer = nn.Linear(3, 3)
    assert len(input_groups(nn.Sequential(layer, nn.ReLU(), layer))) == 3


def test_two_axes_of_one_parameter_are_refused():
    layer = nn.Linear(3, 3)
    group = input_groups(layer)[0]
    other = type(group)("other", 0, "output", (type(group.members[0])(layer.weight, 0),))
    with pytest.raises(ValueError, match="one axis only"):
        banks([group, other])


@given(st.integers(0, 2), st.integers(0, 4), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_a_window_of_an_axis_sums_and_scales_its_own_entries(
    axis: int, start: int, length: int, repeat: int, last: bool
):
    shape = [3, 3, 3, 2]
    shape[axis] = start + length * repeat + 2
    parameter = nn.Parameter(torch.randn(shape, dtype=torch.float64))
    if last:
        parameter.data = parameter.data.to(memory_format=torch.channels_last)
    member = Axis(parameter, axis, start=start, length=length, repeat=repeat)
    blocks = [parameter.detach().narrow(axis, start + i * repeat, repeat) for i in range(length)]
    assert member.channels == length
    assert member.size == blocks[0].numel()
    torch.testing.assert_close(member.sums(parameter.detach()), torch.stack([block.sum() for block in blocks]))
    expected = parameter.detach().clone()
    factors = torch.rand(length, dtype=torch.float64)
    for i, factor in enumerate(factors):
        expected.narrow(axis, start + i * repeat, repeat).mul_(factor)
    (bank,) = banks([Group("layer", i, "coupled", (member,)) for i in range(length)])
    torch.testing.assert_close(bank.norms(), torch.stack([block.norm() for block in blocks]))
    bank.scale_(factors)
    assert torch.equal(parameter.detach(), expected)


def test_windows_lie_on_the_axis_and_do_not_overlap():
    weight = nn.Parameter(torch.randn(4, 6))
    with pytest.raises(ValueError, match="must lie on the axis, 0 to 6, got 4 to 8"):
        Axis(weight, 1, start=4, length=2, repeat=2)
    with pytest.raises(ValueError, match="`blocks` must be 1"):
        Axis(weight, 1, blocks=2, start=1)
    first, second = (Group(str(i), 0, "input", (Axis(weight, 1, start=i, length=3),)) for i in (0, 3))
    assert [bank.layer for bank in banks([first, second])] == ["0", "3"]
    third = Group("2", 0, "input", (Axis(weight, 1, start=2, length=2),))
    with pytest.raises(ValueError, match="got 0 and 2, which overlap"):
        banks([first, third])


def test_output_groups_are_filter_bias_and_the_norm_behind():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 6, 2, groups=2))
    alone, traced = output_groups(net), output_groups(net, torch.randn(1, 3, 8, 8))
    assert [(group.layer, group.channel) for group in alone] == [("0", i) for i in range(4)] + [
        ("3", i) for i in range(6)
    ]
    assert [group.size for group in alone] == [28] * 4 + [2 * 4 + 1] * 6
    assert [(group.layer, group.size) for group in traced] == [("0", 30)] * 4  # the last layer makes the output
    assert [axis.parameter is p for axis, p in zip(traced[0].members, net.parameters(), strict=False)] == [True] * 4
    (weight, bias), channel = (net[3].weight.detach(), net[3].bias.detach()), 4  # the second block's second
    squares = weight[2:, 1].square().sum() + bias[channel].square()
    torch.testing.assert_close(alone[4 + channel].norm(), squares.sqrt())


def test_a_zero_output_group_is_zero_downstream():
    net, x = build("ours basic")
    for bank in banks(output_groups(net, x)):
        bank.scale_(torch.arange(bank.channels) % 2 == 0)
    frame = trace(net, x).channels()
    made = frame[(frame.readers > 0) & ~frame.space.isin(["images"])]
    assert made.removable[made.channel % 2 == 1].all()


def test_coupled_groups_are_all_writers_and_all_readers():
    net, x = build("ours basic")
    groups = {(group.layer, group.channel): group for group in coupled_groups(net, x)}
    stream = groups["trunk.stages.1.0.add", 3]
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    found = {(names[id(axis.parameter)], axis.axis) for axis in stream.members}
    block = "trunk.stages.1.0"
    norms = {(f"{block}.{part}.1.{name}", 0) for part in ("around", "conv2") for name in ("weight", "bias")}
    writers = {(f"{block}.{part}.0.weight", 0) for part in ("around", "conv2")}
    readers = {("heads.seg.mix.0.0.weight", 1), ("heads.depth.mix.0.0.weight", 1), ("heads.kind.hidden.0.weight", 1)}
    assert found == norms | writers | readers
    parts = [p.detach() for n, p in net.named_parameters() if (n, 0) in norms | writers]
    columns = [p.detach() for n, p in net.named_parameters() if (n, 1) in readers]
    squares = sum(p[3].square().sum() for p in parts) + sum(p[:, 3].square().sum() for p in columns)
    torch.testing.assert_close(stream.norm(), squares.sqrt())
    assert not {layer for layer, _ in groups} & {"images", "heads.seg.out", "heads.depth.out", "heads.kind.out"}


@pytest.mark.parametrize("name", ["ours basic", "vgg", "densenet", "grouped", "pixel shuffle", "splits", "shared"])
def test_coupled_banks_agree_with_their_groups(name: str):
    net, x = build(name)
    groups = coupled_groups(net, x)
    found = banks(groups)
    assert sum(int(bank.present.sum()) for bank in found) == len(groups)
    for bank in found:
        own = [group for group in groups if group.layer == bank.layer]
        torch.testing.assert_close(bank.norms(), torch.stack([group.norm() for group in own]))
        assert bank.size == own[0].size
        squares = [parameter.detach().square() for parameter in bank.parameters]
        torch.testing.assert_close(bank.sums(squares).sqrt(), bank.norms())


def test_every_inner_weight_lies_in_two_coupled_groups():
    net, x = build("vgg")
    counts = {id(parameter): torch.zeros_like(parameter) for parameter in net.parameters()}
    for bank in banks(coupled_groups(net, x)):
        for axis in bank.members:
            axis.view(counts[id(axis.parameter)]).add_(1)
    times = {name: counts[id(p)].unique().tolist() for name, p in net.named_parameters()}
    assert times["features.0.weight"] == times["features.3.bias"] == [1]
    assert times["features.3.weight"] == times["classifier.0.weight"] == [2]
    assert (times["classifier.3.weight"], times["classifier.3.bias"]) == ([1], [0])


def test_coupled_groups_that_training_zeroes_can_go():
    net, x = build("vgg")
    proximal = Proximal(SGD(net.parameters(), lr=0.05, momentum=0.9), coupled_groups(net, x), GroupLasso(0.002))
    for _ in range(60):
        proximal.zero_grad()
        (net(x) - 1).square().mean().backward()
        proximal.step()
    frame = trace(net, x).channels().set_index(["space", "channel"])
    gone = [(bank.layer, i) for bank in proximal.banks for i in np.flatnonzero(bank.norms().numpy() == 0).tolist()]
    assert 0 < len(gone) < 24
    assert all(frame.loc[channel].removable for channel in gone)


def test_within_keeps_to_channels_that_a_part_makes():
    net, x = build("ours basic")
    everywhere = {group.layer for group in coupled_groups(net, x)}
    trunk, heads = ({g.layer for g in coupled_groups(net, x, within=(part,))} for part in ("trunk", "heads"))
    assert trunk | heads == everywhere
    assert all(layer.startswith("trunk") for layer in trunk)
    assert heads == {"heads.seg.mix.0.0", "heads.depth.mix.0.0", "heads.kind.hidden.0"}


def test_channels_in_another_order_get_a_bank_each():
    class Mirrored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x).relu().flip(1))

    net, x = Mirrored(), torch.randn(3, 4)
    found = banks(coupled_groups(net, x))
    assert [bank.layer for bank in found] == [f"first[{i}]" for i in range(5)]
    found[1].scale_(torch.zeros(1))
    assert (net.first.weight[1] == 0).all()
    assert (net.second.weight[:, 3] == 0).all()
    assert np.flatnonzero(trace(net, x).channels().query("space == 'first'").removable).tolist() == [1]


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: torch.compile(net, backend="eager"), AveragedModel])
@pytest.mark.parametrize("draw", [coupled_groups, output_groups, lambda net, _: input_groups(net)])
def test_groups_are_those_of_the_model_inside_its_wrapper(wrap: Any, draw: Any) -> None:
    net, x = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)), torch.rand(2, 3, 8, 8)
    wrapped = wrap(net)
    found = draw(wrapped, x)
    inside = draw(wrapped.module, x) if hasattr(wrapped, "module") else draw(net, x)
    assert found
    assert [(group.layer, group.channel) for group in found] == [(group.layer, group.channel) for group in inside]
    own = {id(parameter) for parameter in wrapped.parameters()}
    assert all(id(axis.parameter) in own for group in found for axis in group.members)


def test_coupled_groups_refuses_unknown_names_and_says_why_there_are_none() -> None:
    net, x = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.rand(2, 4)
    with pytest.raises(ValueError, match="`within` must name modules of the model, such as 0, 1, 2, got trunk"):
        coupled_groups(net, x, within=("trunk",))
    with pytest.raises(ValueError, match=r"Write \('0',\)"):
        coupled_groups(net, x, within="0")
    with pytest.warns(UserWarning, match="No group: no channel can be removed. They are outputs"):
        assert coupled_groups(net, x, within=("2",)) == []
