"""What a sensitivity analysis answers: how many layers can lose channels, and which layers are the most sensitive."""

import pandas as pd

from winnow.dashboard.frames.answers.answer import Answer, percent
from winnow.engine.studies.layer_budgets import cut_costs

TOGETHER = "These are cuts of one layer at a time. All of them together cost more: a pruning measures how much."


def sensitivity_answer(table: pd.DataFrame, suggested: pd.DataFrame, tolerance: float) -> Answer:
    """Say how many layers can be cut within a tolerance [%], and which one costs most at the smallest share."""
    if suggested.empty:
        return Answer("No layer has been cut yet.")
    can = suggested[suggested["share"] > 0]
    layers = len(suggested)
    within = f"at no more than {tolerance:g} % of the metric of any task"
    if can.empty:
        says = f"None of the {layers} layers can lose {percent(float(table['share'].min()))} of its channels {within}."
    else:
        whole = "all" if len(can) == layers else f"{len(can)} of"
        says = f"Alone, {whole} {layers} layers can lose channels {within}, half of them {_half(can)} or more."
    return Answer(f"{says} {_worst(table)}".strip(), TOGETHER)


def _half(can: pd.DataFrame) -> str:
    return percent(float(can["share"].sort_values().iloc[len(can) // 2]))


def _worst(table: pd.DataFrame) -> str:
    """Name the layer whose smallest cut costs most."""
    costs = cut_costs(table)
    first = costs.drop_duplicates("layer")
    worst = first.loc[first["cost"].idxmax()]
    if not worst["cost"] > 0:
        return ""
    lost = f"{percent(float(worst['cost']))} of its metric" if worst["cost"] < float("inf") else "its metric altogether"
    share = percent(float(worst["share"]))
    return f"Most sensitive: {worst['layer']}, where a cut of {share} costs {worst['task']} {lost}."
