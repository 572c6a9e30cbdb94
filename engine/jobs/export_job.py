"""An export: the network of a pruning as files for other programs, each compared with it before it is kept.

| table   | columns                                                                                               |
|---------|-------------------------------------------------------------------------------------------------------|
| `files` | format, file (in `files/`), bytes, sha256, max_error (relative, beside the network; 0: the same bits) |
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import torch
from torch import Tensor, nn

from winnow.engine.export import (
    Exported,
    ModelFacts,
    Saved,
    export_onnx,
    export_program,
    load_model,
    model_card,
    save_model,
)
from winnow.engine.jobs.certificate_file import read_certificate
from winnow.engine.jobs.run_data import first_image
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.derived import DerivedJob, find_derived_job
from winnow.engine.runs.digests import digest, manifests
from winnow.engine.runs.files import replace
from winnow.engine.runs.reading import read_object
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import WorkFolder
from winnow.engine.sparsity.strength import SAID_OF
from winnow.engine.specs.export import ExportSpec, Format
from winnow.engine.specs.penalty import PenaltySpec
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.specs.train import TrainSpec

LIMITS = (
    "The certificate is about the removal alone: the smaller network computes what the sparse one computed.",
    "The metrics are those on the run's validation images, which may have helped to choose the epoch and the settings.",
)
NOT_PUBLIC = {"dataset", "root", "cache", "description"}  # parts of the data's spec that a card does not repeat
COLUMNS = ["format", "file", "bytes", "sha256", "max_error"]
Export = Callable[[nn.Module, Tensor, Path], Exported]
EXPORTS: tuple[tuple[Format, str, Export], ...] = (
    ("onnx", "model.onnx", export_onnx),
    ("torch", "model.pt2", export_program),
)


def run_export(run: Run, spec: ExportSpec, writer: ResultWriter, stop_requested: StopRequest) -> str:
    """Write the requested files; return the final state, `done` or `stopped`.

    Raises:
        FileNotFoundError: the run has no such pruning.
        ValueError: that pruning is not done, or its network is damaged.
        MissingPackages: ONNX is asked for and its packages are not installed.

    """
    pruning = find_derived_job(run, "prune", spec.pruning)
    if pruning.recorded_status().state != "done":
        raise ValueError(f"`pruning` must be done, got {pruning.id}: {pruning.status.state}. Wait, or take another.")
    torch.set_flush_denormal(True)
    model = load_model(pruning.path / "model").eval()
    images = first_image(run)
    folder = writer.folder / "files"
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted worker has begun
    folder.mkdir()
    saved: Saved | None = None
    exported: list[Exported] = []
    rows: list[list[Any]] = []
    for place, name in enumerate(kind for kind in get_args(Format) if kind in spec.formats):
        if stop_requested:
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
    file, write = next((file, write) for kind, file, write in EXPORTS if kind == name)
    return write(model, images, folder / file)


def _card(pruning: DerivedJob, folder: Path, images: Tensor, files: tuple[Saved | None, list[Exported]]) -> list[Any]:
    """Write the card, and put the files that it describes beside it."""
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


def card_facts(
    pruning: DerivedJob, example: Sequence[int], saved: Saved | None, exported: Sequence[Exported]
) -> ModelFacts:
    """Return what a model card says about a pruning's network, read from its folder and its run's; nothing is computed.

    `example` is the shape of a batch of one image.
    """
    run, spec = pruning.run, pruning.run.spec
    measures, known = _table(pruning, "measures"), spec.data.fields
    tasks = _kept(pruning)
    return ModelFacts(
        name=f"{spec.name}, pruned",
        summary=f"A multi-task network for {', '.join(tasks)}, trained on {spec.data.dataset} under group sparsity. "
        "The channels that the penalty made zero, or that a budget chose, are removed.",
        run=run.id,
        spec=_described(spec, pruning),
        dataset=f"{spec.data.dataset}: {_named(spec.data.model_dump(exclude=NOT_PUBLIC))}",
        seeds=(spec.seed,),
        packages=pruning.packages,
        digests=_digests(pruning),
        tasks={task: known[task].kind for task in tasks},
        example=tuple(example),
        certificate=read_certificate(pruning),
        metrics=_before_and_after(_table(pruning, "metrics")),
        measures=measures[measures["model"].isin(["dense", "pruned"])] if len(measures) else measures,
        saved=saved,
        exported=tuple(exported),
        limits=LIMITS,
    )


def _strength(penalty: PenaltySpec) -> str:
    """Say the strength at the start; nothing where a target moves it."""
    if penalty.learned != "no":
        return f"learned ({penalty.learned})"
    return "" if penalty.target else f"{penalty.strength:g}"


def _described(spec: TrainSpec, pruning: DerivedJob) -> dict[str, str]:
    """Return the settings that decided the result, named as in the specs."""
    asked = pruning.spec
    given = asked.model_dump(exclude_defaults=True, exclude={"kind"}) if isinstance(asked, PruneSpec) else {}
    return {
        "penalty": f"{spec.penalty.penalty} on {spec.penalty.groups} groups of the {spec.penalty.scope}",
        "target": f"{target:g} % of the {SAID_OF[spec.penalty.target_of][0]}"
        if (target := pruning.run.target_now())
        else "",
        "strength": _strength(spec.penalty),
        "optimiser": f"{spec.optimiser.optimiser}, learning rate {spec.optimiser.learning_rate:g}",
        "epochs": str(spec.epochs),
        "pruning": _named(given) or "exact zeros only",
    }


def _digests(pruning: DerivedJob) -> dict[str, str]:
    """Return the digests of what decided the result: specs, data, code, weights; what is not known is left out."""
    run = pruning.run
    made = read_object(run.path / "spec.json").get("made_with", {})
    newest = [read_object(manifest).get("sha256", "") for manifest in manifests(run.path / "weights")[-1:]]
    known = {
        "the run's spec.json": digest((run.path / "spec.json").read_bytes()),
        "the pruning's spec.json": digest((pruning.path / "spec.json").read_bytes()),
        "data": made.get("data", ""),
        "code: Winnow": made.get("source", ""),
        "code: the network": made.get("network", ""),
        "weights of the run": newest[0] if newest else "",
        "weights of this model": read_object(pruning.path / "model" / "architecture.json").get("sha256", ""),
    }
    return {what: str(value) for what, value in known.items() if value}


def _named(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())


def _kept(pruning: DerivedJob) -> list[str]:
    asked = pruning.spec
    chosen = asked.tasks if isinstance(asked, PruneSpec) else ()
    return [task for task in pruning.run.spec.tasks if not chosen or task in chosen]


def _before_and_after(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return one row per metric: its value in the run's network and in the exported one."""
    if metrics.empty:
        return metrics
    last = next(stage for stage in ("refitted", "repaired", "pruned") if stage in {*metrics["model"], "pruned"})
    keys = ["task", "metric", "unit"]
    before, after = (metrics[metrics["model"] == name][[*keys, "value"]] for name in ("dense", last))
    found = after.merge(before, on=keys, how="left", suffixes=("_after", "_before"))
    return found.rename(columns={"value_before": "before", "value_after": "after"})[[*keys, "before", "after"]]


def _table(work: WorkFolder, name: str) -> pd.DataFrame:
    """Return a table, empty if it is missing."""
    try:
        return work.table(name)
    except FileNotFoundError:
        return pd.DataFrame()
