"""What a run is asked to do: frozen, validated, JSON in and out.

A spec is written once, before the start, and holds everything that decides the result: data, tasks, network, penalty,
optimiser, seed, thread count. Two runs of one spec on one machine end with the same bits. Each field carries its limits
and its meaning, so that the command line and the form say the same thing.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializeAsAny, TypeAdapter, ValidationError, model_validator

from winnow.data.catalog import DATASETS
from winnow.data.joined import JoinedData
from winnow.data.own import OwnData
from winnow.data.recorded import RecordedData
from winnow.data.sample import Field as About
from winnow.data.spec import DataSpec
from winnow.engine.specs.balancing import FROM_LOSSES, BalancingSpec, missing_packages, refuse_in_turns
from winnow.engine.specs.frozen import Factor, Frozen, Name, Positive, available_cores, refusal
from winnow.engine.specs.network import Network, ResidualSpec
from winnow.engine.specs.penalty import PENALTIES, PenaltySpec, StrengthChange, TargetChange
from winnow.engine.specs.registry import chosen_by
from winnow.engine.specs.tasks import OwnTask
from winnow.engine.specs.trunk import NetworkSpec
from winnow.engine.specs.warm_start import StartSpec

FORMAT_VERSION: Literal[1] = 1
USUAL_DATA = "scenes"
ZOOMED = ("segmentation", "edges", "depth", "normals")  # kinds of target of which we know what nearness does to them
READ: Mapping[str, type[DataSpec]] = MappingProxyType(
    {**DATASETS, "own": OwnData, "recorded": RecordedData, "joined": JoinedData}
)
"""All kinds of data that a spec may hold."""
Data = Annotated[SerializeAsAny[DataSpec], chosen_by("dataset", READ, USUAL_DATA)]


class OptimiserSpec(Frozen):
    """How the weights move; the proximal step of the penalty follows in the optimiser's own metric."""

    optimiser: Literal["adamw", "adam", "sgd"] = Field(
        "adamw", description="optimiser of the losses; the penalty acts after each of its steps"
    )
    learning_rate: Positive = Field(2e-3, le=1e30, description="learning rate at the start")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum (sgd only)")
    weight_decay: Factor = Field(1e-4, description="weight decay; adamw leaves the penalised weights out")
    rate: dict[str, Factor] = Field(
        default_factory=dict,
        description="learning rate of the parameters whose names match a pattern, as a factor of the learning rate: "
        "trunk.*=0.1; 0: they keep their values",
    )
    schedule: Literal["cosine", "constant"] = Field("cosine", description="learning rate over the steps of the run")
    fresh_state: bool = Field(
        False, description="forget the optimiser's moments at the start of each epoch, as some published code does"
    )


class TrainSpec(Frozen):
    """One training run."""

    kind: Literal["train"] = "train"
    format_version: Literal[1] = FORMAT_VERSION
    name: Name = Field("run", min_length=1, max_length=80, description="name of the run")
    data: Data = Field(default_factory=DATASETS[USUAL_DATA])
    tasks: tuple[str, ...] = Field((), description="tasks to train; not set: the first three of the data set")
    own_tasks: dict[str, OwnTask] = Field(default_factory=dict, description="tasks that code of your own learns")
    network: Network = ResidualSpec()
    penalty: PenaltySpec = PenaltySpec()
    optimiser: OptimiserSpec = OptimiserSpec()
    balancing: BalancingSpec = BalancingSpec()
    epochs: int = Field(20, ge=1, le=100_000, description="passes over the training images")
    batch_size: int = Field(16, ge=2, le=65_536, description="images per step, over all devices and micro-batches")
    accumulate: int = Field(
        1, ge=1, le=4096, description="micro-batches per step, to save memory; batch norm sees each one alone"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the weights, the order of the images and the flips")
    flips: bool = Field(True, description="mirror half of the training images; used when all tasks are dense")
    zoom: float = Field(
        1.0,
        ge=1,
        le=4,
        description="enlarge a random part of each training image by up to this factor, as if the scene were nearer; "
        "1: off",
    )
    threads: int = Field(
        default_factory=lambda: available_cores(),
        ge=1,
        le=1024,
        description="CPU threads per machine; another number rounds differently",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to train")
    devices: int = Field(
        1,
        ge=1,
        le=1024,
        description="processes on this machine that share each batch: each on a GPU of its own, or all on the CPU",
    )
    bf16: bool = Field(False, description="compute in bfloat16; weights and zeros stay float32")
    patience: int = Field(
        0,
        ge=0,
        le=100_000,
        description="stop after this many epochs without a better validation result; 0: never early",
    )
    keep: Literal["last", "best"] = Field(
        "last", description="network to keep at the end: that of the last epoch, or the best on validation"
    )
    test: bool = Field(False, description="evaluate the kept network on the test split, once, at the end")
    snapshots: int = Field(
        0, ge=0, le=50, description="keep a compact network each time the sparsity has grown by this many %; 0: none"
    )
    start: StartSpec | None = Field(None, description="weights and zeros to take over from other runs")
    strength_changes: tuple[StrengthChange, ...] = Field((), description="strengths to switch to at given steps")
    target_changes: tuple[TargetChange, ...] = Field((), description="targets [%] to switch to at given steps")

    @property
    def fields(self) -> Mapping[str, About]:
        """What is known about each image, and which tasks code of the user's own learns."""
        own = {name: task.learner for name, task in self.own_tasks.items()}
        return {name: replace(field, learner=own.get(name, field.learner)) for name, field in self.data.fields.items()}

    @property
    def steps_in_own_code(self) -> bool:
        """Whether code of the user's own runs in each step: a network or a task."""
        return self.network.network == "own" or bool(self.own_tasks)

    @model_validator(mode="before")
    @classmethod
    def _as_the_data_suggests(cls, values: Any) -> Any:
        """Fill in the tasks and what is usual for the data set, so that the stored spec names them."""
        if not isinstance(values, dict):
            return values
        data = _ANY_DATA.validate_python(values.get("data", {}))
        filled = {**with_usual(type(data), values), "data": data}
        return filled if values.get("tasks") else {**filled, "tasks": tuple(data.fields)[:3]}

    @model_validator(mode="before")
    @classmethod
    def _compare_at_the_parameters(cls, values: Any) -> Any:
        """Fill in where gradients are compared, for a network whose trunk and heads do not meet in one tensor."""
        balancing = values.get("balancing", {}) if isinstance(values, dict) else None
        if not isinstance(balancing, dict) or "gradients" in balancing:
            return values
        network = _ANY_NETWORK.validate_python(values.get("network", {}))
        if network.seam:
            return values
        return {**values, "network": network, "balancing": {**balancing, "gradients": "parameters"}}

    @model_validator(mode="after")
    def _tasks_exist(self) -> Self:
        known = tuple(self.data.fields)
        if strange := [task for task in self.own_tasks if task not in known]:
            where = f"data set {self.data.dataset}, {', '.join(known)}"
            raise ValueError(f"`task` must name a field of {where}, got {', '.join(strange)}.")
        if unknown := [task for task in self.tasks if task not in known]:
            raise ValueError(
                f"`tasks` must be among {', '.join(known)} for data set {self.data.dataset}, got {', '.join(unknown)}."
            )
        if len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"`tasks` must name each task once, got {', '.join(self.tasks)}.")
        return self

    @model_validator(mode="after")
    def _targets_can_be_zoomed(self) -> Self:
        kinds = {task: self.data.fields[task].kind for task in self.tasks}
        if self.zoom > 1 and (others := [task for task, kind in kinds.items() if kind not in ZOOMED]):
            raise ValueError(
                f"`zoom` must be 1 for tasks of other kinds than {', '.join(ZOOMED)}, got {self.zoom:g} with "
                f"{others[0]}, {kinds[others[0]]}."
            )
        return self

    @model_validator(mode="after")
    def _the_test_split_exists(self) -> Self:
        if self.test and "test" not in self.data.splits:
            known = ", ".join(self.data.splits)
            raise ValueError(
                f"`test` must be left out for data set {self.data.dataset}, which has the splits {known}, got a test."
            )
        return self

    @model_validator(mode="after")
    def _weights_name_the_tasks(self) -> Self:
        weights = self.balancing.task_weights
        refuse_in_turns(self.balancing.balancing, getattr(self.data, "alternating", False))
        if weights and weights.keys() != set(self.tasks):
            raise ValueError(f"`task_weights` must name {', '.join(self.tasks)}, got {', '.join(weights)}.")
        if absent := missing_packages(self.balancing.balancing):
            raise ValueError(
                f"`balancing` {self.balancing.balancing} needs packages that are not installed: {', '.join(absent)}. "
                "Run pip install 'winnow-mtl[balancing]'."
            )
        return self

    @model_validator(mode="after")
    def _a_network_without_a_seam(self) -> Self:
        """A network of the user's own runs as one, and so does one without a common trunk: no tensor is between."""
        if self.network.seam:
            return self
        which = f"network {self.network.network}" if self.network.ours else "a network of your own"
        if self.balancing.balancing not in FROM_LOSSES:
            raise ValueError(
                f"`balancing` must be one of {', '.join(FROM_LOSSES)} for {which}, got "
                f"{self.balancing.balancing}. The others need the tensor between trunk and heads."
            )
        if self.balancing.gradients == "features":
            raise ValueError(f"`gradients` must be parameters for {which}, got features.")
        return self

    @model_validator(mode="after")
    def _the_prox_exists(self) -> Self:
        closed = PENALTIES[self.penalty.penalty].any_metric
        if not closed and self.penalty.groups == "coupled" and self.optimiser.optimiser != "sgd":
            raise ValueError(
                f"`optimiser` must be sgd for {self.penalty.penalty} on coupled groups, got "
                f"{self.optimiser.optimiser}. With Adam's step lengths the penalty has no proximal step in closed form."
            )
        return self

    @model_validator(mode="after")
    def _targets_follow_a_target(self) -> Self:
        if self.target_changes and self.penalty.target is None:
            raise ValueError(
                f"`target_changes` must follow a `target`, got {len(self.target_changes)} and none. Give the first one."
            )
        return self

    @model_validator(mode="after")
    def _a_held_support_has_no_penalty(self) -> Self:
        held = self.start is not None and self.start.support != "free"
        if held and (self.penalty.target is not None or self.penalty.strength > 0):
            raise ValueError(
                "`strength` must be 0, without a target, when `start` holds a support, got a penalty. The zeros are "
                "held without one."
            )
        return self

    @model_validator(mode="after")
    def _a_step_fits(self) -> Self:
        length = self.data.length("train")
        if length is not None and length < self.batch_size:
            raise ValueError(
                f"`batch_size` must be at most {length}, the number of training images, got {self.batch_size}."
            )
        parts = self.devices * self.accumulate
        if parts > self.batch_size:
            raise ValueError(
                f"`batch_size` must be at least {parts}, one image per device and micro-batch, got {self.batch_size}."
            )
        return self


_ANY_DATA: TypeAdapter[DataSpec] = TypeAdapter(Data)
_ANY_NETWORK: TypeAdapter[NetworkSpec] = TypeAdapter(Network)


def with_usual(data: type[DataSpec], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a spec, and those that are usual for its data set where nothing is said.

    A section of another kind than the default, such as a network of the user's own, keeps the values of its kind.
    """
    filled = dict(values)
    for name, usual in data.usual.items():
        given = values.get(name, {})
        if not isinstance(usual, Mapping):
            filled.setdefault(name, usual)
            continue
        kind = getattr(TrainSpec.model_fields[name].default, name)  # a section names its kind as it is called
        if isinstance(given, Mapping) and given.get(name, kind) == kind:
            filled[name] = {**usual, **given}
    return filled


def demo() -> TrainSpec:
    """Return the spec of the demo: three tasks on generated rooms, half of the trunk's groups zero."""
    return TrainSpec(name="demo", epochs=15, penalty=PenaltySpec(target=50.0))


def parse(values: Any) -> TrainSpec:
    """Return the spec that a dictionary (or JSON text) describes; raise `SpecError` with one line otherwise."""
    try:
        if isinstance(values, str | bytes):
            return TrainSpec.model_validate_json(values)
        return TrainSpec.model_validate(values)
    except (ValidationError, UnicodeError) as error:
        raise refusal(error) from error
