"""Studies and paths, and their tables, read again only when they are replaced.

The tables are those of engine.studies.tables, with their columns; one that is not there yet is an empty frame with the
columns that the pages need, as a study is looked at while it goes on.

| function      | rows                      | columns                                                                 |
|---------------|---------------------------|-------------------------------------------------------------------------|
| `members`     | runs of a study           | state, arm, tasks, balancing, sparsity, seed, reused, run, message      |
| `definitions` | arms with a Δ_m           | arm, tasks, balancing, then Δ_m [%] in each definition, seeds           |
| `unseen_`     | task × sparsity × other   | task, support (the tasks it was found on), sparsity, other, difference, |
|   `supports`  |                           | low, high [points of Δ_m], seeds: what the support is better by         |
| `latencies`   | arm × batch               | arm, tasks, balancing, batch, before and after [ms]: medians over runs  |
|               |                           | of their medians; runs; quiet: whether the machine was, in all of them  |
"""

import pandas as pd

from winnow.dashboard.frames.file_versions import Version
from winnow.dashboard.frames.stored_tables import stored, stored_version
from winnow.dashboard.shared.formatting import STATES, isolated, level_word
from winnow.engine.runs.quantities import metric_title, metrics
from winnow.engine.runs.study import COLUMNS as MEMBERS
from winnow.engine.runs.study import Study, list_studies
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.study import PathSpec, StudySpec
from winnow.engine.studies.delta import DEFINITIONS
from winnow.engine.studies.depth_advice import ADVICE
from winnow.engine.studies.depth_advice import COLUMNS as DEPTHS
from winnow.engine.studies.rows import COLUMNS as RESULTS

WHO = ("arm", "subset", "balancing", "level_of", "level")
UNSEEN = ("task", "support", "sparsity", "other", "difference", "low", "high", "seeds")
SPLIT_TITLES = {"test": "test images", "val": "validation images"}
LATENCIES = ("arm", "tasks", "balancing", "batch", "before", "after", "runs", "quiet")
PAIRED = ("difference", "difference_low", "difference_high", "pairs")
COLUMNS: dict[str, tuple[str, ...]] = {
    "members": tuple(MEMBERS),
    "results": tuple(RESULTS),
    "summary": (*WHO, "split", "quantity", "mean", "std", "n", "low", "high", *PAIRED),
    "comparisons": (*WHO[1:], "split", "against", "definition", "arm", "other", *PAIRED),
    "delta": (*WHO, "seed", "run", "split", "against", "definition", "delta", "shown", "baselines"),
    "unseen": ("task", "support", "level_of", "level", "split", "definition", "other", *PAIRED),
    "jaccard": (*WHO, "layer", "depth", "one", "other", "jaccard", "chance"),
    "latency": (*WHO, "seed", "run", "pruning", "model", "quantity", "batch", "backend", "value", "steady"),
    "path": ("point", "level_of", "level", "seeds", "runs", "skill", "elbow", "one_standard_error"),
    "deaths": ("layer", "channel", "point", "level"),
    "depth": DEPTHS,
    "advice": ADVICE,
}


def studies() -> list[Study]:
    """Return all studies and paths, newest first."""
    return list_studies()


def spec(study: Study) -> StudySpec | PathSpec | None:
    """Return what was asked, None where it can't be read."""
    try:
        return study.spec
    except (OSError, SpecError, ValueError):
        return None


def study_table(study: Study, name: str) -> pd.DataFrame:
    """Return a table of a study, without rows where it is not there yet."""
    return stored(study, name, COLUMNS)


def study_versions(study: Study, *names: str) -> tuple[Version, ...]:
    """Return when some tables (all by default) were last replaced: the key of whatever is made of them."""
    return tuple(stored_version(study, name) for name in names or COLUMNS)


def begun(study: Study) -> bool:
    """Return whether a run of the study has ended, so that there is something to see."""
    return len(study_table(study, "results")) > 0


def members(study: Study) -> pd.DataFrame:
    """Return the runs of a study in words, in the order of its plan."""
    known = study_table(study, "members")
    signs = {state: sign for state, (sign, _, _) in STATES.items()}
    return pd.DataFrame(
        {
            "state": [f"{signs.get(state, '○')} {state}" for state in known["state"]],
            "arm": known["arm"],
            "tasks": known["subset"],
            "balancing": known["balancing"],
            "sparsity": study_levels(known),
            "seed": known["seed"],
            "reused": known["reused"],
            "run": known["run"],
            "message": known["message"],
        }
    )


def study_levels(frame: pd.DataFrame) -> list[str]:
    """Say the sparsity that each row asks for."""
    return [level_word(str(of), float(level)) for of, level in zip(frame["level_of"], frame["level"], strict=True)]


def definitions(study: Study, split: str, against: str) -> pd.DataFrame:
    """Return Δ_m of every arm in its three definitions as text: mean and 95 % interval over seeds."""
    known = study_table(study, "summary")
    own = known[(known["split"] == split) & known["quantity"].str.startswith(f"delta.{against}.")]
    rows = []
    for who, cells in own.groupby(list(WHO), sort=False):
        arm, subset, balancing, of, level = who
        found = cells.set_index("quantity")
        texts = {name: _interval(found, f"delta.{against}.{name}") for name in DEFINITIONS}
        said = f"{arm}, {level_word(str(of), float(str(level)))}" if of else arm
        rows.append({"arm": said, "tasks": subset, "balancing": balancing, **texts, "seeds": int(found["n"].max())})
    return pd.DataFrame(rows, columns=pd.Index(["arm", "tasks", "balancing", *DEFINITIONS, "seeds"]))


def _interval(found: pd.DataFrame, quantity: str) -> str:
    if quantity not in found.index:
        return "–"
    mean, low, high, n = (float(found[name][quantity]) for name in ("mean", "low", "high", "n"))
    if mean != mean:  # a task without labels, or a run that diverged
        return "–"
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})" if n > 1 else f"{mean:+.2f}"


def tailored_and_plain(study: Study, split: str = "test") -> pd.DataFrame:
    """Return what a tailored network reaches beside the plain one: quantity, plain, tailored, difference, seeds.

    Δ_m is over the plain network. Without rows where one of the two is missing.
    """
    known = study_table(study, "summary")
    own = known[(known["split"] == split) & (known["subset"] == "+".join(study.spec.base.tasks))]
    plain = own[own["arm"] == "dense"].set_index("quantity")
    rows = []
    for row in own[own["arm"] == "tailored"].to_dict("records"):
        name = str(row["quantity"])
        of_metric = "." in name and not name.startswith("delta.")
        if not (of_metric or name in ("parameters", "macs", "delta.dense.main")) or name not in plain.index:
            continue
        change = [row["difference"], row["difference_low"], row["difference_high"]]
        reached = [_spread(plain["mean"][name], plain["std"][name]), _spread(row["mean"], row["std"])]
        rows.append([_said(study, name), *reached, _changed(change, int(row["pairs"])), int(row["pairs"])])
    return pd.DataFrame(rows, columns=pd.Index(["quantity", "plain", "tailored", "difference", "seeds"]))


def _said(study: Study, quantity: str) -> str:
    """Return what a quantity of the summary is called: a metric by its task, its label and its unit."""
    words = {"parameters": "parameters", "macs": "MACs", "delta.dense.main": "Δ_m [%]"}
    fields = study.spec.base.fields
    words |= {
        f"{task}.{own.name}": metric_title(task, own) for task in study.spec.base.tasks for own in metrics(fields[task])
    }
    return words.get(quantity, quantity.replace(".", " ", 1))


def _spread(mean: float, std: float) -> str:
    return f"{mean:,.4g}" if std != std else f"{mean:,.4g} ± {std:.2g}"


def _changed(change: list[float], pairs: int) -> str:
    if pairs < 1 or change[0] != change[0]:
        return "–"
    return f"{change[0]:+,.4g}" if pairs < 2 else "{:+,.4g} ({:+,.4g} to {:+,.4g})".format(*change)


def unseen_supports(study: Study, split: str, definition: str) -> pd.DataFrame:
    """Return by how much a support found on other tasks is better for a task than dense, random and its own."""
    known = study_table(study, "unseen")
    own = known[(known["split"] == split) & (known["definition"] == definition)]
    named = {"difference_low": "low", "difference_high": "high", "pairs": "seeds"}
    return own.assign(sparsity=study_levels(own)).rename(columns=named)[list(UNSEEN)].reset_index(drop=True)


def study_called(study: Study) -> str:
    """Return how a study is called in a selector: its kind, its name, which may be another's too, and its id."""
    known = spec(study)
    return study.id if known is None else f"{known.kind} {isolated(known.name)} · {study.id}"


def latencies(study: Study) -> pd.DataFrame:
    """Return the times of one forward pass before and after what is zero was removed, none where nothing was timed."""
    known = study_table(study, "latency")
    own = known[(known["quantity"] == "latency") & (known["backend"] == "eager")]
    rows = []
    for who, cells in own.groupby([*WHO, "batch"], sort=False):
        arm, subset, balancing, of, level, batch = who
        times = {name: 1000 * cells.loc[cells["model"] == name, "value"].astype(float) for name in ("dense", "pruned")}
        said = f"{arm}, {level_word(str(of), float(str(level)))}" if of else arm
        medians = [times["dense"].median(), times["pruned"].median()]
        rows.append(
            [said, subset, balancing, int(float(str(batch))), *medians, cells["run"].nunique(), cells["steady"].all()]
        )
    return pd.DataFrame(rows, columns=pd.Index(LATENCIES))
