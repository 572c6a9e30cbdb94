"""What a model card may say of a pruning: gathered from its folder and its run's, nothing computed."""

from collections.abc import Mapping, Sequence

import pandas as pd

from winnow.engine.export import Exported, ModelFacts, Saved
from winnow.engine.jobs.certificate_file import read_certificate
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.work_folder import WorkFolder
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.specs.train import TrainSpec

LIMITS = (
    "The certificate speaks of the removal alone: the smaller network gives what the sparse one gave.",
    "The metrics are those of the validation images of the run, which also chose nothing but were seen while tuning.",
)


def card_facts(
    pruning: DerivedJob, example: Sequence[int], saved: Saved | None, exported: Sequence[Exported]
) -> ModelFacts:
    """Return what a card says of the network of a pruning; `example` is the shape of one image, as a batch."""
    run, spec = pruning.run, pruning.run.spec
    measures, known = _table(pruning, "measures"), spec.data.fields
    tasks = _kept(pruning)
    return ModelFacts(
        name=f"{spec.name}, pruned",
        summary=f"A multi-task network for {', '.join(tasks)}, trained on {spec.data.dataset} under group sparsity; "
        "what the penalty zeroed, or what a budget took, is removed.",
        run=run.id,
        spec=_described(spec, pruning),
        dataset=f"{spec.data.dataset}: {_named(spec.data.model_dump(exclude={'dataset'}))}",
        seeds=(spec.seed,),
        packages=pruning.packages,
        tasks={task: known[task].kind for task in tasks},
        example=tuple(example),
        certificate=read_certificate(pruning),
        metrics=_before_and_after(_table(pruning, "metrics")),
        measures=measures[measures["model"].isin(["dense", "pruned"])] if len(measures) else measures,
        saved=saved,
        exported=tuple(exported),
        limits=LIMITS,
    )


def _described(spec: TrainSpec, pruning: DerivedJob) -> dict[str, str]:
    """Return what decided the result, in the words of the specs."""
    asked = pruning.spec
    given = asked.model_dump(exclude_defaults=True, exclude={"kind"}) if isinstance(asked, PruneSpec) else {}
    return {
        "penalty": f"{spec.penalty.penalty} on {spec.penalty.groups} groups of the {spec.penalty.scope}",
        "target": f"{spec.penalty.target:g} % of the {spec.penalty.target_of}s" if spec.penalty.target else "",
        "strength": "" if spec.penalty.target else f"{spec.penalty.strength:g}",
        "optimiser": f"{spec.optimiser.optimiser}, learning rate {spec.optimiser.learning_rate:g}",
        "epochs": str(spec.epochs),
        "pruning": _named(given) or "exact zeros only",
    }


def _named(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())


def _kept(pruning: DerivedJob) -> list[str]:
    asked = pruning.spec
    chosen = asked.tasks if isinstance(asked, PruneSpec) else ()
    return [task for task in pruning.run.spec.tasks if not chosen or task in chosen]


def _before_and_after(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return one row per metric: its value in the run's network, and in the one that leaves."""
    if metrics.empty:
        return metrics
    last = "refitted" if "refitted" in set(metrics["model"]) else "pruned"
    keys = ["task", "metric", "unit"]
    before, after = (metrics[metrics["model"] == name][[*keys, "value"]] for name in ("dense", last))
    found = after.merge(before, on=keys, how="left", suffixes=("_after", "_before"))
    return found.rename(columns={"value_before": "before", "value_after": "after"})[[*keys, "before", "after"]]


def _table(work: WorkFolder, name: str) -> pd.DataFrame:
    try:
        return work.table(name)
    except FileNotFoundError:
        return pd.DataFrame()
