"""A dense network with as many parameters as a sparse one keeps: narrower everywhere by one factor."""

import torch

from winnow.engine.jobs.run_data import fields
from winnow.engine.networks.multitask import build_network
from winnow.engine.specs.train import NetworkSpec, TrainSpec
from winnow.engine.tasks.build import build_tasks

STEPS = 24  # halvings of the factor: finer than one channel of the widest network


def network_of_size(spec: TrainSpec, channels: int, parameters: int) -> NetworkSpec:
    """Return the run's network with its widths times one factor, as large as `parameters` allow; one channel at least.

    If parameters are left over, stages get one channel more, the last ones first. The heads keep their width, because
    the penalty does not touch them. `channels` is the number of channels of the images.
    """

    def fits(network: NetworkSpec) -> bool:
        return _count(spec, network, channels) <= parameters

    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(_scaled(spec, middle)) else (low, middle)
    found = _scaled(spec, low)
    for stage in reversed(range(len(found.widths))):
        wider = tuple(width + (place == stage) for place, width in enumerate(found.widths))
        candidate = found.model_copy(update={"widths": wider})
        if wider[stage] <= spec.network.widths[stage] and fits(candidate):
            found = candidate
    return found


def _scaled(spec: TrainSpec, factor: float) -> NetworkSpec:
    widths = tuple(max(1, round(factor * width)) for width in spec.network.widths)
    return spec.network.model_copy(update={"widths": widths})


def _count(spec: TrainSpec, network: NetworkSpec, channels: int) -> int:
    """Return the number of parameters of a network, without allocating them."""
    with torch.device("meta"):
        net = build_network(network, build_tasks(fields(spec), spec.tasks), channels)
    return sum(parameter.numel() for parameter in net.parameters())
