"""What an export is asked to do: which pruned model, in which formats."""

from typing import Literal, Self

from pydantic import Field, model_validator

from winnow.engine.specs.frozen import DerivedSpec

Format = Literal["safetensors", "onnx", "torch", "card", "model-explorer"]
OF_THE_RUN: tuple[Format, ...] = ("model-explorer",)  # formats of the run itself, pruned or not


class ExportSpec(DerivedSpec):
    """One export: files of a pruned model, or what Model Explorer shows of the run itself."""

    kind: Literal["export"] = "export"
    pruning: str = Field("", max_length=200, description="id of the pruning to export; model-explorer needs none")
    formats: tuple[Format, ...] = Field(
        ("safetensors", "onnx", "torch", "card"),
        min_length=1,
        description="formats. safetensors: weights and architecture; onnx: ONNX; torch: a torch.export program; card: "
        "a model card in Markdown; model-explorer: the run's graph and what is known of its nodes, for Model Explorer",
    )

    @model_validator(mode="after")
    def _a_pruning_where_it_is_exported(self) -> Self:
        if not self.pruning and (needing := [name for name in self.formats if name not in OF_THE_RUN]):
            raise ValueError(f"`pruning` must be the id of a pruning for {', '.join(needing)}, got none. Prune first.")
        return self
