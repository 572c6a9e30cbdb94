"""What a pruning is asked to do."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from winnow.engine.specs.frozen import DerivedSpec, Positive, available_cores, refuse_repeated

Criterion = Literal["zeros", "norm", "relevance"]
BudgetOf = Literal["group", "parameter", "mac", "latency", "memory"]
Batch = Annotated[int, Field(ge=1, le=65_536)]


class PruneSpec(DerivedSpec):
    """The removal of channels from the network of a finished or stopped run, and what is measured about it."""

    kind: Literal["prune"] = "prune"
    criterion: Criterion = Field(
        "zeros",
        description="what to remove. zeros: only what is exactly zero; norm, relevance: also the channels of lowest "
        "norm or relevance",
    )
    budget: float | None = Field(
        None, gt=0, lt=100, description="share of the network to save, in %; needed with norm and relevance"
    )
    budget_of: BudgetOf = Field(
        "mac",
        description="what the budget is a share of. latency: measured at the first batch size; memory: the largest "
        "memory of the activations",
    )
    compared: Literal["layer", "size"] = Field(
        "layer",
        description="how norms of different layers are compared (norm only). layer: as shares of their layer; size: "
        "divided by √(number of weights)",
    )
    sensitivity: str = Field(
        "",
        max_length=200,
        description="id of a sensitivity analysis of the run: channels of layers whose cut costs the tasks least go "
        "first; not set: by score alone",
    )
    tolerance: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="with `sensitivity`, instead of a budget: cut each layer as far as this alone costs each task at "
        "most this share of its metric, in %",
    )
    floor: float = Field(
        0.0, ge=0, lt=1, description="share of each layer's channels that always stays; at least one does"
    )
    gather: Literal["auto", "always", "never"] = Field(
        "auto",
        description="let a layer pick the channels that it uses from a shared stream, and drop the others. auto: where "
        "that saves time",
    )
    blocks: Literal["none", "auto", "4", "8", "16", "32"] = Field(
        "none",
        title="Widths in blocks",
        description="keep the best of the channels that would go, up to the next multiple of this number in each "
        "layer. auto: up to widths that cost no time on this machine",
    )
    tasks: tuple[str, ...] = Field((), description="tasks whose heads to keep; not set: all")
    refit_epochs: int = Field(
        0, ge=0, le=100_000, description="epochs of training without penalty after the removal; 0: none"
    )
    learning_rate: Positive | None = Field(
        None, description="learning rate at the start of the refit; not set: that of the run"
    )
    distillation: float = Field(
        0.0,
        ge=0,
        le=1,
        description="weight of imitating the network before the removal in the refit; 0: learn from the labels alone, "
        "1: from that network alone",
    )
    repair: Literal["none", "norms", "readers", "both"] = Field(
        "none",
        description="repair without training, right after the removal. norms: batch norms take new statistics; "
        "readers: each layer is fitted to what it gave before",
    )
    repair_images: int = Field(
        128, ge=8, le=1_000_000, description="training images to repair on; all are in memory at once"
    )
    relevance_images: int = Field(
        128, ge=1, le=1_000_000, description="training images to measure relevance on (relevance only)"
    )
    batches: tuple[Batch, ...] = Field((1, 16), min_length=1, max_length=8, description="batch sizes to time")
    rounds: int = Field(20, ge=3, le=1000, description="timings of each model; the models take turns")
    onnx: bool = Field(True, description="also time ONNX Runtime, where it is installed")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the order and the flips of the images in the refit")
    threads: int = Field(default_factory=available_cores, ge=1, le=1024, description="CPU threads")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to compute")

    @property
    def round_to(self) -> int | Literal["auto"] | None:
        """The blocks as `engine.pruning.compact` takes them."""
        if self.blocks == "none":
            return None
        return "auto" if self.blocks == "auto" else int(self.blocks)

    @model_validator(mode="after")
    def _a_budget_where_it_counts(self) -> Self:
        if self.criterion == "zeros" and self.budget is not None:
            raise ValueError(
                f"`budget` must be left out with criterion zeros, which removes nothing else, got {self.budget:g}."
            )
        if self.criterion != "zeros" and self.budget is None and self.tolerance is None:
            raise ValueError(f"`budget` must be given with criterion {self.criterion}, got none.")
        return self

    @model_validator(mode="after")
    def _an_analysis_that_fits(self) -> Self:
        if self.sensitivity and self.criterion == "zeros":
            raise ValueError(
                "`sensitivity` must be left out with criterion zeros, which removes nothing else, got "
                f"{self.sensitivity}. Use the criterion of that analysis."
            )
        if self.sensitivity and self.compared != "layer":
            raise ValueError(
                f"`compared` must be layer with a sensitivity, which orders the layers, got {self.compared}."
            )
        if self.tolerance is not None and (not self.sensitivity or self.budget is not None):
            other = "no sensitivity" if not self.sensitivity else f"a budget of {self.budget:g} %"
            raise ValueError(f"`tolerance` must come with a sensitivity and without a budget, got {other}.")
        return self

    @model_validator(mode="after")
    def _something_to_recover(self) -> Self:
        if self.repair != "none" and self.criterion == "zeros":
            raise ValueError(
                f"`repair` must be none with criterion zeros, which changes no output, got {self.repair}. Use "
                "criterion norm or relevance."
            )
        if self.distillation and not self.refit_epochs:
            raise ValueError(
                f"`refit_epochs` must be at least 1 with distillation, which needs a refit, got {self.refit_epochs}."
            )
        return self

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        refuse_repeated(self, "tasks", "batches")
        return self
