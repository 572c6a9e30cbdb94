"""A model as files: a folder that rebuilds it without code, ONNX, a torch.export program, and a card to go with it.

Also a run's graph for Model Explorer, from tables alone.

`load_model` reads nothing but safetensors and JSON, and takes only layers and operations from a list.
May import: runs (files), graph, pruning (certificates).
Start at `engine.export.saving`.
"""

from winnow.engine.export.card import ModelFacts, model_card
from winnow.engine.export.describing import architecture
from winnow.engine.export.folding import Folded, folded
from winnow.engine.export.graphs import Exported
from winnow.engine.export.model_explorer import ExplorerGraph, Leads, explorer_files
from winnow.engine.export.onnx_file import export_onnx
from winnow.engine.export.program_file import export_program
from winnow.engine.export.rebuilding import rebuild
from winnow.engine.export.refusal import MissingPackages, NotDescribable, NotRebuildable, NotSame
from winnow.engine.export.saving import Saved, load_model, save_model

__all__ = [
    "ExplorerGraph",
    "Exported",
    "Folded",
    "Leads",
    "MissingPackages",
    "ModelFacts",
    "NotDescribable",
    "NotRebuildable",
    "NotSame",
    "Saved",
    "architecture",
    "explorer_files",
    "export_onnx",
    "export_program",
    "folded",
    "load_model",
    "model_card",
    "rebuild",
    "save_model",
]
