"""What an export is asked to do: which pruned model, in which formats."""

from typing import Literal

from pydantic import Field

from winnow.engine.specs.frozen import DerivedSpec

Format = Literal["safetensors", "onnx", "torch", "card"]


class ExportSpec(DerivedSpec):
    """One export of a pruned model."""

    kind: Literal["export"] = "export"
    pruning: str = Field(min_length=1, max_length=200, description="id of the pruning to export")
    formats: tuple[Format, ...] = Field(
        ("safetensors", "onnx", "torch", "card"),
        min_length=1,
        description="formats. safetensors: weights and architecture; onnx: ONNX; torch: a torch.export program; card: "
        "a model card in Markdown",
    )
