"""Scale-free weights are those whose scale the loss ignores."""

import torch
from torch import nn

from winnow.engine.graph.trace import trace
from winnow.engine.sparsity.groups import scale_free_weights


def test_scale_free_weights_are_those_in_front_of_a_batch_norm_alone():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(4),
    )
    (weight,) = scale_free_weights(trace(net, torch.rand(1, 3, 12, 12)))
    assert weight is net[0].weight


def test_the_loss_ignores_their_scale():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, eps=1e-12), nn.Conv2d(4, 2, 1)).double()
    images = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    before = net(images)
    for weight in scale_free_weights(trace(net, images)):
        weight.data *= 7
    torch.testing.assert_close(net(images), before)
