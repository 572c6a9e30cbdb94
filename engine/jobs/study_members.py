"""The spec of a study's member when the runs that it needs are done: their checkpoints, their number of parameters."""

import json
from collections.abc import Mapping

import numpy as np
from safetensors.numpy import load

from winnow.engine.runs.digests import manifests, verified
from winnow.engine.runs.run import Run
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.specs.warm_start import Source, StartSpec
from winnow.engine.studies.plan import OTHER_SEED, Member
from winnow.engine.studies.rows import final_figures

SUPPORTS = {"magnitude": "strongest", "unanimous": "union"}
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
    start: dict[str, object] = {"supports": tuple(source_of(runs[key]) for key in needs.supports)}
    if needs.weights:
        start["weights"] = source_of(runs[needs.weights])
    if member.arm == "scratch":
        start |= {"support": "same", "fresh_seed": member.seed + OTHER_SEED}
    if member.arm in ("magnitude", "unanimous"):
        zero = final_figures(runs[needs.parameters])["parameter_sparsity"]
        start |= {"support": SUPPORTS[member.arm], "zero_parameters": min(max(zero, 0.0), 99.99)}
    return parse(spec.model_dump() | {"start": StartSpec.model_validate(start).model_dump()})


def source_of(run: Run) -> Source:
    """Return the newest intact checkpoint of a run, as specs refer to it.

    Raises:
        ValueError: there is none.

    """
    for manifest in reversed(manifests(run.path / "weights")):
        if verified(manifest) is not None:
            return Source(run=run.id, sha256=str(json.loads(manifest.read_text())["sha256"]))
    raise ValueError(f"`run` must hold an intact checkpoint, got none in {run.id}.")


def living_parameters(run: Run) -> int:
    """Return how many parameters of a run's network are not zero, inside the penalty and outside."""
    manifest = next(found for found in reversed(manifests(run.path / "weights")) if verified(found) is not None)
    tensors = load(manifest.with_suffix(".safetensors").read_bytes())
    own = (value for name, value in tensors.items() if name.startswith("net.") and not name.endswith(BUFFERS))
    return sum(int(np.count_nonzero(value)) for value in own)


def _narrower(spec: TrainSpec, sparse: Run) -> TrainSpec:
    from winnow.engine.jobs.matched_size import network_of_size  # torch: seconds of import, for this arm only

    document = json.loads((sparse.path / "weights" / "network.json").read_text())
    network = network_of_size(spec, int(document["channels"]), living_parameters(sparse))
    return parse(spec.model_dump() | {"network": network.model_dump()})
