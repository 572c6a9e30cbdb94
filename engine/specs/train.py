"""What a run is asked to do: frozen, validated, JSON in and out.

A spec is written once, before the start, and holds everything that decides the result: data, tasks, network, penalty,
optimiser, seed, thread count. Two runs of one spec on one machine end with the same bits. Each leaf carries its unit
and meaning, so that the command line, the form and the README say the same thing.
"""

from typing import Any, Literal, Self

from pydantic import Field as Leaf
from pydantic import ValidationError, model_validator

from winnow.data.catalog import DATASETS
from winnow.engine.specs.balancing import BalancingSpec, missing_packages
from winnow.engine.specs.data import DataSpec, ScenesData
from winnow.engine.specs.frozen import Frozen, Positive, SpecError, Strength, Width, available_cores, first_line
from winnow.engine.specs.warm_start import StartSpec

FORMAT_VERSION: Literal[1] = 1


class NetworkSpec(Frozen):
    """A residual trunk that all tasks share, and one head per task."""

    widths: tuple[Width, ...] = Leaf((24, 48, 64, 96), min_length=1, max_length=8, description="channels per stage")
    blocks: tuple[Width, ...] = Leaf((2, 2, 2, 2), min_length=1, max_length=8, description="blocks per stage")
    block: Literal["basic", "bottleneck"] = Leaf("basic", description="residual block; a bottleneck is 4 × as wide")
    stem: Literal["small", "large"] = Leaf(
        "small", description="first layers: 3×3 at half size, or three 3×3 and a pooling at a quarter"
    )
    dilated: bool = Leaf(True, description="last two stages dilated instead of strided")
    head: Literal["light", "aspp"] = Leaf("light", description="dense head: one 3×3 convolution, or DeepLab's ASPP")
    head_width: int = Leaf(48, ge=1, le=8192, description="channels inside each head")

    @model_validator(mode="after")
    def _stages_agree(self) -> Self:
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"`blocks` should have one entry per stage, {len(self.widths)} as `widths`. Found {len(self.blocks)}."
            )
        return self


class PenaltySpec(Frozen):
    """R(w), what it makes live or die together, and how its strength λ goes over the run."""

    penalty: Literal["group_lasso", "sparse_group_lasso", "group_mcp", "l1"] = Leaf(
        "group_lasso", description="what is penalised: norms of groups, also entries, only small norms, or entries"
    )
    strength: Strength = Leaf(
        1e-3, description="λ, the weight of the penalty in the loss; with a target, it starts at a tenth"
    )
    strength_of: Literal["loss", "max"] = Leaf(
        "loss",
        description="unit of the strength: λ itself, or the λ that outweighs the fresh network's loss everywhere",
    )
    target: float | None = Leaf(None, gt=0, lt=100, description="per cent that should be zero at the end; moves λ")
    target_of: Literal["group", "parameter", "mac"] = Leaf("group", description="what the target is a share of")
    groups: Literal["input", "output", "coupled"] = Leaf(
        "input",
        description="a layer's input channel (the paper's), a filter, or a channel with all writers and readers",
    )
    scope: Literal["trunk", "heads", "both"] = Leaf("trunk", description="which layers are penalised")
    weights: Literal["size", "none"] = Leaf("size", description="c_g: √(entries of the group), or 1")
    mix: float = Leaf(0.5, ge=0, le=1, description="α, the part of single entries (sparse_group_lasso only)")
    concavity: Positive = Leaf(3.0, description="γ: norms beyond γ λ c_g are left alone (group_mcp only)")
    normalisation: Literal["plain", "aware"] = Leaf(
        "plain", description="under batch norm: let the penalty shrink a layer, or keep its norm (input groups)"
    )
    warm_up: int = Leaf(0, ge=0, le=100_000, description="epochs without penalty at the start")
    ramp: int = Leaf(0, ge=0, le=100_000, description="epochs over which λ then rises from 0 (no target)")
    refit: float | None = Leaf(
        None, ge=0, lt=1, description="last part of the run: zeros frozen, no penalty; if not set, 0.25 with a target"
    )
    removal: int = Leaf(
        0, ge=0, le=100_000, description="epochs between two removals of what is zero; 0: zeros stay until pruned"
    )
    floor: float = Leaf(0.05, ge=0, le=1, description="part of each layer's groups that always lives; 0: may die out")

    @property
    def refit_share(self) -> float:
        """The last part of the run that is a refit of the frozen support."""
        return self.refit if self.refit is not None else 0.25 if self.target is not None else 0.0


class OptimiserSpec(Frozen):
    """How the weights move; the proximal step follows in the optimiser's own metric."""

    optimiser: Literal["adamw", "adam", "sgd"] = Leaf("adamw", description="the smooth part of each step")
    learning_rate: Positive = Leaf(2e-3, description="step length at the start")
    momentum: float = Leaf(0.9, ge=0, lt=1, description="heavy-ball momentum (sgd only)")
    weight_decay: Strength = Leaf(1e-4, description="decay; with adamw the penalised weights are left out")
    schedule: Literal["cosine", "constant"] = Leaf("cosine", description="learning rate over the steps of the run")


class StrengthChange(Frozen):
    """λ from the given step on: what a user did to a live run, so that it can be replayed."""

    step: int = Leaf(ge=0, description="first step (from 0) with the new strength")
    strength: Strength


class TrainSpec(Frozen):
    """One training run."""

    kind: Literal["train"] = "train"
    format_version: Literal[1] = FORMAT_VERSION
    name: str = Leaf("run", min_length=1, max_length=80, description="what the run is called")
    data: DataSpec = Leaf(default_factory=ScenesData, discriminator="dataset")
    tasks: tuple[str, ...] = Leaf((), description="tasks to train; none named: the first three of the data set")
    network: NetworkSpec = NetworkSpec()
    penalty: PenaltySpec = PenaltySpec()
    optimiser: OptimiserSpec = OptimiserSpec()
    balancing: BalancingSpec = BalancingSpec()
    epochs: int = Leaf(20, ge=1, le=100_000, description="passes over the training images")
    batch_size: int = Leaf(16, ge=2, le=65_536, description="images per step, over all devices and micro-batches")
    accumulate: int = Leaf(
        1, ge=1, le=4096, description="micro-batches per step, to save memory; batch norm sees each by itself"
    )
    seed: int = Leaf(0, ge=0, lt=2**63, description="seed of weights, order and flips")
    flips: bool = Leaf(True, description="mirror half of the training images (dense tasks only)")
    threads: int = Leaf(
        default_factory=lambda: available_cores(),
        ge=1,
        le=1024,
        description="CPU threads, over all devices of a machine; part of the result's bits",
    )
    device: Literal["auto", "cpu", "cuda"] = Leaf("auto", description="where to train")
    devices: int = Leaf(
        1,
        ge=1,
        le=1024,
        description="processes on this machine that share each batch: each with a GPU, or all on the CPU",
    )
    bf16: bool = Leaf(False, description="bfloat16 arithmetic; weights and zeros stay float32")
    patience: int = Leaf(
        0, ge=0, le=100_000, description="epochs without a better one on validation after which it ends; 0: never early"
    )
    keep: Literal["last", "best"] = Leaf(
        "last", description="the network that the run stands for: of the last epoch, or of the best on validation"
    )
    test: bool = Leaf(False, description="judge that network on the test split, once, at the end")
    snapshots: int = Leaf(
        0, ge=0, le=50, description="per cent of sparsity between two compact networks kept on the way; 0: none"
    )
    start: StartSpec | None = Leaf(None, description="what is taken over from other runs")
    strength_changes: tuple[StrengthChange, ...] = Leaf((), description="strengths to switch to at given steps")

    @model_validator(mode="before")
    @classmethod
    def _name_the_tasks(cls, values: Any) -> Any:
        """Fill in the tasks, so that the stored spec names them."""
        if not isinstance(values, dict) or values.get("tasks"):
            return values
        data = values.get("data", {})
        name = data.get("dataset", "scenes") if isinstance(data, dict) else data.dataset
        fields = DATASETS[name].fields if name in DATASETS else {}
        return {**values, "tasks": tuple(fields)[:3]}

    @model_validator(mode="after")
    def _tasks_exist(self) -> Self:
        known = tuple(DATASETS[self.data.dataset].fields)
        if unknown := [task for task in self.tasks if task not in known]:
            raise ValueError(
                f"`tasks` should be among {', '.join(known)} of data set {self.data.dataset}. "
                f"Found {', '.join(unknown)}."
            )
        if len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"`tasks` should name each task once. Found {', '.join(self.tasks)}.")
        return self

    @model_validator(mode="after")
    def _weights_name_the_tasks(self) -> Self:
        weights = self.balancing.task_weights
        if weights and weights.keys() != set(self.tasks):
            raise ValueError(f"`task_weights` should name {', '.join(self.tasks)}. Found {', '.join(weights)}.")
        if absent := missing_packages(self.balancing.balancing):
            raise ValueError(
                f"`balancing` {self.balancing.balancing} needs packages that are not installed: {', '.join(absent)}. "
                "Run pip install 'winnow-mtl[balancing]'."
            )
        return self

    @model_validator(mode="after")
    def _the_prox_exists(self) -> Self:
        overlapping = self.penalty.groups == "coupled"
        if self.penalty.penalty == "group_mcp" and overlapping and self.optimiser.optimiser != "sgd":
            raise ValueError(
                "`optimiser` should be sgd for group_mcp on coupled groups: in Adam's metric their prox has no closed "
                f"form. Found {self.optimiser.optimiser}."
            )
        return self

    @model_validator(mode="after")
    def _a_held_support_has_no_penalty(self) -> Self:
        held = self.start is not None and self.start.support != "free"
        if held and (self.penalty.target is not None or self.penalty.strength > 0):
            raise ValueError("`strength` should be 0, without a target, where the support is held. Found a penalty.")
        return self

    @model_validator(mode="after")
    def _a_step_fits(self) -> Self:
        length = getattr(self.data, "train_length", None)
        if length is not None and length < self.batch_size:
            raise ValueError(f"`batch_size` should be at most `train_length` = {length}. Found {self.batch_size}.")
        parts = self.devices * self.accumulate
        if parts > self.batch_size:
            raise ValueError(
                f"`batch_size` should be at least {parts}, an image per device and micro-batch. "
                f"Found {self.batch_size}."
            )
        return self


def demo() -> TrainSpec:
    """Return the run that shows what this is: three tasks on generated rooms, half of the trunk's groups zero."""
    return TrainSpec(name="demo", epochs=15, penalty=PenaltySpec(target=50.0))


def parse(values: Any) -> TrainSpec:
    """Return the spec that a dictionary (or JSON text) describes; raise `SpecError` with one line otherwise."""
    try:
        if isinstance(values, str | bytes):
            return TrainSpec.model_validate_json(values)
        return TrainSpec.model_validate(values)
    except ValidationError as error:
        raise SpecError(first_line(error)) from error
