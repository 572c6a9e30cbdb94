"""What stays though it says nothing about the image is named, with the reason."""

import pytest
import torch
from torch import nn

from tests.engine.graph.zoo import Program, build, conv
from tests.engine.pruning.test_compact import silence
from winnow.engine.pruning import compact


@pytest.mark.parametrize(
    ("name", "layer", "says"),
    [
        ("u-net", "up2", "6 constant: a transposed convolution does not turn a constant into a constant"),
        ("fpn", "predict.1", "4 constant: the layer's weight is shared"),
        ("pre-activation", "convs.0", "4 constant: something else needs the channel"),
        ("ours bottleneck, D-stem, ASPP", "trunk.stem.4.0", "1 constant: a channel of ones would cost as much"),
    ],
)
def test_constants_in_words(name: str, layer: str, says: str):
    net, x = build(name)
    silence(net, x, "output", 0.7)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0.5, 1.5)
    certificate = compact(net, x, gather="never").certificate
    assert certificate.constants[layer].startswith(says)


def test_a_branch_that_is_dead_as_a_whole_is_named():
    net = Program(lambda m, x: m.out(m.a(x) + m.b(x)), a=conv(3, 4), b=conv(3, 4), out=conv(4, 2)).eval()
    with torch.no_grad():
        net.b.weight.zero_()
        net.b.bias.zero_()
        net.a.weight[1:].zero_()
        net.a.bias[1:].zero_()
    found = compact(net, torch.randn(1, 3, 8, 8), gather="never")
    assert found.certificate.hollow == ()  # its one channel is that of the stream
    with torch.no_grad():
        net.a.weight.zero_()
        net.a.bias.zero_()
    assert set(compact(net, torch.randn(1, 3, 8, 8), gather="never").certificate.hollow) >= {"a", "b", "add"}


def test_nothing_is_named_where_all_that_stays_is_needed():
    net, x = build("ours basic")
    silence(net, x, "coupled", 0.5)
    certificate = compact(net, x, gather="never").certificate
    assert (dict(certificate.constants), certificate.hollow) == ({}, ())


@pytest.mark.parametrize(
    ("way", "place", "reason"),
    [
        (lambda x: x.sort(1).values, "sort", "is used in a way that the channel graph does not follow"),
        (lambda x: x.cumsum(1), "cumsum", "mixes the channels"),
        (lambda x: x * torch.arange(4.0).view(4, 1, 1).to(x), "mul", "something of a fixed number of channels"),
    ],
)
def test_idle_channels_that_an_operation_needs_are_named_with_it(way, place: str, reason: str):
    net = Program(lambda m, x: m.out(way(m.a(x))), a=conv(3, 4), out=conv(4, 2)).eval()
    x = torch.randn(2, 3, 8, 8)
    assert not compact(net, x, gather="never").certificate.pinned  # nothing is idle
    with torch.no_grad():
        net.a.weight[1].zero_()
        net.a.bias[1].zero_()
        net.out.weight[:, 1].zero_()
    pinned = compact(net, x, gather="never").certificate.pinned
    assert reason in pinned[place]
