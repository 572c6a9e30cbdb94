"""What the page Prune answers: what is saved, is it the same, what does each task pay, what can each layer lose."""

from math import isfinite, nan

import numpy as np
import pandas as pd

from winnow.dashboard.frames.answers.answer import Answer, count, joined_up, percent
from winnow.dashboard.frames.answers.of_run import ENDED
from winnow.dashboard.frames.certificate import CertificateFile
from winnow.dashboard.frames.summaries import Summary
from winnow.dashboard.shared.formatting import measured
from winnow.engine.studies.layer_budgets import cut_costs

TOGETHER = "These are cuts of one layer at a time. All of them together cost more: a pruning measures how much."


def uncounted(state: str) -> str:
    """Say why it is not known what could be removed of a run in this state."""
    if ended := ENDED.get(state):
        return f"This run {ended} before it was counted what could be removed."
    return "What could be removed is counted after the first epoch."


def unpruned_answer(known: Summary) -> Answer:
    """Say what could be removed of a run of which nothing has been."""
    macs, parameters = (known.newest.get((None, f"removable_{name}"), nan) for name in ("macs", "parameters"))
    if not isfinite(macs):
        return Answer(uncounted(known.status.state))
    return Answer(
        f"{percent(macs)} of the MACs and {percent(parameters)} of the parameters can go without changing an output.",
        "Start a pruning below.",
    )


def pruned_answer(costs: pd.DataFrame, changes: pd.DataFrame, found: CertificateFile | None) -> Answer:
    """Say what is left, how much faster that is, whether it is exact, and which task pays most."""
    left = {name: _left(costs, name) for name in ("macs", "parameters")}
    if not any(map(isfinite, left.values())):
        return Answer("This pruning has not counted what it removed yet.")
    if all(one == 100 for one in left.values()) and found is not None and found.holds:
        return Answer(
            "Nothing was removed: no channel of the network is without use.",
            "Start a pruning by a budget to remove some at a price.",
        )
    says = (
        f"{percent(100 - left['macs'])} of the MACs and {percent(100 - left['parameters'])} of the parameters were "
        f"removed"
    )
    says += f"{_faster(costs)}. {_exact(found)}{_pays(changes)}"
    if found is not None and not found.holds:
        return Answer(says, "Do not ship it before you know why: the certificate below names what was compared.")
    return Answer(says, "Export holds the files; What if shows what more would cost.")


def _left(costs: pd.DataFrame, quantity: str) -> float:
    own = costs.loc[costs["quantity"] == quantity, "left"]
    return float(own.iloc[0]) if len(own) else nan


def _faster(costs: pd.DataFrame) -> str:
    """Say the gain in time of the smallest batch in eager mode, where both were measured in quiet."""
    timed = costs[(costs["quantity"] == "latency") & (costs["backend"] == "eager") & costs["steady"].astype(bool)]
    if timed.empty or not timed["pruned"].notna().any():
        return ""
    row = timed.sort_values("batch").iloc[0]
    return f", and a batch of {row['batch']:.0f} takes {percent(100 * row['pruned'] / row['dense'])} of the time"


def _exact(found: CertificateFile | None) -> str:
    if found is None:
        return "Whether its outputs are the same is not checked yet."
    verb = "gives the same outputs as" if found.holds else "does NOT give the outputs of"
    return f"It {verb} {found.compared_with} (largest relative error {found.relative_error_float32:.1e})."


def paying_answer(changes: pd.DataFrame) -> str:
    """Say which task pays most for the removal; that none was judged where none was."""
    return _pays(changes).strip() or "What each task pays was not measured."


def images_answer(images: pd.DataFrame, classes: pd.DataFrame) -> str:
    """Say, of images judged one by one (frames.who_pays), how many lost, and which class surely fell most."""
    said = []
    judged = images[images["lost"].notna()] if len(images) else images
    if len(judged) and not (judged["lost"] > 0).any():
        said.append(f"None of {count(judged['image'].nunique(), 'image')} is worse in any task")
    else:
        for task, own in judged.groupby("task", sort=False):
            worse = int((own["lost"] > 0).sum())
            said.append(f"{worse} of {count(len(own), 'image')} {'is' if worse == 1 else 'are'} worse in {task}")
    fell = classes[classes["high"] < 0] if len(classes) else classes
    if len(fell):
        row = fell.iloc[0]
        low, high = (f"{row[end]:+.1f}".replace("-", "−") for end in ("low", "high"))
        change = f"{row['change']:+.1f}".replace("-", "−")
        said.append(f"class {row['name']} of {row['task']} changed by {change} points ({low} to {high})")
    return f"{joined_up(said)}." if said else ""


def _pays(changes: pd.DataFrame) -> str:
    """Name the task that loses most in the network that is kept."""
    last = changes["final_change"]
    if not last.notna().any() or last.min() >= -0.05:
        return " No task loses." if last.notna().any() else ""
    row = changes.iloc[int(np.nanargmin(last.to_numpy(float)))]
    moved = f"{measured(row['dense'], row['unit'])} to {measured(row['final'], row['unit'])}"
    return f" {row['task']} pays most: {row['label']} from {moved}."


def sensitivity_answer(table: pd.DataFrame, suggested: pd.DataFrame, tolerance: float) -> Answer:
    """Say how many layers can be cut within a tolerance [%], and which one costs most at the smallest share."""
    if suggested.empty:
        return Answer("No layer has been cut yet.")
    can = suggested[suggested["cut"] > suggested["unused"]]  # what nothing uses costs nothing anyway
    layers = len(suggested)
    within = f"at no more than {tolerance:g} % of the metric of any task"
    if can.empty:
        says = f"None of the {layers} layers can lose a channel that is in use {within}."
    else:
        whole = "all" if len(can) == layers else f"{len(can)} of"
        says = f"Alone, {whole} {layers} layers can lose channels that are in use {within}, half of these layers "
        says += f"{_half(can)} of their channels or more."
    return Answer(f"{says} {_worst(table)}".strip(), TOGETHER)


def _half(can: pd.DataFrame) -> str:
    return percent(float(can["share"].sort_values().iloc[len(can) // 2]))


def _worst(table: pd.DataFrame) -> str:
    """Name the layer whose smallest cut costs most."""
    costs = cut_costs(table)
    first = costs.drop_duplicates("layer")
    worst = first.iloc[int(first["cost"].to_numpy(float).argmax())]
    if not worst["cost"] > 0:
        return ""
    lost = f"{percent(float(worst['cost']))} of its metric" if worst["cost"] < float("inf") else "its metric altogether"
    share = percent(float(worst["share"]))
    return f"Most sensitive: {worst['layer']}, where a cut of {share} costs {worst['task']} {lost}."
