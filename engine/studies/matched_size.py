"""A network narrower everywhere by one factor: the dense network of as many parameters as a sparse one has left."""

import torch

from winnow.engine.jobs.run_data import fields
from winnow.engine.networks.multitask import build_network
from winnow.engine.specs.network import NetworkSpec
from winnow.engine.specs.train import TrainSpec
from winnow.engine.tasks.build import build_tasks

STEPS = 24  # halvings of the factor: finer than one channel of the widest network


def narrowed(spec: TrainSpec, channels: int, parameters: int) -> NetworkSpec:
    """Return the run's network with widths of one factor, as large as `parameters` allow, one channel at the least.

    Where room is left, stages are one channel wider, the last ones first. The heads keep their width, as the penalty
    leaves them. `channels` are those of the images.
    """

    def fits(network: NetworkSpec) -> bool:
        return _count(spec, network, channels) <= parameters

    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(_scaled(spec, middle)) else (low, middle)
    found = _scaled(spec, low)
    for stage in reversed(range(len(found.stages))):
        wider = tuple(width + (place == stage) for place, width in enumerate(found.stages))
        candidate = found.with_stages(wider)
        if wider[stage] <= spec.network.stages[stage] and fits(candidate):
            found = candidate
    return found


def _scaled(spec: TrainSpec, factor: float) -> NetworkSpec:
    widths = tuple(max(1, round(factor * width)) for width in spec.network.stages)
    return spec.network.with_stages(widths)


def _count(spec: TrainSpec, network: NetworkSpec, channels: int) -> int:
    """Return the parameters of the run's network, which are counted without being made."""
    with torch.device("meta"):
        net = build_network(network, build_tasks(fields(spec), spec.tasks), channels)
    return sum(parameter.numel() for parameter in net.parameters())
