"""The badge beside every explanation: does it hold? Fixed rules on the faithfulness frame, free of torch.

The frame has the columns layer ("" for all layers together), task, figure, value, method, images. Its figures:

| figure                 | value                                                                                       |
|------------------------|---------------------------------------------------------------------------------------------|
| `rank_correlation`     | Spearman of relevance with the effect of ablation, over surviving channels                  |
| `rise_correlation`     | the same with the signed rise of the loss                                                   |
| `share_correlation`    | Spearman of the task's share with its share of the effects                                  |
| `sample`               | how many surviving channels these are over                                                  |
| `deletion_auc`         | mean rise of the loss while channels go, the most relevant first                            |
| `deletion_random`      | the same in random order, mean over draws                                                   |
| `split_half`           | Spearman of the relevance over even images with that over odd ones                          |
| `share_split_half`     | the same of shares                                                                          |
| `head_randomisation`   | Spearman of the task's share with that after the heads' weights were shuffled: should vanish|
| `head_randomisation_raw` | the same of relevance, which claims nothing about tasks and need not vanish               |
| `cascade_1` …          | as `head_randomisation`, with the last quarter, half, … of the shared layers shuffled too   |
"""

from types import MappingProxyType
from typing import Literal

import pandas as pd

Colour = Literal["green", "amber", "red", "grey"]
COLUMNS = ["layer", "task", "figure", "value", "method", "images"]
GOOD, FAIR, GONE = 0.7, 0.4, 0.2
RARE = 1 / 20  # of the deletion curves
WORDS = MappingProxyType(
    {
        "rank_correlation": "rank correlation with ablation",
        "share_correlation": "of task shares",
        "split_half": "split-half",
        "head_randomisation": "shares after shuffling the heads",
    }
)


def badge(frame: pd.DataFrame) -> tuple[Colour, str]:
    """Return colour and text for a part of a faithfulness frame: one method, as many layers and tasks as are shown.

    Judged are medians over the layers and tasks. The colour is that of the weaker of rank correlation and, with several
    tasks, share correlation: green from 0.7, amber from 0.4, else red; grey where nothing was ablated. At most amber
    where the shares still correlate above 0.2 (by size) after the heads were shuffled, or where in more than one of
    twenty curves deletion by relevance harms no more than in random order. A curve in which it does not is named in any
    case; a layer that does more harm than good on these images makes one.
    """
    medians = {name: median(frame, name) for name in WORDS}
    text = ", ".join(
        [_head(frame), *(f"{WORDS[name]} {value:.2f}" for name, value in medians.items() if value == value)]
    )
    judged = [medians[name] for name in ("rank_correlation", "share_correlation") if medians[name] == medians[name]]
    if not judged:
        return "grey", f"{text}; not held against ablation"
    least = min(judged)
    colour: Colour = "green" if least >= GOOD else "amber" if least >= FAIR else "red"
    outlived = abs(medians["head_randomisation"]) > GONE
    lost, curves = _lost_curves(frame)
    if colour == "green" and (outlived or lost > RARE * curves):
        colour = "amber"
    doubts = ["the shares outlive the heads"] if outlived else []
    doubts += [f"deletion is no worse than random in {lost} of {curves} curves"] if lost else []
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
