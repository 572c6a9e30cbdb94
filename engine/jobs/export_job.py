"""An export: the network of a pruning as files that others can use, each compared with it before it is kept.

| table   | columns                                                                                               |
|---------|-------------------------------------------------------------------------------------------------------|
| `files` | format, file (in `files/`), bytes, sha256, max_error (relative, beside the network; 0: the same bits) |
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import torch
from torch import Tensor, nn

from winnow.engine.export import Exported, Saved, export_onnx, export_program, load_model, model_card, save_model
from winnow.engine.jobs.card_facts import card_facts
from winnow.engine.jobs.run_data import example
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.derived import DerivedJob, find_derived_job
from winnow.engine.runs.digests import digest
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run
from winnow.engine.specs.export import ExportSpec, Format

COLUMNS = ["format", "file", "bytes", "sha256", "max_error"]
Writer = Callable[[nn.Module, Tensor, Path], Exported]
WRITERS: tuple[tuple[Format, str, Writer], ...] = (
    ("onnx", "model.onnx", export_onnx),
    ("torch", "model.pt2", export_program),
)


def run_export(run: Run, spec: ExportSpec, writer: ResultWriter, asked_to_end: StopRequest) -> str:
    """Write the files that are asked for; return the final state.

    Raises:
        FileNotFoundError: the run has no such pruning.
        ValueError: that pruning did not end well, or its network does not verify.
        MissingPackages: ONNX is asked for and its packages are not there.

    """
    pruning = find_derived_job(run, "prune", spec.pruning)
    if pruning.recorded_status().state != "done":
        raise ValueError(f"`pruning` should be one that is done. Found {pruning.id}: {pruning.status.state}.")
    torch.set_flush_denormal(True)
    model = load_model(pruning.path / "model").eval()
    images = example(run.spec)
    folder = writer.folder / "files"
    folder.mkdir(exist_ok=True)
    saved: Saved | None = None
    exported: list[Exported] = []
    rows: list[list[Any]] = []
    for place, name in enumerate(kind for kind in get_args(Format) if kind in spec.formats):
        if asked_to_end:
            return "stopped"
        writer.status(phase=f"writing {name}", progress=place / len(spec.formats))
        if name == "safetensors":
            saved = save_model(folder, model, images)
            rows += [_row(name, file, 0.0) for file in sorted(folder.iterdir())]
        elif name == "card":
            rows.append(_card(pruning, folder, images, (saved, exported)))
        else:
            exported.append(_exported(name, model, images, folder))
            rows.append(_row(name, exported[-1].path, exported[-1].relative_error))
        writer.table("files", pd.DataFrame(rows, columns=COLUMNS))
    return "done"


def _exported(name: Format, model: nn.Module, images: Tensor, folder: Path) -> Exported:
    file, write = next((file, write) for kind, file, write in WRITERS if kind == name)
    return write(model, images, folder / file)


def _card(pruning: DerivedJob, folder: Path, images: Tensor, files: tuple[Saved | None, list[Exported]]) -> list[Any]:
    """Write the card, and put the files that it tells how to load beside it."""
    saved, exported = files
    if saved is None:
        for name in ("network.safetensors", "architecture.json"):
            shutil.copyfile(pruning.path / "model" / name, folder / name)
    facts = card_facts(pruning, tuple(images.shape), saved, exported)
    replace(folder / "README.md", model_card(facts).encode())
    return _row("card", folder / "README.md", float("nan"))


def _row(kind: str, file: Path, error: float) -> list[Any]:
    content = file.read_bytes()
    return [kind, file.name, len(content), digest(content), error]
