"""Which runs a study or a path consists of: a pure function of its spec.

| arm         | what it is                                                                                           |
|-------------|------------------------------------------------------------------------------------------------------|
| `dense`     | no penalty; also of each task alone, as the baseline of Δ_m                                          |
| `sparse`    | the penalty of the base, at a target or a strength; from fresh weights, or (`warm`) from those of    |
|             | the dense run                                                                                        |
| `scratch`   | the support of the sparse run, fixed from the first step on, with fresh weights of another seed      |
| `magnitude` | the trained weights of the dense run, its largest groups as fixed support, with as many zero         |
|             | parameters as the sparse run, trained again                                                          |
| `unanimous` | the same weights and number of zeros; the zero groups are those on which the sparse runs of the      |
|             | single tasks agree (DiSparse, Sun et al. 2022, with groups for weights)                              |
| `small`     | a dense network, narrower everywhere by one factor, with as many parameters as the sparse one keeps  |
| `continued` | the dense run trained once more, from its own weights                                                |
| `given`     | a sparse run of a single task that existed before the study                                          |
| `tailored`  | the dense network with the head of each task at the stage that its sparse runs still use             |
|             | (`engine.studies.depth_advice`), and no stage behind the deepest of them                             |
| `transferred` | a task that was not seen: the support of the sparse run of all other tasks, fixed from the first  |
|             | step on, from the same initial weights, for this task alone                                          |
| `found`     | likewise with the support of the sparse run of this task                                             |
| `random`    | likewise with random groups, as many in each layer as `transferred` has                              |

`distilled`, `sparse-distilled` and `magnitude-distilled` are `continued`, `sparse` and `magnitude` with the dense run
as teacher (`engine.training.distillation`): what imitation gives to each, and to a dense network too.

All runs get the same number of epochs, so that those that start from trained weights are trained twice as long in
total. Where the sparse runs start from fresh weights, this favours the controls that do not. With `warm` all are
trained equally long: `scratch` and `small`, which have no trained weights to start from, get twice the epochs, and
`continued` shows what a dense network gains from them. A single task has nothing to balance, so it is trained once for
all balancings.

What depends on another run's result (its weights, its number of parameters) is left open here: `Member.needs` names
that run, and `engine.jobs.study_members` fills it in when the run is done.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from winnow.engine.specs.penalty import PenaltySpec
from winnow.engine.specs.study import Control, PathSpec, StudySpec, TailorSpec, TaskSet
from winnow.engine.specs.train import TrainSpec, parse

Arm = Literal["dense", "sparse", "given", "tailored", "transferred", "found", "random"] | Control
Of = Literal["", "target", "strength"]
FRESH: tuple[Arm, ...] = ("scratch", "small")
PENALISED: tuple[Arm, ...] = ("sparse", "sparse-distilled")
DENSE_AGAIN: tuple[Arm, ...] = ("continued", "distilled")  # without sparsity: one run for all levels
UNSEEN: tuple[Arm, ...] = ("transferred", "found", "random")
"""The arms of a task that a support is tried on, each with a support from its first step on."""
OTHER_SEED = 1_000_003  # added for fresh weights: those of the same seed would be the lottery ticket


@dataclass(frozen=True)
class Level:
    """How sparse: a target [%], a fraction of strength_max, or neither."""

    of: Of = ""
    value: float = 0.0

    def __str__(self) -> str:
        return f"-{self.of}-{self.value:g}" if self.of else ""


@dataclass(frozen=True)
class Needs:
    """Keys of the members that must be done first.

    For weights, supports, numbers of parameters, living layers, or as teacher.
    """

    weights: str = ""
    supports: tuple[str, ...] = ()
    parameters: str = ""
    evidence: tuple[str, ...] = ()
    teacher: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """All of them, each once."""
        known = dict.fromkeys((self.weights, *self.supports, self.parameters, *self.evidence, self.teacher))
        return tuple(key for key in known if key)


NOTHING = Needs()


@dataclass(frozen=True)
class Member:
    """One run of a study: its place in the comparison, its spec as far as it is known, and what it needs first."""

    arm: Arm
    tasks: TaskSet
    balancing: str
    level: Level
    seed: int
    spec: TrainSpec
    needs: Needs = NOTHING
    distillation: float = 0.0
    run: str = ""
    """The run that it is, where the study was given one."""

    @property
    def subset(self) -> str:
        """The tasks, joined by "+"."""
        return "+".join(self.tasks)

    @property
    def key(self) -> str:
        """The member's name in its study."""
        return f"{self.arm}{self.level}/{self.subset}/{self.balancing}/{self.seed}"


def plan(spec: StudySpec | PathSpec) -> tuple[Member, ...]:
    """Return the members, each after those that it needs, and none twice."""
    found: dict[str, Member] = {}
    for member in _members(spec):
        found.setdefault(member.key, member)
    return tuple(found.values())


def _members(spec: StudySpec | PathSpec) -> Iterator[Member]:
    if isinstance(spec, PathSpec):
        return _path(spec)
    return _tailor(spec) if isinstance(spec, TailorSpec) else _study(spec)


def _tailor(spec: TailorSpec) -> Iterator[Member]:
    """Yield the sparse runs of single tasks, in which layers may die out, then the two networks to compare."""
    penalty = spec.base.penalty.model_copy(update={"floor": 0.0})
    dying = spec.model_copy(update={"base": spec.base.model_copy(update={"penalty": penalty})})
    singles = [
        _member(dying, "sparse", (task,), "equal", (level, seed))
        for level in levels_of(spec)
        for seed in spec.seeds
        for task in spec.base.tasks
    ] or [
        replace(_member(dying, "given", (one.task,), "equal", (Level(), one.seed)), run=one.run)
        for one in spec.evidence
    ]
    yield from singles
    if not spec.compare:
        return
    balancing, everything = spec.base.balancing.balancing, spec.base.tasks
    needs = Needs(evidence=tuple(member.key for member in singles))
    for seed in spec.seeds:
        yield _member(spec, "dense", everything, balancing, (Level(), seed))
        yield _member(spec, "tailored", everything, balancing, (Level(), seed), needs)


def _study(spec: StudySpec) -> Iterator[Member]:
    wanted = dict.fromkeys(spec.task_sets)
    singles = dict.fromkeys((task,) for tasks in wanted for task in tasks)
    levels = levels_of(spec)
    for seed in spec.seeds:
        for tasks in singles | wanted:
            yield from _dense_and_sparse(spec, tasks, levels if tasks in wanted else (), seed)
        if "unanimous" in spec.controls:
            for task in spec.base.tasks:
                yield from _dense_and_sparse(spec, (task,), levels, seed)
        for task in spec.unseen:
            yield from _unseen(spec, task, seed)
        for balancing in _balancings(spec, spec.base.tasks):
            for level in levels:
                yield from (_control(spec, arm, balancing, level, seed) for arm in spec.controls)


def _unseen(spec: StudySpec, task: str, seed: int) -> Iterator[Member]:
    """Yield the dense run of a task, the runs that find supports, and those that take them, at each target."""
    others = tuple(other for other in spec.base.tasks if other != task)
    targets = tuple(level for level in levels_of(spec) if level.of == "target")
    balancing = _balancing(others, spec.base.balancing.balancing)
    yield from _dense_and_sparse(spec, (task,), targets, seed)
    yield from (
        member
        for member in _dense_and_sparse(spec, others, targets, seed)
        if member.balancing == balancing and (member.arm == "sparse" or spec.warm)
    )
    for level in targets:
        on_others = _member(spec, "sparse", others, balancing, (level, seed)).key
        on_itself = _member(spec, "sparse", (task,), _balancing((task,), ""), (level, seed)).key
        for arm in UNSEEN:
            needs = Needs(supports=(on_itself if arm == "found" else on_others,))
            yield _member(spec, arm, (task,), _balancing((task,), ""), (level, seed), needs)


def levels_of(spec: StudySpec | PathSpec) -> tuple[Level, ...]:
    """Return the requested levels, the weaker ones first."""
    targets = tuple(Level("target", value) for value in sorted(spec.targets))
    return targets + tuple(Level("strength", value) for value in sorted(spec.strengths))


def _dense_and_sparse(spec: StudySpec, tasks: TaskSet, levels: tuple[Level, ...], seed: int) -> Iterator[Member]:
    for balancing in _balancings(spec, tasks):
        dense = _member(spec, "dense", tasks, balancing, (Level(), seed))
        yield dense
        needs = Needs(weights=dense.key if spec.warm else "")
        yield from (_member(spec, "sparse", tasks, balancing, (level, seed), needs) for level in levels)


def _path(spec: PathSpec) -> Iterator[Member]:
    balancing = spec.base.balancing.balancing
    for seed in spec.seeds:
        before = ""
        for level in (Level(), *levels_of(spec)):
            arm: Arm = "sparse" if level.of else "dense"
            needs = Needs(weights=before if spec.warm else "")
            member = _member(spec, arm, spec.base.tasks, balancing, (level, seed), needs)
            yield member
            before = member.key


def _control(spec: StudySpec, arm: Control, balancing: str, level: Level, seed: int) -> Member:
    everything = spec.base.tasks
    balancing = _balancing(everything, balancing)
    dense = _member(spec, "dense", everything, balancing, (Level(), seed)).key
    sparse = _member(spec, "sparse", everything, balancing, (level, seed)).key
    singles = tuple(_member(spec, "sparse", (task,), _balancing((task,), ""), (level, seed)).key for task in everything)
    needs = {
        "scratch": Needs(supports=(sparse,)),
        "magnitude": Needs(weights=dense, parameters=sparse),
        "unanimous": Needs(weights=dense, supports=singles, parameters=sparse),
        "small": Needs(parameters=sparse),
        "continued": Needs(weights=dense),
        "distilled": Needs(weights=dense, teacher=dense),
        "sparse-distilled": Needs(weights=dense if spec.warm else "", teacher=dense),
        "magnitude-distilled": Needs(weights=dense, parameters=sparse, teacher=dense),
    }[arm]
    level = Level() if arm in DENSE_AGAIN else level
    return _member(spec, arm, everything, balancing, (level, seed), needs)


def _member(
    spec: StudySpec | PathSpec, arm: Arm, tasks: TaskSet, balancing: str, at: tuple[Level, int], needs: Needs = NOTHING
) -> Member:
    level, seed = at
    base = spec.base
    weights = {task: base.balancing.task_weights.get(task, 1.0) for task in tasks} if balancing == "static" else {}
    values = base.model_dump() | {
        "name": f"{spec.name} {arm}{level} {'+'.join(tasks)} {balancing} s{seed}"[:80].strip(),
        "tasks": tasks,
        "penalty": _penalty(base.penalty, level if arm in PENALISED else Level()).model_dump(),
        "balancing": base.balancing.model_dump() | {"balancing": balancing, "task_weights": weights},
        "seed": seed,
        "epochs": base.epochs * (2 if arm in FRESH and isinstance(spec, StudySpec) and spec.warm else 1),
        "keep": "best",
        "test": spec.judged_on == "test",
    }
    imitation = spec.distillation if needs.teacher and isinstance(spec, StudySpec) else 0.0
    return Member(arm, tasks, balancing, level, seed, parse(values), needs, imitation)


def _penalty(base: PenaltySpec, level: Level) -> PenaltySpec:
    if level.of == "target":
        return base.model_copy(update={"target": level.value, "learned": "no"})
    if level.of == "strength":
        return base.model_copy(update={"target": None, "learned": "no", "strength": level.value, "strength_of": "max"})
    nothing = {
        "target": None,
        "learned": "no",
        "strength": 0.0,
        "strength_of": "loss",
        "warm_up": 0,
        "ramp": 0,
        "refit": None,
    }
    return base.model_copy(update=nothing)


def _balancings(spec: StudySpec, tasks: TaskSet) -> tuple[str, ...]:
    wanted = spec.balancings or (spec.base.balancing.balancing,)
    return tuple(dict.fromkeys(_balancing(tasks, balancing) for balancing in wanted))


def _balancing(tasks: TaskSet, balancing: str) -> str:
    """Return the balancing of some tasks: a single task has nothing to balance."""
    return "equal" if len(tasks) == 1 else balancing
