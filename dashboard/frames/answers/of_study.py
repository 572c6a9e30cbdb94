"""What the page Path answers: what does sparsity buy along a path, and which arm of a study is best."""

import numpy as np
import pandas as pd

from winnow.dashboard.frames.answers.answer import Answer, count, percent
from winnow.dashboard.frames.differences import Which
from winnow.dashboard.shared.formatting import level_word
from winnow.engine.studies.depth_advice import advice_sentence


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
    low, high, mean = (f"{row[name]:+.2f}".replace("-", "−") for name in ("low", "high", "mean"))
    sure = f" (95 % interval: {low} to {high} %)" if seeds > 1 else ""
    says = (
        f"Of {count(len(own), 'sparse arm')}, {row['arm']}{level} on {row['subset']} has the best Δ_m: {mean} %{sure}, "
    )
    says += f"{count(seeds, 'seed')} ({over})."
    if seeds < 2:
        return Answer(says, "One seed says nothing about chance: train more.")
    return Answer(says, "Differences shows which arms differ by more than chance.")


def tailored_answer(advice: pd.DataFrame, summary: pd.DataFrame, which: Which) -> Answer:
    """Say which stage serves which task, and what the network with its heads there gains over the plain one."""
    says = advice_sentence(advice)
    own = summary[(summary["arm"] == "tailored") & (summary["split"] == which.split)].set_index("quantity")
    quantity = f"delta.dense.{which.definition}"
    if quantity not in own.index or own["mean"][quantity] != own["mean"][quantity]:
        return Answer(says, "The tailored network is compared with the plain one once both are trained.")
    row, seeds = own.loc[quantity], int(own["n"][quantity])
    sure = f" (95 % interval: {row['low']:+.2f} to {row['high']:+.2f} %)" if seeds > 1 else ""
    plain = summary[(summary["arm"] == "dense") & (summary["split"] == which.split)].set_index("quantity")
    less = 100 * (1 - float(own["mean"]["macs"]) / float(plain["mean"]["macs"]))
    says += f" With its heads there, the network has a Δ_m of {row['mean']:+.2f} %{sure} over the plain one"
    says += f" and needs {percent(abs(less))} {'fewer' if less >= 0 else 'more'} MACs, {count(seeds, 'seed')}."
    return Answer(says, "One seed says nothing about chance: train more." if seeds < 2 else "")


OTHERS = {
    "dense": "the dense network",
    "random": "random groups, as many per layer",
    "found": "the support found on the task itself",
}
"""What a support found on other tasks is compared with, in words."""


def unseen_answer(found: pd.DataFrame) -> Answer:
    """Say whether a support suits a task that it was not found on; `found` is studies.unseen_supports."""
    if found.empty:
        return Answer("No support has been tried on an unseen task yet: its runs and their baselines come first.")
    last = found[found["sparsity"] == found["sparsity"].iloc[-1]]
    last = last[last["task"] == last["task"].iloc[0]]
    first = last.iloc[0]
    parts = [f"{_by(row)} {OTHERS[str(row['other'])]}" for _, row in last.iterrows()]
    says = f"On {first['task']}, the groups found on {first['support']} ({first['sparsity']}) do {', '.join(parts)}; "
    says += f"{count(int(first['seeds']), 'seed')}."
    if int(first["seeds"]) < 2:
        return Answer(says, "One seed says nothing about chance: train more.")
    return Answer(says, "An interval that contains 0 shows no difference beyond chance.")


def _by(row: pd.Series) -> str:
    """Say a paired difference, and its interval where there is one."""
    sure = f" ({row['low']:+.2f} to {row['high']:+.2f})" if int(row["seeds"]) > 1 else ""
    return f"{row['difference']:+.2f} points{sure} against"


def _place(row: pd.Series) -> str:
    return f"{percent(float(row['group_sparsity']))} zero groups"
