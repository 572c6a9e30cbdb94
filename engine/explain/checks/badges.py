"""The badge beside every explanation: does it hold? Fixed rules on the faithfulness frame; no torch.

The frame has the columns layer ("" for all layers together), task, figure, value, method, images. Its figures:

| figure                 | value                                                                                       |
|------------------------|---------------------------------------------------------------------------------------------|
| `rank_correlation`     | Spearman of relevance with the effect of ablation, over surviving channels                  |
| `rise_correlation`     | the same with the signed rise of the loss                                                   |
| `share_correlation`    | Spearman of the task's share with its share of the effects                                  |
| `sample`               | number of surviving channels in these correlations                                          |
| `deletion_auc`         | mean rise of the loss while channels are deleted, the most relevant first                   |
| `deletion_random`      | the same in random order, mean over draws                                                   |
| `split_half`           | Spearman of the relevance over even images with that over odd ones                          |
| `share_split_half`     | the same for shares                                                                         |
| `head_randomisation`   | Spearman of the task's share with that after the heads' weights are shuffled: ideally 0     |
| `head_randomisation_raw` | the same for relevance; it says nothing about tasks and need not be 0                     |
| `cascade_1` …          | as `head_randomisation`, with the last quarter, half, … of the shared layers shuffled too   |
"""

from types import MappingProxyType
from typing import Literal

import pandas as pd

Colour = Literal["green", "amber", "red", "grey"]
COLUMNS = ["layer", "task", "figure", "value", "method", "images"]
GOOD, FAIR, GONE = 0.7, 0.4, 0.2
RARE = 1 / 20  # of the deletion curves
TITLES = MappingProxyType(
    {
        "rank_correlation": "rank correlation with ablation",
        "share_correlation": "of task shares",
        "split_half": "split-half",
        "head_randomisation": "shares after shuffling the heads",
    }
)


def badge(frame: pd.DataFrame) -> tuple[Colour, str]:
    """Return colour and text for a part of a faithfulness frame: one method, and the layers and tasks that are shown.

    The rules use medians over the layers and tasks. The colour is that of the weaker of rank correlation and, with
    several tasks, share correlation: green from 0.7, amber from 0.4, else red; grey where no correlation is known: too
    few channels of a layer were ablated, or none, or all had the same effect. It is amber at best where the shares
    correlate above 0.2 (in absolute value) after the heads were shuffled, or where in more than one of twenty curves
    deletion by relevance harms no more than in random order. Each such curve is named in the text; a layer that does
    more harm than good on these images causes one.
    """
    medians = {name: median(frame, name) for name in TITLES}
    text = ", ".join(
        [_head(frame), *(f"{TITLES[name]} {value:.2f}" for name, value in medians.items() if value == value)]
    )
    correlations = [
        medians[name] for name in ("rank_correlation", "share_correlation") if medians[name] == medians[name]
    ]
    if not correlations:
        return "grey", f"{text}; no correlation with ablation is known"
    least = min(correlations)
    colour: Colour = "green" if least >= GOOD else "amber" if least >= FAIR else "red"
    unspecific = abs(medians["head_randomisation"]) > GONE
    lost, curves = _lost_curves(frame)
    if colour == "green" and (unspecific or lost > RARE * curves):
        colour = "amber"
    doubts = ["the shares hardly depend on the heads"] if unspecific else []
    if lost:
        doubts.append(f"deletion by relevance does no more harm than random deletion in {lost} of {curves} curves")
    return colour, "; ".join([text, *doubts])


def median(frame: pd.DataFrame, figure: str) -> float:
    """Return the median of a figure over layers and tasks, NaN where there is none."""
    single = frame[(frame["figure"] == figure) & (frame["layer"] != "")]
    return float(single["value"].median()) if len(single) else float("nan")


def _head(frame: pd.DataFrame) -> str:
    methods = ", ".join(dict.fromkeys(frame["method"].astype(str)))
    images = int(frame["images"].max()) if len(frame) else 0
    return f"{methods or 'no method'}, {images} images"


def _lost_curves(frame: pd.DataFrame) -> tuple[int, int]:
    """Return in how many curves deletion by relevance harms no more than in random order, and of how many."""
    wide = frame[frame["layer"] != ""].pivot_table(index=["layer", "task"], columns="figure", values="value")
    if not {"deletion_auc", "deletion_random"} <= set(wide.columns):
        return 0, 0
    curves = wide.dropna(subset=["deletion_auc", "deletion_random"])
    return int((curves["deletion_auc"] <= curves["deletion_random"]).sum()), len(curves)
