"""Groups: every weight that a layer reads from a channel, and no other."""

import pytest
import torch
from torch import nn

from engine.groups import banks, input_groups

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
    shape = {1: (2, 6), 3: (2, 6, 9), 4: (2, 6, 9, 9)}[
        2 if False else layer.weight.dim() if layer.weight.dim() > 2 else 1
    ]
    x = torch.randn(shape)
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
