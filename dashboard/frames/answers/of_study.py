"""What the page Path answers: what does sparsity buy along a path, and which arm of a study is best."""

import numpy as np
import pandas as pd

from winnow.dashboard.frames.answers.answer import Answer, count
from winnow.dashboard.frames.differences import Which
from winnow.dashboard.shared.formatting import level_word


def path_answer(points: pd.DataFrame) -> Answer:
    """Say how the skill falls from the densest to the sparsest point, and where the marks are; NaN is left out."""
    known = points[points["skill"].notna()].sort_values("group_sparsity", kind="stable")
    if known.empty:
        return Answer("No point of this path has a skill yet.")
    first, last = known.iloc[0], known.iloc[-1]
    says = f"At {_place(first)} the skill is {first['skill']:.3f}"
    if len(known) > 1:
        says += f", at {_place(last)} it is {last['skill']:.3f}"
    marks = {"elbow": "Elbow", "one_standard_error": "Sparsest within one standard error of the best"}
    said = [
        f"{word}: {_place(row)}, skill {row['skill']:.3f}."
        for name, word in marks.items()
        for _, row in known[known[name].astype(bool)].head(1).iterrows()
    ]
    then = (
        "Move the slider to it and open its run."
        if said
        else "More levels, or several seeds, mark where the fall begins."
    )
    return Answer(" ".join([f"{says}.", *said]), then)


def study_answer(summary: pd.DataFrame, which: Which, over: str) -> Answer:
    """Say which sparse arm has the best Δ_m, and how sure that is."""
    quantity = f"delta.{which.against}.{which.definition}"
    own = summary[(summary["quantity"] == quantity) & (summary["split"] == which.split) & (summary["arm"] != "dense")]
    own = own[own["mean"].notna()]
    if own.empty:
        return Answer("No sparse arm has a Δ_m yet: it needs its baseline.")
    row = own.iloc[int(np.argmax(own["mean"].to_numpy(float)))]
    level = f" at {level_word(str(row['level_of']), float(row['level']))}" if row["level_of"] else ""
    seeds = int(row["n"])
    sure = f" (95 % interval: {row['low']:+.2f} to {row['high']:+.2f} %)" if seeds > 1 else ""
    says = f"Of {count(len(own), 'sparse arm')}, {row['arm']}{level} on {row['subset']} has the best Δ_m over {over}: "
    says += f"{row['mean']:+.2f} %{sure}, {count(seeds, 'seed')}."
    if seeds < 2:
        return Answer(says, "One seed says nothing about chance: train more.")
    return Answer(says, "Differences shows which arms differ by more than chance.")


def _place(row: pd.Series) -> str:
    return f"{row['group_sparsity']:.0f} % zero groups"
