"""What a run takes from other runs: weights, a support, which says which groups may be non-zero, and a teacher.

Sources are named by run and by the digest of the checkpoint, so that a run says exactly what it started from, and can
be repeated as long as that checkpoint exists. A support is read from the source's own network, by the names of its
layers: a network of one task has the same trunk as a network of three.

Groups of several sources, or of the start's own weights, are compared by their LAMP scores (`engine.pruning.scores`).
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor, nn

from winnow.engine.graph.modes import evaluating, statistics_kept
from winnow.engine.graph.trace import trace
from winnow.engine.jobs.restore import restored_network
from winnow.engine.pruning.scores import lamp
from winnow.engine.runs.digests import manifests, verified
from winnow.engine.runs.run import Run, run_below
from winnow.engine.sparsity.counts import living
from winnow.engine.sparsity.groups import Bank, banks
from winnow.engine.sparsity.strength import Targeted, best_support, strength_max, with_floor
from winnow.engine.specs.penalty import MOST_STRENGTH
from winnow.engine.specs.train import TrainSpec
from winnow.engine.specs.warm_start import Source, StartSpec
from winnow.engine.training.batches import Batches
from winnow.engine.training.checkpoint import Checkpoint
from winnow.engine.training.distillation import Distillation
from winnow.engine.training.setup import build_groups
from winnow.engine.training.state import Training
from winnow.engine.training.weights_file import put_trunk, read_weights

UNMEASURED = 1e6  # a strength up to which λ_max need not be measured: float32 holds what follows from it
PASSES = 8  # batches over which the gradients of the groups are measured


def start_from(training: Training, start: StartSpec, root: Path, example: Tensor) -> None:
    """Load the weights of other runs below `root` into a fresh training, fix its support, set its teacher, as asked.

    `example` is one of the run's images, (1, C, H, W): other networks are traced with it.

    Raises:
        ValueError: a source or a file is missing or damaged, or has another network.

    """
    if start.weights is not None:
        _load(training, start.weights, root)
    if start.file is not None:
        found = read_weights(Path(start.file.path), start.file.sha256)
        put_trunk(training.net, training.spec.network, found, start.file.path)
    if start.teacher is not None:
        training.teacher = Distillation(
            _teacher(training, start.teacher, root, example), training.tasks, start.distillation
        )
    proximal = training.proximal
    proximal.norms = [bank.norms() for bank in proximal.banks]
    if start.support != "free":
        proximal.freeze(_support(training, start, root, example))
    if isinstance(training.controller, Targeted):
        training.controller.zero = training.counts.percent(training.controller.of, living(proximal.norms))


def measured_strength_max(training: Training, batches: Batches) -> float:
    """Return the λ that outweighs the summed task losses on every group, over the first batches of an epoch.

    The weights, the statistics of batch norms and the random state stay as they are.
    """
    proximal = training.proximal
    weights = training.spec.balancing.task_weights
    proximal.zero_grad()
    training.net.train()
    count = min(PASSES, batches.steps)
    with torch.random.fork_rng(), statistics_kept(training.net):
        for _, batch in zip(range(count), batches.shuffled(training.spec.seed, 0, flips=False), strict=False):
            predictions = training.net(batch.images)
            losses = [
                task.loss(predictions[name], batch.targets[name]) * weights.get(name, 1.0) / count
                for name, task in training.tasks.items()
            ]
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    found = strength_max(proximal.banks, proximal.penalty)
    proximal.zero_grad()
    return found


def refuse_vast_strength(training: Training, batches: Batches) -> None:
    """Raise where the strength is so far above λ_max that only rounding and overflow follow from it.

    Raises:
        ValueError: the strength, or one to change to, is above MOST_STRENGTH times λ_max. λ_max is named.

    """
    asked = max([training.controller.base, *(change.strength for change in training.spec.strength_changes)])
    if asked <= UNMEASURED:
        return
    unit = measured_strength_max(training, batches)
    if asked > MOST_STRENGTH * unit:
        raise ValueError(
            f"`strength` must be at most {MOST_STRENGTH * unit:.3g}, {MOST_STRENGTH:g} times λ_max, got {asked:.3g}. "
            f"λ_max is {unit:.3g} here: from there on the penalty outweighs the loss in every group."
        )


def source_run(source: Source, root: Path) -> Run:
    """Return the run that a source names.

    Raises:
        ValueError: it does not exist, or no longer holds that checkpoint.

    """
    try:
        run = run_below(root, source.run)
    except FileNotFoundError as error:
        raise ValueError(f"`start` must name a run below {root}, got {source.run}, which does not exist.") from error
    _bytes(source, run)
    return run


def _bytes(source: Source, run: Run) -> bytes:
    for manifest in reversed(manifests(run.path / "weights")):
        content = verified(manifest)
        if content is not None and source.sha256 in manifest.read_text():
            return content
    raise ValueError(f"`start` must name an intact checkpoint of {source.run}, got none with digest {source.sha256}.")


def _load(training: Training, source: Source, root: Path) -> None:
    run = source_run(source, root)
    if (run.spec.network, run.spec.tasks) != (training.spec.network, training.spec.tasks):
        raise ValueError(f"`start` must have the network and tasks of this run, got {source.run} with others.")
    training.net.load_state_dict(Checkpoint(load(_bytes(source, run)), {}).dense(training.net))


def _support(training: Training, start: StartSpec, root: Path, example: Tensor) -> list[Tensor]:
    own, zero = training.proximal.banks, partial(training.counts.percent, "parameter")
    if start.support == "strongest":
        scores = [with_floor(bank, _lamp(bank.norms())) for bank in own]
        return best_support(scores, zero, start.zero_parameters or 0.0)
    found = [_norms(training.spec, source, root, example) for source in start.supports]
    known = [[norms[bank.layer] for norms in found if bank.layer in norms] for bank in own]
    if start.support in ("same", "random") and not any(known):
        raise ValueError(
            f"`start` must name a run with the penalised layers of this one, got {start.supports[0].run}, which has "
            "none of them. Name a run of the same network."
        )
    if start.support == "random":
        chance = torch.Generator().manual_seed(training.spec.seed)
        return [_drawn(bank, _alive(bank, several), chance) for bank, several in zip(own, known, strict=True)]
    if start.zero_parameters is None:
        return [_alive(bank, several) for bank, several in zip(own, known, strict=True)]
    agreed = [_agreed(bank, several) for bank, several in zip(own, known, strict=True)]
    return best_support(agreed, zero, start.zero_parameters)


def _alive(bank: Bank, several: Sequence[Tensor]) -> Tensor:
    """Return which groups of a bank are alive in at least one source; all where no source has the layer."""
    if not several:
        return torch.ones_like(bank.present)
    return (torch.stack(list(several)) > 0).any(0).to(bank.present.device) | ~bank.present


def _drawn(bank: Bank, alive: Tensor, chance: torch.Generator) -> Tensor:
    """Return as many groups of a bank as are alive, at random; channels that are no groups stay."""
    groups = bank.present.nonzero().flatten()
    order = torch.randperm(len(groups), generator=chance).to(groups.device)
    drawn = ~bank.present
    drawn[groups[order[: int(alive[groups].sum())]]] = True
    return drawn


def _agreed(bank: Bank, several: Sequence[Tensor]) -> Tensor:
    """Return scores that are lowest for groups that are weak in all sources."""
    if not several:
        return torch.full_like(bank.norms(), 2.0)
    largest = torch.stack([_lamp(norms) for norms in several]).amax(0).to(bank.norms())
    return with_floor(bank, largest)


def _lamp(norms: Tensor) -> Tensor:
    """Return the LAMP scores of one layer's groups, (groups,)."""
    squares = norms.double().square().cpu().numpy()
    return torch.from_numpy(lamp(squares, np.zeros(len(squares), np.int64))).to(norms)


def _network(source: Source, root: Path, device: torch.device) -> nn.Module:
    """Return the network of a source, in evaluation mode, with the weights of the checkpoint that the source names."""
    run = source_run(source, root)
    net = restored_network(run, device).net
    net.load_state_dict(Checkpoint(load(_bytes(source, run)), {}).dense(net))
    return net.eval()


def _teacher(training: Training, source: Source, root: Path, example: Tensor) -> nn.Module:
    """Return the network to imitate.

    Raises:
        ValueError: it has no output of the same shape for a task of this run.

    """
    net = _network(source, root, example.device)
    try:
        with torch.no_grad(), evaluating(training.net):
            given, wanted = net(example), training.net(example)
    except RuntimeError as error:
        raise ValueError(
            f"`teacher` must take the images of this run, {tuple(example.shape[1:])}, got {source.run}: {error}."
        ) from error
    for name in training.tasks:
        if name not in given or given[name].shape != wanted[name].shape:
            found = f"{name} of shape {tuple(given[name].shape)}" if name in given else f"{', '.join(given)} alone"
            raise ValueError(
                f"`teacher` must predict {name} in the shape {tuple(wanted[name].shape)} of this run, got {found} from "
                f"{source.run}."
            )
    return net.requires_grad_(False)


def _norms(spec: TrainSpec, source: Source, root: Path, example: Tensor) -> dict[str, Tensor]:
    """Return the norms of a source's groups by layer, of the kind that this run penalises."""
    net = _network(source, root, example.device)
    graph = trace(net, example)
    named: tuple[str, ...] = getattr(spec.network, "trunk", ())
    return {bank.layer: bank.norms() for bank in banks(build_groups(spec.penalty, net, graph, example, named))}
