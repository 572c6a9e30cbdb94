"""What an export is asked to do: which pruned model leaves, and in which forms."""

from typing import Literal

from pydantic import Field as Leaf

from winnow.engine.specs.frozen import Frozen

Format = Literal["safetensors", "onnx", "torch", "card"]


class ExportSpec(Frozen):
    """One export of a pruned model."""

    kind: Literal["export"] = "export"
    format_version: Literal[1] = 1
    pruning: str = Leaf(min_length=1, max_length=200, description="which pruning of the run leaves")
    formats: tuple[Format, ...] = Leaf(
        ("safetensors", "onnx", "torch", "card"),
        min_length=1,
        description="weights and architecture; ONNX; a torch.export program; a model card in Markdown",
    )
