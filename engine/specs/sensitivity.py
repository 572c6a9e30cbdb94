"""What a sensitivity analysis of a run's layers is asked to do."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from winnow.engine.specs.frozen import DerivedSpec, available_cores

CutShare = Annotated[float, Field(gt=0, lt=100)]


class SensitivitySpec(DerivedSpec):
    """How far each task falls as each layer alone loses its channels of lowest score, without training."""

    kind: Literal["sensitivity"] = "sensitivity"
    criterion: Literal["norm", "relevance"] = Field(
        "norm", description="which channels of a layer go first: those of lowest norm or of lowest relevance"
    )
    shares: tuple[CutShare, ...] = Field(
        (10, 25, 50, 75, 90),
        min_length=1,
        max_length=20,
        description="shares of a layer's channels to cut, in %, one after another; one channel always stays",
    )
    tolerance: float = Field(
        1.0,
        ge=0,
        le=1000,
        allow_inf_nan=False,
        description="what a suggested share may cost each task, in % of its metric",
    )
    images: int = Field(
        256, ge=1, le=1_000_000, description="validation images to evaluate on, the first ones; more take longer"
    )
    relevance_images: int = Field(
        128, ge=1, le=1_000_000, description="training images to measure relevance on (relevance only)"
    )
    threads: int = Field(default_factory=available_cores, ge=1, le=1024, description="CPU threads")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to compute")

    @model_validator(mode="after")
    def _shares_rise(self) -> Self:
        if any(later <= earlier for earlier, later in zip(self.shares, self.shares[1:], strict=False)):
            shown = ", ".join(f"{share:g}" for share in self.shares)
            raise ValueError(f"`shares` must rise from one to the next, got {shown}. Sort them, each once.")
        return self
