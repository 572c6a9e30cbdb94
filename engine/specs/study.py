"""What a study or a path is asked to do.

A study trains the same base run with different sets of tasks, sparsities, balancings and seeds, and compares. All arms
share everything that decides a fair comparison: optimiser and its weight decay, schedule, epochs and patience, seeds
and with them the order of the images. One network serves all tasks of a run. It is chosen on the validation split and
evaluated on the test split once. `engine.studies.plan` says what the arms are.

A path trains one set of tasks along a grid of targets or strengths. On request, a sparser run starts from the weights
of its less sparse neighbour. The runs keep compact networks on the way (engine.runs.snapshots).
"""

from itertools import combinations
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from winnow.engine.specs.balancing import Method
from winnow.engine.specs.frozen import Frozen, refusal
from winnow.engine.specs.many import ManySpec, Seed
from winnow.engine.specs.trunk import TrunkSpec

Control = Literal[
    "scratch", "magnitude", "unanimous", "small", "continued", "distilled", "sparse-distilled", "magnitude-distilled"
]
Definition = Literal["main", "task", "metric"]
TaskSet = tuple[str, ...]
SNAPSHOTS = 5  # % of sparsity between two networks that the runs of a path keep, unless its base says otherwise


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
    unseen: tuple[str, ...] = Field(
        (),
        description="unseen tasks: the groups that stay alive on all other tasks are trained for each of these alone, "
        "from the same initial weights, at each target; compared with the dense network, random groups (as many per "
        "layer), and the groups found on the task itself",
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

    @model_validator(mode="after")
    def _a_support_for_unseen_tasks(self) -> Self:
        if not self.unseen:
            return self
        if unknown := [task for task in self.unseen if task not in self.base.tasks]:
            raise ValueError(f"`unseen` must be among {', '.join(self.base.tasks)}, got {', '.join(unknown)}.")
        if len(set(self.unseen)) < len(self.unseen):
            raise ValueError(f"`unseen` must name each task once, got {', '.join(self.unseen)}.")
        if len(self.base.tasks) < 2:
            raise ValueError("`unseen` must be left out with one task: a support is found on the others.")
        if not self.targets:
            raise ValueError("`targets` must be given with `unseen`, got none: only supports of one size are compared.")
        if self.base.penalty.scope != "trunk":
            raise ValueError(
                f"`scope` must be trunk with `unseen`, got {self.base.penalty.scope}: each task has a head of its own."
            )
        if (coupling := getattr(self.base.network, "coupling", "shared")) != "shared":
            raise ValueError(
                f"`coupling` must be shared with `unseen`, got {coupling}: its layers are not those of other tasks."
            )
        return self


class Evidence(Frozen):
    """A sparse run of a single task that exists already."""

    run: str = Field(min_length=1, max_length=200)
    task: str
    seed: Seed


class TailorSpec(StudySpec):
    """Sparse runs of each task alone, the stage that each task needs, and a network with its heads there.

    After LOMT (Upadhyay et al., arXiv 2406.03048); `engine.studies.depth_advice` has the rule.
    """

    kind: Literal["tailor"] = "tailor"  # type: ignore[assignment]  # a study of its own kind, that pages show as one
    subsets: tuple[str, ...] = ("all",)
    living: float = Field(
        1.0, ge=0, lt=100, description="share of its channels, in %, above which a layer counts as alive"
    )
    projections: Literal["skip", "count"] = Field(
        "skip",
        description="convolutions on shortcuts, with which a stage begins. skip: alone, they make no stage alive, "
        "because everything that reaches a later stage passes them; count: they count as any other layer",
    )
    evidence: tuple[Evidence, ...] = Field((), description="sparse runs of single tasks to read instead of training")
    compare: bool = Field(True, description="train the tailored network and the plain one, and compare them")

    @model_validator(mode="after")
    def _a_trunk_of_stages(self) -> Self:
        network = self.base.network
        if not isinstance(network, TrunkSpec) or network.coupling != "shared":
            raise ValueError(
                f"`network` must have one trunk of stages that all tasks share, got {network.network}. Take one of "
                "residual, resnet18 to resnet101, vit-s, vit-b and swin-t, with --coupling shared."
            )
        if network.head_stage or network.trunk_stages is not None:
            raise ValueError(
                "`head_stage` and `trunk_stages` must be left out, because `winnow tailor` determines them, got one."
            )
        if len(self.base.tasks) < 2:
            raise ValueError(f"`tasks` must be at least two, got {', '.join(self.base.tasks)} alone.")
        if (self.subsets, self.balancings, self.controls, self.warm) != (("all",), (), (), False):
            raise ValueError("`subsets`, `balancings`, `controls` and `warm` must be left out, got one of them.")
        return self

    @model_validator(mode="after")
    def _something_to_read(self) -> Self:
        if self.evidence:
            missing = [task for task in self.base.tasks if task not in {one.task for one in self.evidence}]
            if missing:
                raise ValueError(f"`evidence` must name a run of every task, got none for {', '.join(missing)}.")
            if len({(one.task, one.seed) for one in self.evidence}) < len(self.evidence):
                raise ValueError("`evidence` must have one run for each task and seed, got two of one task and seed.")
            if self.targets or self.strengths:
                raise ValueError("`targets` and `strengths` must be left out with `evidence`, got one of them.")
            return self
        if len(self.targets) + len(self.strengths) != 1:
            raise ValueError(
                f"`targets` or `strengths` must give one sparsity for all tasks, got "
                f"{len(self.targets) + len(self.strengths)}."
            )
        penalty = self.base.penalty
        if penalty.scope == "heads" or penalty.normalisation == "aware":
            raise ValueError(
                "`scope` must include the trunk and `normalisation` must be plain, so that a layer can die, got "
                f"{penalty.scope} and {penalty.normalisation}."
            )
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
    models: dict[object, type[StudySpec] | type[PathSpec]] = {"path": PathSpec, "tailor": TailorSpec}
    model = models.get(kind, StudySpec) if isinstance(kind, str) else StudySpec
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
