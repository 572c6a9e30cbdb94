"""What the pages Runs and Compare answer: what exists, and in what do two runs differ."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from winnow.dashboard.frames.answers.answer import Answer, count, joined_up, percent
from winnow.dashboard.frames.summaries import Summary
from winnow.dashboard.shared.formatting import isolated, measured, state_word


def runs_answer(known: Sequence[Summary]) -> Answer:
    """Say how many runs are in which state, and which finished one is sparsest."""
    states = Counter(state_word(one.status) for one in known)
    says = f"{count(len(known), 'run')}: {joined_up(f'{number} {state}' for state, number in states.most_common())}."
    done = [one for one in known if one.status.state == "done" and one.sparsity("group_sparsity") > 0]
    if done:
        first = max(done, key=lambda one: one.sparsity("group_sparsity"))
        zero = percent(first.sparsity("group_sparsity"))
        says += f" The sparsest finished one is {isolated(first.name)}: {zero} of its groups are zero."
    return Answer(says, "Trade-off shows what sparsity costs." if len(done) > 1 else "")


def compare_answer(a: Summary, b: Summary, metrics: pd.DataFrame, groups: pd.DataFrame, differ: str) -> Answer:
    """Say how sparse A and B are, in how many metrics B is better, and how far they keep the same groups."""
    says = f"{_zero(a, b)} {_better(metrics, differ) or _nothing_in_common(a, b)}{_same(groups)}"
    return Answer(says, "" if differ else "Seeds shows whether a difference is more than chance.")


def _zero(a: Summary, b: Summary) -> str:
    known = {name: one.sparsity("group_sparsity") for name, one in (("A", a), ("B", b))}
    told = {name: percent(value) for name, value in known.items() if np.isfinite(value)}
    if len(told) == 2:
        return f"{told['A']} of the groups of A are zero, {told['B']} of B."
    if not told:
        return "The groups of A and B have not been counted."
    name, missing = next(iter(told)), next(name for name in known if name not in told)
    return f"{told[name]} of the groups of {name} are zero. Those of {missing} have not been counted."


def _better(metrics: pd.DataFrame, differ: str) -> str:
    if differ:
        return "They were judged on different images or labels, so no metric of one is better than the other's."
    if metrics.empty:
        return ""
    known = metrics[np.isfinite(metrics["difference"].astype(float))]
    if known.empty:
        return "No metric has a value in both."
    rise = np.where(known["better"] == "higher", 1.0, -1.0) * known["difference"].astype(float)
    says = f"B is better in {int((rise > 0).sum())} of {count(len(known), 'metric')}"
    ratios = known[np.isfinite(known["gain"].astype(float))]
    if ratios.empty:
        first = known.iloc[0]
        values = " to ".join(measured(float(first[name]), str(first["unit"])) for name in ("a", "b"))
        return f"{says}: {first['task']} {first['label']} goes from {values}."
    ends = [f"{row['task']} {row['label']} {row['gain'] + 0.0:+.1f} %" for _, row in _ends(ratios).iterrows()]
    return f"{says}: {'from ' if len(ends) > 1 else ''}{' to '.join(ends)}."


def _nothing_in_common(a: Summary, b: Summary) -> str:
    without = [name for name, one in (("A", a), ("B", b)) if not one.has_metrics]
    if not without:
        return "They have no task and metric in common."
    return f"{joined_up(without)} {'has' if len(without) == 1 else 'have'} recorded no metric yet."


def _ends(known: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the smallest and the largest gain, one where they are the same."""
    gain = known["gain"].to_numpy(float)
    return known.iloc[sorted({int(gain.argmin()), int(gain.argmax())}, key=lambda place: gain[place])]


def _same(groups: pd.DataFrame) -> str:
    either = (groups["a"] > 0) | (groups["b"] > 0)
    if not either.any():
        return ""
    both = (groups["a"] > 0) & (groups["b"] > 0)
    return f" Of the groups that either keeps, both keep {percent(100 * float(both.sum() / either.sum()))}."
