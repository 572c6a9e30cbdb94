"""An export: the network of a pruning as files for other programs, each compared with it before it is kept.

What Model Explorer shows (engine.export.model_explorer) is of the run itself, and of its newest explanation.

| table   | columns                                                                                               |
|---------|-------------------------------------------------------------------------------------------------------|
| `files` | format, file (in `files/`), bytes, sha256, max_error (relative, beside the network; 0: the same bits; |
|         | NaN where no network is in the file)                                                                  |
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import torch
from torch import Tensor, nn

from winnow.engine.explain.usage import ALL, DEAD, IDLE, surely_led, tasks_of
from winnow.engine.export import (
    ExplorerGraph,
    Exported,
    Leads,
    ModelFacts,
    Saved,
    explorer_files,
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
from winnow.engine.runs.derived import DerivedJob, derived_jobs, find_derived_job
from winnow.engine.runs.digests import digest, manifests
from winnow.engine.runs.files import replace
from winnow.engine.runs.reading import read_object, taken_apart
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
        ValueError: that pruning is not done, or its network is damaged; or the run has no tables of its network.
        MissingPackages: ONNX is asked for and its packages are not installed.

    """
    files = _Files(run, spec, writer)
    for place, name in enumerate(kind for kind in get_args(Format) if kind in spec.formats):
        if stop_requested:
            return "stopped"
        writer.status(phase=f"writing {name}", progress=place / len(spec.formats))
        files.write(name)
        writer.table("files", pd.DataFrame(files.rows, columns=COLUMNS))
    return "done"


class _Files:
    """The files of one export; the network is read once a format needs it."""

    def __init__(self, run: Run, spec: ExportSpec, writer: ResultWriter) -> None:
        self.run, self.writer, self.folder = run, writer, writer.folder / "files"
        self.pruning = _done_pruning(run, spec.pruning) if spec.pruning else None
        torch.set_flush_denormal(True)
        shutil.rmtree(self.folder, ignore_errors=True)  # what an interrupted worker has begun
        self.folder.mkdir()
        self.rows: list[list[Any]] = []
        self.loaded: tuple[nn.Module, Tensor] | None = None
        self.saved: Saved | None = None
        self.exported: list[Exported] = []

    def write(self, name: Format) -> None:
        """Write the files of one format, and remember what they are."""
        if name == "model-explorer":
            self._model_explorer()
        elif self.pruning is None:
            raise ValueError(f"`pruning` must be the id of a pruning for {name}, got none. Prune first.")
        else:
            self._network(name, self.pruning)

    def _network(self, name: Format, pruning: DerivedJob) -> None:
        self.loaded = self.loaded or (load_model(pruning.path / "model").eval(), first_image(self.run))
        model, images = self.loaded
        if name == "safetensors":
            self.saved = save_model(self.folder, model, images)
            self.rows += [_row(name, file, 0.0) for file in sorted(self.folder.iterdir())]
        elif name == "card":
            self.rows.append(_card(pruning, self.folder, images, (self.saved, self.exported)))
        else:
            file, write = next((file, write) for kind, file, write in EXPORTS if kind == name)
            self.exported.append(write(model, images, self.folder / file))
            self.rows.append(_row(name, self.exported[-1].path, self.exported[-1].relative_error))

    def _model_explorer(self) -> None:
        graph, missing = explorer_graph(self.run)
        with taken_apart(self.run.path / "tables"):
            found = explorer_files(graph)
        for file, text in found.files.items():
            replace(self.folder / file, text.encode())
            self.rows.append(_row("model-explorer", self.folder / file, float("nan")))
        self.writer.conclude(" ".join([*missing, *found.missing]))


def explorer_graph(run: Run) -> tuple[ExplorerGraph, list[str]]:
    """Return what a run stores of its network and groups, with its newest explanation; and what is missing there.

    An explanation of all layers is preferred to a newer one of some. Nothing is computed.

    Raises:
        ValueError: the run has no tables of its network yet, or they are damaged.

    """
    try:
        nodes, edges, groups = (run.table(name) for name in ("network", "streams", "groups"))
    except FileNotFoundError as error:
        raise ValueError(
            f"`run` must have the tables of its network, got none in {run.id}. They are written after its first epoch."
        ) from error
    facts = {"run": run.id, "state": run.recorded_status().state, "groups": run.spec.penalty.groups}
    facts |= {"penalty": run.spec.penalty.penalty, "tasks": ", ".join(run.spec.tasks)}
    done = [work for work in derived_jobs(run, "explain") if work.recorded_status().state == "done"]
    explained = next((work for work in done if not getattr(work.spec, "layers", ())), next(iter(done), None))
    if explained is None:
        missing = f"No leading tasks and shares: the run has no explanation. Run winnow explain {run.id} first."
        return ExplorerGraph(run.id, nodes, edges, groups, facts=facts | {"leading task": missing}), [missing]
    facts |= {"leading task": f"by the explanation {explained.id}"}
    with taken_apart(explained.path / "tables" / "usage.parquet"):
        return ExplorerGraph(run.id, nodes, edges, groups, _leads(explained), facts), []


def _leads(explained: DerivedJob) -> Leads:
    """Return who leads the channels of each layer, and the tasks' shares in its relevance [%]."""
    used, layers = explained.table("usage"), explained.table("layers")
    tasks, led = tasks_of(used), surely_led(used)
    order = list(dict.fromkeys(used["layer"]))
    counts = {layer: {task: int(((used["layer"] == layer) & (led == task)).sum()) for task in tasks} for layer in order}
    living = used.loc[~used["label"].isin([IDLE, DEAD]), "layer"].tolist()
    whole = layers[layers["label"] == ALL]
    shares = {
        task: dict(zip(whole["layer"], (100 * whole[f"share_{task}"]).clip(upper=100), strict=True)) for task in tasks
    }
    return Leads(counts, {layer: living.count(layer) for layer in order}, shares)


def _done_pruning(run: Run, name: str) -> DerivedJob:
    pruning = find_derived_job(run, "prune", name)
    if pruning.recorded_status().state != "done":
        raise ValueError(f"`pruning` must be done, got {pruning.id}: {pruning.status.state}. Wait, or take another.")
    return pruning


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
