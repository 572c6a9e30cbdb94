"""What a pruning is asked to do: frozen, validated, JSON in and out. Free of torch, for pages and command lines."""

from typing import Annotated, Literal, Self

from pydantic import Field as Leaf
from pydantic import model_validator

from winnow.engine.specs.frozen import Frozen, Positive, available_cores

Criterion = Literal["zeros", "norm", "relevance"]
BudgetOf = Literal["group", "parameter", "mac", "latency"]
Batch = Annotated[int, Leaf(ge=1, le=65_536)]


class PruneSpec(Frozen):
    """The removal of channels from the network of a finished or stopped run, and what is measured about it."""

    kind: Literal["prune"] = "prune"
    format_version: Literal[1] = 1
    criterion: Criterion = Leaf(
        "zeros", description="what goes: only what the penalty zeroed, or also channels of low norm or low relevance"
    )
    budget: float | None = Leaf(
        None, gt=0, lt=100, description="per cent of the network to save (needed unless only zeros go)"
    )
    budget_of: BudgetOf = Leaf(
        "mac", description="what the budget is a share of; latency is timed at the first of the batches"
    )
    compared: Literal["layer", "size"] = Leaf(
        "layer", description="norms: a channel's share of its layer, or its norm ÷ √(weights) whatever the layer"
    )
    floor: float = Leaf(0.0, ge=0, lt=1, description="part of each layer's channels that always stays; one at least")
    gather: Literal["auto", "always", "never"] = Leaf(
        "auto", description="whether a layer that uses a part of a stream picks its channels: where it pays, or as said"
    )
    tasks: tuple[str, ...] = Leaf((), description="heads to keep; none named: all")
    refit_epochs: int = Leaf(0, ge=0, le=100_000, description="epochs of training without penalty after the removal")
    learning_rate: Positive | None = Leaf(
        None, description="step length at the start of the refit; if not set, that of the run"
    )
    relevance_images: int = Leaf(
        128, ge=1, le=1_000_000, description="training images on which relevance is measured (criterion relevance)"
    )
    batches: tuple[Batch, ...] = Leaf((1, 16), min_length=1, max_length=8, description="batch sizes to time")
    rounds: int = Leaf(20, ge=3, le=1000, description="timings of each model, in turns")
    onnx: bool = Leaf(True, description="time ONNX Runtime beside torch, where it is installed")
    seed: int = Leaf(0, ge=0, lt=2**63, description="seed of the order and flips of the refit")
    threads: int = Leaf(default_factory=available_cores, ge=1, le=1024, description="CPU threads")
    device: Literal["auto", "cpu", "cuda"] = Leaf("auto", description="where to compute")

    @model_validator(mode="after")
    def _a_budget_where_it_counts(self) -> Self:
        if self.criterion == "zeros" and self.budget is not None:
            raise ValueError(
                f"`budget` should be left out with criterion zeros, which removes nothing else. Found {self.budget:g}."
            )
        if self.criterion != "zeros" and self.budget is None:
            raise ValueError(f"`budget` should be given with criterion {self.criterion}. Found none.")
        return self

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name in ("tasks", "batches"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"`{name}` should name each one once. Found {', '.join(map(str, values))}.")
        return self
