"""What a study or a path is asked to do.

A study trains the same base run with different sets of tasks, sparsities, balancings and seeds, and compares. All arms
share everything that decides a fair comparison: optimiser and its weight decay, schedule, epochs and patience, seeds
and with them the order of the images. One network serves all tasks of a run. It is chosen on the validation split and
evaluated on the test split once. `engine.studies.plan` says what the arms are.

A path trains one set of tasks along a grid of targets or strengths. On request, a sparser run starts from the weights
of its less sparse neighbour. The runs keep compact networks on the way (engine.runs.snapshots).
"""

from itertools import combinations
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from winnow.engine.specs.balancing import Method
from winnow.engine.specs.frozen import Frozen, Name, refusal
from winnow.engine.specs.train import TrainSpec

Control = Literal[
    "scratch", "magnitude", "unanimous", "small", "continued", "distilled", "sparse-distilled", "magnitude-distilled"
]
Definition = Literal["main", "task", "metric"]
Target = Annotated[float, Field(gt=0, lt=100, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
TaskSet = tuple[str, ...]
SNAPSHOTS = 5  # % of sparsity between two networks that the runs of a path keep, unless its base says otherwise
CLUSTERS = ("slurm", "pbs", "lsf", "sge")


class ManySpec(Frozen):
    """What a study and a path have in common: the base run, and where the runs made from it are trained."""

    kind: str
    format_version: Literal[1] = 1
    name: Name = Field(
        "study",
        min_length=1,
        max_length=40,
        description="name of the study or path; the names of its runs begin with it",
    )
    base: TrainSpec = Field(description="run that all others are made from")
    targets: tuple[Target, ...] = Field(
        (), description="shares to make exactly zero, in %, one run each; `target_of` says of what"
    )
    strengths: tuple[Fraction, ...] = Field(
        (),
        description="strengths, one run each, as fractions of λ_max, the smallest λ that outweighs the loss in every "
        "group of the fresh network",
    )
    seeds: tuple[Seed, ...] = Field(
        (0,), min_length=1, description="seeds, one run each; only runs of the same seed are compared"
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="runs at the same time on this machine; not set: as many as its cores and GPUs allow",
    )
    latency: bool = Field(
        False,
        description="at the end, remove the zeros of each run and time the smaller network, one run after the other",
    )
    scheduler: str = Field(
        "",
        pattern=r"^((tcp|tls)://\S+)?$",
        description="address of a Dask scheduler, tcp://…; a worker needs one thread and the memory of a run",
    )
    cluster: dict[str, str | int | float | bool | tuple[str, ...]] = Field(
        default_factory=dict,
        description="Dask cluster to start: cluster (slurm, pbs, lsf or sge), jobs, and options of dask-jobqueue",
    )

    @model_validator(mode="after")
    def _a_base_of_its_own(self) -> Self:
        if self.base.start is not None or self.base.strength_changes or self.base.target_changes:
            raise ValueError(
                "`base` must have no `start`, `strength_changes` or `target_changes`, got one of them. Take a run that "
                "began with fresh weights and whose strength and target were not changed."
            )
        if self.base.network.network == "recorded" or self.base.data.dataset == "recorded":
            raise ValueError(
                "`base` must be a run that Winnow trains, got one that was recorded in a loop of your own. Give its "
                "network to winnow train --network MODULE:FUNCTION first."
            )
        if self.base.penalty.removal:
            raise ValueError(
                f"`removal` must be 0, because each run keeps its best network, got {self.base.penalty.removal}."
            )
        for name in ("targets", "strengths", "seeds"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"`{name}` must name each one once, got {', '.join(map(str, values))}.")
        return self

    @model_validator(mode="after")
    def _one_place_to_train(self) -> Self:
        if self.scheduler and self.cluster:
            raise ValueError("`scheduler` must be left out with `cluster`, got both.")
        if self.cluster and self.cluster.get("cluster") not in CLUSTERS:
            raise ValueError(
                f"`cluster` must be one of {', '.join(CLUSTERS)}, got {self.cluster.get('cluster')!r}. For Kubernetes, "
                "start a KubeCluster and give the address of its `scheduler`."
            )
        return self


class StudySpec(ManySpec):
    """Sets of tasks × {dense, targets, strengths} × balancings × seeds, and controls."""

    kind: Literal["study"] = "study"
    subsets: tuple[str, ...] = Field(
        ("each", "all"), min_length=1, description="sets of tasks: each, pairs, all, or names joined by +, as seg+depth"
    )
    balancings: tuple[Method, ...] = Field((), description="balancings to compare; not set: that of the base")
    controls: tuple[Control, ...] = Field(
        (),
        description="controls, with all tasks. scratch: the same groups from fresh weights; magnitude: the "
        "largest groups of the dense network, refitted; unanimous: the groups that single-task runs agree on; small: a "
        "narrower dense network; continued: the dense network trained on; distilled, sparse-distilled and "
        "magnitude-distilled: continued, sparse and magnitude with the dense network as teacher",
    )
    distillation: float = Field(
        0.5, gt=0, le=1, description="weight of imitating the teacher (distilled controls only); 1: without any label"
    )
    warm: bool = Field(False, description="start sparse runs from the weights of the dense run")
    definition: Definition = Field(
        "main",
        description="how Δ_m is averaged. main: main metric of each task; task: all metrics of a task, then tasks; "
        "metric: all metrics at once",
    )

    @property
    def task_sets(self) -> tuple[TaskSet, ...]:
        """The sets of tasks, each once, in the order asked for; the tasks inside as in the base."""
        found: dict[TaskSet, None] = {}
        for subset in self.subsets:
            found |= dict.fromkeys(_task_sets(subset, self.base.tasks))
        return tuple(found)

    @model_validator(mode="after")
    def _sets_of_known_tasks(self) -> Self:
        for subset in self.subsets:
            if subset not in ("each", "pairs", "all") and not set(subset.split("+")) <= set(self.base.tasks):
                known = ", ".join(self.base.tasks)
                raise ValueError(
                    f"`subsets` must be each, pairs, all, or names among {known} joined by +, got {subset!r}."
                )
        return self

    @model_validator(mode="after")
    def _controls_have_something_to_control(self) -> Self:
        if self.controls and not (self.targets or self.strengths):
            raise ValueError(f"`targets` or `strengths` must be given with controls, got only {self.controls[0]}.")
        if self.controls and self.base.tasks not in self.task_sets:
            raise ValueError(f"`subsets` must include all tasks together with controls, got {', '.join(self.subsets)}.")
        if "small" in self.controls and not self.base.network.stages:
            raise ValueError(
                f"`controls` must leave small out with network {self.base.network.network}, which has no narrower form."
            )
        if "unanimous" in self.controls and len(self.base.tasks) < 2:
            raise ValueError("`controls` must leave unanimous out with one task, got one task.")
        return self


class PathSpec(ManySpec):
    """One set of tasks along a grid of targets or strengths, and without any penalty."""

    kind: Literal["path"] = "path"
    warm: bool = Field(False, description="start each run from the weights of its less sparse neighbour")

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
            raise ValueError(f"`targets` or `strengths` must give the grid, one of the two, got {found}.")
        return self


def parse_many(values: object) -> StudySpec | PathSpec:
    """Return the spec of a study or a path that a dictionary describes; raise `SpecError` with one line otherwise."""
    kind = values.get("kind") if isinstance(values, dict) else None
    model: type[StudySpec] | type[PathSpec] = PathSpec if kind == "path" else StudySpec
    try:
        return model.model_validate(values)
    except (ValidationError, UnicodeError) as error:
        raise refusal(error) from error


def _task_sets(subset: str, tasks: TaskSet) -> tuple[TaskSet, ...]:
    if subset == "each":
        return tuple((task,) for task in tasks)
    if subset == "pairs":
        return tuple(combinations(tasks, 2))
    if subset == "all":
        return (tasks,)
    named = set(subset.split("+"))
    return (tuple(task for task in tasks if task in named),)
