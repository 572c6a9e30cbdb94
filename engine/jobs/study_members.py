"""The spec of a study's member when the runs that it needs are done: their checkpoints, their number of parameters."""

import json
from collections.abc import Mapping

import numpy as np
from safetensors.numpy import load

from winnow.engine.runs.digests import manifests, newest_source, verified
from winnow.engine.runs.run import Run
from winnow.engine.specs.network import NetworkSpec
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.specs.warm_start import StartSpec
from winnow.engine.studies.plan import OTHER_SEED, Member
from winnow.engine.studies.rows import final_figures

SUPPORTS = {"magnitude": "strongest", "magnitude-distilled": "strongest", "unanimous": "union"}
STEPS = 24  # halvings of the factor: finer than one channel of the widest network
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def member_spec(member: Member, runs: Mapping[str, Run]) -> TrainSpec:
    """Return a member's complete spec; `runs` holds those that it needs, by key.

    Raises:
        ValueError: a run holds no intact checkpoint.

    """
    spec, needs = member.spec, member.needs
    if member.arm == "small":
        return _narrower(spec, runs[needs.parameters])
    if not needs.keys:
        return spec
    start: dict[str, object] = {"supports": tuple(newest_source(runs[key].path) for key in needs.supports)}
    if needs.weights:
        start["weights"] = newest_source(runs[needs.weights].path)
    if needs.teacher:
        start |= {"teacher": newest_source(runs[needs.teacher].path), "distillation": member.distillation}
    if member.arm == "scratch":
        start |= {"support": "same", "fresh_seed": member.seed + OTHER_SEED}
    if member.arm in SUPPORTS:
        zero = final_figures(runs[needs.parameters])["parameter_sparsity"]
        start |= {"support": SUPPORTS[member.arm], "zero_parameters": min(max(zero, 0.0), 99.99)}
    return parse(spec.model_dump() | {"start": StartSpec.model_validate(start).model_dump()})


def living_parameters(run: Run) -> int:
    """Return how many parameters of a run's network are not zero, inside the penalty and outside."""
    manifest = next(found for found in reversed(manifests(run.path / "weights")) if verified(found) is not None)
    tensors = load(manifest.with_suffix(".safetensors").read_bytes())
    own = (value for name, value in tensors.items() if name.startswith("net.") and not name.endswith(BUFFERS))
    return sum(int(np.count_nonzero(value)) for value in own)


def _narrower(spec: TrainSpec, sparse: Run) -> TrainSpec:
    document = json.loads((sparse.path / "weights" / "network.json").read_text())
    network = network_of_size(spec, int(document["channels"]), living_parameters(sparse))
    return parse(spec.model_dump() | {"network": network.model_dump()})


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
    """Return the number of parameters of a network, without allocating them."""
    import torch  # seconds of import, for the arm `small` only

    from winnow.engine.jobs.run_data import fields
    from winnow.engine.networks.multitask import build_network
    from winnow.engine.tasks.build import build_tasks

    with torch.device("meta"):
        net = build_network(network, build_tasks(fields(spec), spec.tasks), channels)
    return sum(parameter.numel() for parameter in net.parameters())
