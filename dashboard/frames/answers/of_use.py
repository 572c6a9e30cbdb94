"""What the pages Tasks and Explain answer: who leads which channels, what does a task rely on, and is that true."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from winnow.dashboard.frames.answers.answer import MOST_NAMED, Answer, count, joined_up
from winnow.engine.explain.checks.badges import Colour
from winnow.engine.explain.usage import DEAD, IDLE

UNCHECKED = "This is not checked: too few channels of a layer were switched off, or none, or all had the same effect"
LEAST = 4  # channels that a layer must have in use to be named


def tasks_answer(known: pd.DataFrame, names: Sequence[str], verdict: Colour) -> Answer:
    """Say, of a frame of leads, how many channels each task surely leads, and which layer is led most clearly."""
    used = known[~known["lead_state"].isin([DEAD, IDLE])]
    if used.empty:
        return Answer("No task relies on any channel: all are dead or idle.", "Groups shows which are.", "groups")
    if len(names) < 2:
        return Answer(f"{names[0]} is the only task: it uses {len(used):,} of {count(len(known), 'channel')}.")
    led = used[used["lead_state"] == "lead"]
    by = led["dominant"].value_counts()
    counts = sorted(((task, int(by.get(task, 0))) for task in names), key=lambda pair: -pair[1])
    each = joined_up(f"{task} {number}" for task, number in counts[:MOST_NAMED])
    if rest := counts[MOST_NAMED:]:
        each += f", and {count(len(rest), 'other task')} {sum(number for _, number in rest)}"
    even = int((used["lead_state"] == "even").sum())
    whole = count(len(used), "used channel")
    says = f"One task surely has more than an equal share in {len(led):,} of {whole}: {each}. "
    says += f"{even:,} are even. {_clearest(used, led)}".rstrip()
    return Answer(says, *_doubt(verdict))


def explain_answer(task: str, ranked: pd.DataFrame, verdict: Colour) -> Answer:
    """Say how few channels hold half of a task's relevance, which comes first, and whether that holds."""
    if ranked.empty:
        return Answer(f"{task} relies on no channel here.")
    whole = ranked["relevance"].sum()
    half = int((ranked["relevance"].cumsum() < whole / 2).sum()) + 1
    first = ranked.iloc[0]
    low, high = (min(float(first["part"] * first[end] / first["relevance"]), 100.0) for end in ("low", "high"))
    verb = "holds" if half == 1 else "hold"
    says = (
        f"{count(half, 'channel')} of {len(ranked):,} {verb} half of what {task} relies on here. The first is "
        f"{first['layer']}, channel {first['channel']}: {first['part']:.1f} % of its relevance (95 % interval: "
        f"{low:.1f} to {high:.1f} %)."
    )
    if verdict in ("amber", "red"):
        held = "holds only in part" if verdict == "amber" else "does not hold"
        return Answer(says, f"For {task} this {held}: Against ablation shows where it fails.")
    if verdict == "grey":
        return Answer(says, f"{UNCHECKED}. Explain again with more ablations.")
    return Answer(says, "Select a channel to see what every task loses without it.")


def _clearest(used: pd.DataFrame, led: pd.DataFrame) -> str:
    """Name the layer of which one task leads the largest part."""
    sizes = used.groupby("layer", sort=False).size()
    sizes = sizes[sizes >= LEAST]
    counted = led[led["layer"].isin(sizes.index)].groupby(["layer", "dominant"], sort=False).size()
    if counted.empty:
        return ""
    part = counted / sizes.reindex(counted.index.get_level_values("layer")).to_numpy()
    place = int(np.argmax(part.to_numpy(float)))
    layer, task = (str(name) for name in counted.index[place])
    return f"{layer} is led most clearly: {task} leads {counted.iloc[place]} of its {sizes[layer]}."


def _doubt(verdict: Colour) -> tuple[str, str]:
    if verdict == "red":
        return "The explanation does not hold: see Explain, Against ablation, and do not quote this.", "explain"
    if verdict == "amber":
        return "The explanation holds only in part: see Explain, Against ablation, before you quote this.", "explain"
    if verdict == "grey":
        return f"{UNCHECKED}.", "explain"
    return "Explain shows which channels these are.", "explain"
