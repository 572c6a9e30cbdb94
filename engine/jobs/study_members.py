"""The spec of a study's member when the runs that it needs are done: their checkpoints, their number of parameters."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load

from winnow.engine.runs.digests import manifests, newest_source, verified
from winnow.engine.runs.run import Run, run_below
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.specs.trunk import NetworkSpec, TrunkSpec
from winnow.engine.specs.warm_start import StartSpec
from winnow.engine.studies.depth_advice import Rule, advice_tables, layer_states, tailored_network
from winnow.engine.studies.plan import OTHER_SEED, Member
from winnow.engine.studies.rows import final_figures

SUPPORTS = {
    "scratch": "same",
    "magnitude": "strongest",
    "magnitude-distilled": "strongest",
    "unanimous": "union",
    "transferred": "same",
    "found": "same",
    "random": "random",
}
STEPS = 24  # halvings of the factor: finer than one channel of the widest network
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def member_spec(member: Member, runs: Mapping[str, Run], rule: Rule | None = None) -> TrainSpec:
    """Return a member's complete spec; `runs` holds those that it needs, by key. `rule` says which layers live.

    Raises:
        ValueError: a run holds no intact checkpoint, or no layer lives in all sparse runs of a task.

    """
    spec, needs = member.spec, member.needs
    if member.arm == "tailored":
        return _tailored(member, runs, rule or Rule())
    if member.arm == "small":
        return _narrower(spec, runs[needs.parameters])
    if not needs.keys:
        return spec
    return parse(spec.model_dump() | {"start": _start(member, runs).model_dump()})


def _start(member: Member, runs: Mapping[str, Run]) -> StartSpec:
    """Return what a member takes over from the runs that it needs."""
    needs = member.needs
    start: dict[str, object] = {"supports": tuple(newest_source(runs[key].path) for key in needs.supports)}
    if needs.weights:
        start["weights"] = newest_source(runs[needs.weights].path)
    if needs.teacher:
        start |= {"teacher": newest_source(runs[needs.teacher].path), "distillation": member.distillation}
    if member.arm == "scratch":
        start["fresh_seed"] = member.seed + OTHER_SEED
    if member.arm in SUPPORTS:
        start["support"] = SUPPORTS[member.arm]
    if needs.parameters:
        zero = final_figures(runs[needs.parameters])["parameter_sparsity"]
        start["zero_parameters"] = min(max(zero, 0.0), 99.99)
    return StartSpec.model_validate(start)


def living_parameters(run: Run) -> int:
    """Return how many parameters of a run's network are not zero, inside the penalty and outside."""
    manifest = next(found for found in reversed(manifests(run.path / "weights")) if verified(found) is not None)
    tensors = load(manifest.with_suffix(".safetensors").read_bytes())
    own = (value for name, value in tensors.items() if name.startswith("net.") and not name.endswith(BUFFERS))
    return sum(int(np.count_nonzero(value)) for value in own)


def given_run(member: Member, root: Path) -> Run:
    """Return the run that a study was given for a member.

    Raises:
        ValueError: it is not the finished run of this one task and seed, of the same network and data, in which layers
            may die out.
        FileNotFoundError: there is none of that name.

    """
    run = run_below(root, member.run)
    own, asked = run.spec, member.spec
    penalty = own.penalty
    wrong = {
        f"be done, got one that is {run.status.state}": run.status.state != "done",
        f"have the one task {member.subset}, got {', '.join(own.tasks)}": own.tasks != member.tasks,
        f"have the seed {member.seed}, got {own.seed}": own.seed != member.seed,
        "have the same network as the others, got another": own.network != asked.network,
        "have the same data as the others, got other": own.data != asked.data,
        "be sparse in the trunk, got one without such a penalty": penalty.scope == "heads"
        or not (penalty.target or penalty.strength),
        f"have `floor` 0, so that a layer may die out, got {penalty.floor:g}": penalty.floor > 0,
        "have the normalisation plain, so that a layer may die out, got aware": penalty.normalisation == "aware",
    }
    for says, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"`evidence` must {says}, in {run.id}. Leave `evidence` out to train such runs.")
    if isinstance(own.network, TrunkSpec):
        layer_states(run, own.network.depth, Rule())  # now, before anything is trained for its sake
    return run


def _tailored(member: Member, runs: Mapping[str, Run], rule: Rule) -> TrainSpec:
    network = member.spec.network
    if not isinstance(network, TrunkSpec):
        raise ValueError(f"`network` must have a trunk of stages, got {network.network}.")
    by_task: dict[str, list[Run]] = {}
    for key in member.needs.evidence:
        by_task.setdefault(runs[key].spec.tasks[0], []).append(runs[key])
    advice = advice_tables(by_task, network.depth, rule)["advice"]
    return parse(member.spec.model_dump() | {"network": tailored_network(network, advice).model_dump()})


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
