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
