"""What a bench is asked to do: which pruned model is timed beside its dense one, in which forms."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from winnow.engine.specs.frozen import DerivedSpec, refuse_repeated
from winnow.engine.specs.prune import Batch

FormName = Literal["eager", "folded", "compiled", "onnxruntime", "int8"]
Threads = Annotated[int, Field(ge=1, le=1024)]


class BenchSpec(DerivedSpec):
    """One bench of a pruned network: dense, masked and compact in turns."""

    kind: Literal["bench"] = "bench"
    pruning: str = Field(min_length=1, max_length=200, description="id of the pruning to time")
    forms: tuple[FormName, ...] = Field(
        ("eager", "folded", "onnxruntime", "int8"),
        min_length=1,
        description="forms to time. eager: torch as it is; folded: batch norms folded into weights; compiled: "
        "torch.compile, which takes minutes; onnxruntime: the ONNX file; int8: the same, quantised after training",
    )
    batches: tuple[Batch, ...] = Field((1, 16), min_length=1, max_length=8, description="batch sizes to time")
    threads: tuple[Threads, ...] = Field(
        (1, 2), min_length=1, max_length=8, description="numbers of CPU threads to time"
    )
    rounds: int = Field(20, ge=3, le=1000, description="timings of each network; all take turns")
    calibration: int = Field(
        32, ge=1, le=65_536, description="training images on which the ranges of int8 are measured"
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        refuse_repeated(self, "forms", "batches", "threads")
        return self
