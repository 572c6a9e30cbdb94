"""A training run from spec to last checkpoint: data, network, loop and writer put together.

At the end the network that the run keeps (engine.jobs.best_epoch) is evaluated and stored as the last checkpoint. The
test split is looked at then, after everything is decided, and nowhere else.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from winnow.data.checking.summaries import hardly_metres
from winnow.data.own import OwnData
from winnow.engine.jobs.best_epoch import BestEpoch
from winnow.engine.jobs.cost_prediction import compare_at_the_end, predict_cost
from winnow.engine.jobs.epoch_report import EpochReport, removable_shares
from winnow.engine.jobs.live_changes import cannot_be_met, hardly_any_steps, missed
from winnow.engine.jobs.other_ranks import train_along
from winnow.engine.jobs.run_data import Say, batches, fields, prepare, require_readable, skipped_samples
from winnow.engine.jobs.session import TrainingSession
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.warm_start import measured_strength_max, refuse_vast_strength, start_from
from winnow.engine.jobs.writer import ResultWriter, Values
from winnow.engine.networks.multitask import build_network
from winnow.engine.runs.log_marks import marks
from winnow.engine.runs.run import Run
from winnow.engine.sparsity.counts import living
from winnow.engine.sparsity.learned import Learned
from winnow.engine.sparsity.strength import SAID_OF, Targeted
from winnow.engine.specs.network import OwnSpec
from winnow.engine.specs.train import TrainSpec
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.surroundings import seed_stream
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batches
from winnow.engine.training.checkpoint import save_checkpoint
from winnow.engine.training.distributed.joining import joined
from winnow.engine.training.distributed.orders import tell_to_end
from winnow.engine.training.distributed.place import place
from winnow.engine.training.distributed.ranks import ALONE, Ranks
from winnow.engine.training.evaluate import labelled
from winnow.engine.training.loop import Training, begin, start_at_constants, validate

FEW_MEASUREMENTS = 30  # of a held-out loss: ten are lost in the running means
SEEDED = "the code of the network seeds torch: its first weights are the same whatever --seed says"


def run_training(run: Run, writer: ResultWriter, stop_requested: StopRequest) -> str:
    """Train a run from its newest checkpoint, or from the start; return the final state, `done` or `stopped`."""
    here = place()
    device = prepare(run.spec.threads, run.spec.device, here, own_code=run.spec.steps_in_own_code)
    with joined(here, device) as ranks:
        return run_on(run, writer, stop_requested, device, ranks)


def run_on(run: Run, writer: ResultWriter, stop_requested: StopRequest, device: torch.device, ranks: Ranks) -> str:
    """Train a run on one device, together with the run's other processes on theirs."""
    spec = run.spec
    _name_own_code(spec, writer)
    tasks = build_tasks(fields(spec), spec.tasks)

    def say(phase: str) -> None:
        writer.tick(phase=phase)

    training_images, validation = (batches(spec, tasks, split, device, say) for split in ("train", "val"))
    training_images, held_out = _parted(training_images, spec)
    _check_samples(spec, writer, say)
    writer.status(phase="building the network")
    net, said = _fresh_network(spec, tasks, training_images.channels)
    training = begin(spec, net, tasks, training_images, ranks, held_out)
    training.stream = _own_stream(spec)
    start_at_constants(training, training_images)
    predicted_by = predict_cost(training, training_images.example(), run.path)
    measured = _warm_start(training, training_images, run)
    refuse_vast_strength(training, training_images)
    if not ranks.leads:
        train_along(training, training_images, validation, run.path / "weights")
        return "done"
    session = TrainingSession(training, training_images, validation, writer, stop_requested)
    session.begin()
    _remark(training, training_images, writer, [*said, *_unjudged(validation)], predicted_by)
    if measured and training.step == 0:
        writer.events((0, 0), "start", measured)
    best = BestEpoch(training, training_images, validation, run.path / "weights")
    state = session.train(best.watch)
    tell_to_end(ranks)
    met = missed(training)
    writer.conclude(met)
    training.ranks = ALONE  # this process does the rest by itself
    if state == "done":
        if spec.test or spec.keep == "best":
            writer.status(phase="evaluating the network that is kept")
            tested = {"test": batches(spec, tasks, "test", device, say)} if spec.test else {}
            _conclude(best, training, writer, {"kept": validation, **tested})
        compared = compare_at_the_end(training, training_images.example(), writer, best.place)
        writer.conclude("; ".join(filter(None, [met, compared])))
    return state


def _network_seed(spec: TrainSpec) -> int:
    """Return the seed that the first weights are drawn with."""
    fresh = spec.start.fresh_seed if spec.start is not None else None
    return spec.seed if fresh is None else fresh


def _fresh_network(spec: TrainSpec, tasks: Mapping[str, Task], channels: int) -> tuple[nn.Module, list[str]]:
    """Return a network with its first weights, and a sentence where its code draws them with a seed of its own."""
    torch.manual_seed(_network_seed(spec))
    net = build_network(spec.network, tasks, channels)
    return net, [SEEDED] if torch.initial_seed() != _network_seed(spec) else []


def _check_samples(spec: TrainSpec, writer: ResultWriter, say: Say) -> None:
    """Read the test split before hours are spent; write which samples are left out. Each where the spec asks for it."""
    if spec.test:
        require_readable(spec, "test", say)
    if (skipped := skipped_samples(spec)) is not None:
        writer.table("skipped", skipped)


def _parted(images: Batches, spec: TrainSpec) -> tuple[Batches, Batches | None]:
    """Return the images to train on, and those held out to learn the strength by, where that is asked for."""
    _require_steps(images, spec.batch_size)
    if spec.penalty.learned == "no":
        return images, None
    return images.parted(spec.penalty.held_out, spec.seed)


def _require_steps(images: Batches, size: int) -> None:
    if images.shortest_part < size:
        whose = "the number of training images" if images.shortest_part == images.images else "those of one data set"
        raise ValueError(
            f"`batch_size` must be at most {images.shortest_part}, {whose}, got {size}. Give it with --batch-size."
        )


def _name_own_code(spec: TrainSpec, writer: ResultWriter) -> None:
    """Say which code of the user's own runs from here on: it may hang, or end the process without a word."""
    parts = [part.code for part in (spec.network, spec.data) if isinstance(part, OwnSpec | OwnData)]
    if names := [*parts, *(task.code for task in spec.own_tasks.values())]:
        writer.status(phase=f"running your code: {', '.join(names)}")


def _own_stream(spec: TrainSpec) -> int | None:
    """Let the training of code of the user's own draw from a stream that this code does not name by chance; return it.

    So a step that seeds torch again is noticed (`engine.tasks.surroundings`). None where all code is ours.
    """
    return seed_stream(_network_seed(spec)) if spec.steps_in_own_code else None


def _remark(training: Training, images: Batches, writer: ResultWriter, known: Sequence[str], predicted_by: str) -> None:
    """Say before the first step what is known of the run for good, and what may not come of it, until that is seen."""
    for sentence in [*known, *_without_signal(images), *_in_other_units(images)]:
        writer.remark(sentence)
    ahead = [predicted_by, *_hard_target(training), *_learned_from_little(training)]
    if any(ahead):
        writer.tell("; ".join(filter(None, ahead)))


def _without_signal(images: Batches) -> list[str]:
    """Return a sentence for images, and for targets, that are the same everywhere: nothing can be learned of them."""
    found = ["all training images are one colour: check the data"] if images.one_colour() else []
    same = [name for name in images.tasks if images.one_value(name)]
    return [*found, *(f"`{name}` is the same in all training images: nothing can be learned from it" for name in same)]


def _unjudged(validation: Batches) -> list[str]:
    """Return a sentence for every task that nothing can be said of on validation."""
    unknown = [name for name, task in validation.tasks.items() if not labelled(task, validation, name).any()]
    return [f"`{name}` has no label in the validation images: it is trained, but not judged" for name in unknown]


def _in_other_units(images: Batches) -> list[str]:
    """Return a sentence for every depth that is hardly in metres."""
    found = []
    for name, task in images.tasks.items():
        if task.field.kind == "depth":
            target = images.target(name)
            said = hardly_metres(float(target.sum(dtype=torch.float64) / (target > 0).sum()))
            found += [f"`{name}`: {said}"] * bool(said)
    return found


def _hard_target(training: Training) -> list[str]:
    """Return a sentence where a target cannot be met, or is left to chance."""
    control, penalty = training.controller, training.spec.penalty
    if not isinstance(control, Targeted):
        return []
    share = f"of the {SAID_OF[control.of][0]}"
    if hard := cannot_be_met(control, penalty.floor):
        return [hard]
    if penalty.refit_share == 0:
        return [f"without a refit, the share at the end may differ from {control.percent:g} % {share}"]
    return [*filter(None, [hardly_any_steps(control)])]


def _learned_from_little(training: Training) -> list[str]:
    """Return a sentence where a strength is learned from so few measurements that it stays near its start."""
    control = training.controller
    if not isinstance(control, Learned) or control.planned >= FEW_MEASUREMENTS:
        return []
    measured = f"{control.planned} measurement{'' if control.planned == 1 else 's'}"
    return [
        f"the strength is learned from {measured} only, and may stay near its start: give a smaller --learn-every or "
        "more epochs"
    ]


def _conclude(best: BestEpoch, training: Training, writer: ResultWriter, splits: Mapping[str, Batches]) -> None:
    """Evaluate the kept network on each split, {name in the events: images}; write its tables and its checkpoint.

    A run that is killed meanwhile does it again: the checkpoint's logs end before it.
    """
    logs = marks(writer.folder)
    place = best.put_back()
    report = EpochReport(training, writer)
    for split, images in splits.items():
        report.metrics(place, split, validate(training, images))
    shares = training.counts.all_percents(living(training.proximal.whole(training.proximal.norms)))
    shares |= removable_shares(training.dense_graph().savings())
    skill = {"skill": best.best["skill"]} if best.best is not None else {}
    values: Values = {(None, name): value for name, value in {**shares, **skill}.items()}
    writer.events(place, "kept", values)
    report.tables()
    save_checkpoint(writer.folder / "weights", training, place[0], logs)


def _warm_start(training: Training, images: Batches, run: Run) -> Values:
    """Start from other runs' weights and supports, and scale the strength, as the spec says; return what was measured.

    A resumed run does this again before it loads its own checkpoint, with the same result.
    """
    measured: dict[tuple[str | None, str], float | None] = {}
    if training.spec.penalty.strength_of == "max":
        unit = measured_strength_max(training, images)
        training.controller.base *= unit
        measured[None, "strength_max"] = unit
    if training.spec.start is not None:
        start_from(training, training.spec.start, run.path.parent, images.example())
    return measured
