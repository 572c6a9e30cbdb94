"""What a study or a path is asked to do: frozen, validated, JSON in and out. Free of torch.

A study trains the same base run with different sets of tasks, sparsities, balancings and seeds, and compares. All arms
share everything that decides a fair comparison: optimiser and its weight decay, schedule, epochs and patience, seeds
and with them the order of the images; one network for all tasks of a run; the validation split chooses it, the test
split is looked at once. What the arms are, `engine.studies.plan` says.

A path trains one set of tasks along a grid of targets or strengths, the sparser points warm-started from their
neighbours on request; its runs keep a compact network at every few per cent on the way (engine.runs.snapshots).
"""

from itertools import combinations
from typing import Annotated, Any, Literal, Self

from pydantic import Field as Leaf
from pydantic import ValidationError, model_validator

from winnow.engine.specs.balancing import Method
from winnow.engine.specs.frozen import Frozen, SpecError, first_line
from winnow.engine.specs.train import TrainSpec

Control = Literal["scratch", "magnitude", "unanimous", "small", "continued"]
Definition = Literal["main", "task", "metric"]
Target = Annotated[float, Leaf(gt=0, lt=100, allow_inf_nan=False)]
Fraction = Annotated[float, Leaf(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Leaf(ge=0, lt=2**63)]
TaskSet = tuple[str, ...]
SNAPSHOTS = 5  # %, between two networks that the runs of a path keep, unless its base says otherwise
CLUSTERS = ("slurm", "pbs", "lsf", "sge")


class ManySpec(Frozen):
    """What a study and a path have in common: the base run, and where its many relatives are trained."""

    kind: str
    format_version: Literal[1] = 1
    name: str = Leaf("study", min_length=1, max_length=40, description="what it is called; its runs begin with it")
    base: TrainSpec = Leaf(description="the run that all others are made from")
    targets: tuple[Target, ...] = Leaf((), description="per cent that should be zero, of what the base's target is of")
    strengths: tuple[Fraction, ...] = Leaf(
        (), description="strengths, as fractions of the one that outweighs the fresh network's loss everywhere"
    )
    seeds: tuple[Seed, ...] = Leaf((0,), min_length=1, description="seeds; runs are compared seed by seed")
    workers: int | None = Leaf(
        None,
        ge=1,
        le=1024,
        description="runs at a time on this machine; none given: as many as its cores and GPUs carry",
    )
    latency: bool = Leaf(False, description="remove each run's zeros at the end, and time what is left, one by one")
    scheduler: str = Leaf(
        "",
        pattern=r"^((tcp|tls)://\S+)?$",
        description="address of a Dask scheduler, tcp://…; its workers have one thread, and what a run takes",
    )
    cluster: dict[str, str | int | float | bool | tuple[str, ...]] = Leaf(
        default_factory=dict, description="a Dask cluster to start: cluster (slurm, pbs, lsf, sge), jobs, its options"
    )

    @model_validator(mode="after")
    def _a_base_that_stands_alone(self) -> Self:
        if self.base.start is not None or self.base.strength_changes:
            raise ValueError("`base` should start from nothing and be changed by nobody. Found a start or changes.")
        if self.base.penalty.removal:
            raise ValueError(
                f"`removal` should be 0: each run keeps its best network. Found {self.base.penalty.removal}."
            )
        for name in ("targets", "strengths", "seeds"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"`{name}` should name each one once. Found {', '.join(map(str, values))}.")
        return self

    @model_validator(mode="after")
    def _one_place_to_train(self) -> Self:
        if self.scheduler and self.cluster:
            raise ValueError("`scheduler` should be left out with `cluster`. Found both.")
        if self.cluster and self.cluster.get("cluster") not in CLUSTERS:
            raise ValueError(
                f"`cluster` should be one of {', '.join(CLUSTERS)} (for Kubernetes: start a KubeCluster, and give its "
                f"`scheduler`). Found {self.cluster.get('cluster')!r}."
            )
        return self


class StudySpec(ManySpec):
    """Sets of tasks × {dense, targets, strengths} × balancings × seeds, and controls."""

    kind: Literal["study"] = "study"
    subsets: tuple[str, ...] = Leaf(
        ("each", "all"), min_length=1, description="sets of tasks: each, pairs, all, or names as seg+depth"
    )
    balancings: tuple[Method, ...] = Leaf((), description="balancings of several tasks; none named: that of the base")
    controls: tuple[Control, ...] = Leaf(
        (),
        description="of all tasks together: the sparse support trained from scratch, the largest groups of the dense "
        "network refitted, the groups that single-task runs agree on, a uniformly narrower network, the dense network "
        "trained on",
    )
    warm: bool = Leaf(False, description="start sparse runs with the trained weights of the dense one")
    definition: Definition = Leaf(
        "main", description="the Δ_m shown: mean over tasks of the main metric, of all its metrics, or over all metrics"
    )

    @property
    def task_sets(self) -> tuple[TaskSet, ...]:
        """The sets of tasks, each once, in the order asked for; the tasks inside as in the base."""
        found: dict[TaskSet, None] = {}
        for word in self.subsets:
            found |= dict.fromkeys(_task_sets(word, self.base.tasks))
        return tuple(found)

    @model_validator(mode="after")
    def _sets_of_known_tasks(self) -> Self:
        for word in self.subsets:
            if word not in ("each", "pairs", "all") and not set(word.split("+")) <= set(self.base.tasks):
                known = ", ".join(self.base.tasks)
                raise ValueError(f"`subsets` should be each, pairs, all, or made of {known} with +. Found {word!r}.")
        return self

    @model_validator(mode="after")
    def _controls_have_something_to_control(self) -> Self:
        if self.controls and not (self.targets or self.strengths):
            raise ValueError(f"`targets` or `strengths` should be given with controls. Found {self.controls[0]} alone.")
        if self.controls and self.base.tasks not in self.task_sets:
            raise ValueError(f"`subsets` should have all tasks with controls. Found {', '.join(self.subsets)}.")
        if "unanimous" in self.controls and len(self.base.tasks) < 2:
            raise ValueError("`controls` should leave unanimous out with one task. Found one task.")
        return self


class PathSpec(ManySpec):
    """One set of tasks along a grid of targets or strengths, and without any penalty."""

    kind: Literal["path"] = "path"
    warm: bool = Leaf(False, description="start each point with the weights of its less sparse neighbour")

    @model_validator(mode="before")
    @classmethod
    def _networks_are_kept(cls, values: Any) -> Any:
        """Let the runs keep compact networks on the way where the base does not say whether they should."""
        base = values.get("base") if isinstance(values, dict) else None
        if not isinstance(base, dict) or "snapshots" in base:
            return values
        return {**values, "base": {**base, "snapshots": SNAPSHOTS}}

    @model_validator(mode="after")
    def _one_grid(self) -> Self:
        if bool(self.targets) == bool(self.strengths):
            found = "both" if self.targets else "neither"
            raise ValueError(f"`targets` or `strengths` should give the grid, one of them. Found {found}.")
        return self


def parse_many(values: object) -> StudySpec | PathSpec:
    """Return the spec of a study or a path that a dictionary describes; raise `SpecError` with one line otherwise."""
    kind = values.get("kind") if isinstance(values, dict) else None
    model: type[StudySpec] | type[PathSpec] = PathSpec if kind == "path" else StudySpec
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SpecError(first_line(error)) from error


def _task_sets(word: str, tasks: TaskSet) -> tuple[TaskSet, ...]:
    if word == "each":
        return tuple((task,) for task in tasks)
    if word == "pairs":
        return tuple(combinations(tasks, 2))
    if word == "all":
        return (tasks,)
    named = set(word.split("+"))
    return (tuple(task for task in tasks if task in named),)
