"""How well who uses what was found out, where it is known. From frames to frames, free of torch.

| figure           | meaning                                                                                 | chance |
|------------------|-----------------------------------------------------------------------------------------|--------|
| `label_accuracy` | part of the channels whose label of `engine.explain.usage` is the true one              | Σ p²   |
| `use_auroc`      | chance that a task which uses a channel has more relevance there than one that does not | 1/2    |

The relevances are compared as parts of the task's relevance in the layer, over all pairs of channel and task. Chance is
measured, not computed: `relabelled` deals the true channels out anew, and the figures are taken again.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

COLUMNS = ["layer", "figure", "value"]


def recovery(used: pd.DataFrame, relevance: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of every layer that the truth covers, and of all together (layer ""): COLUMNS.

    Args:
        used: of `engine.explain.usage.usage`.
        relevance: of `engine.explain.relevance.relevance`, by one method.
        truth: of `tests.engine.explain.planted.network.planted_network`.

    Raises:
        ValueError: a channel of the truth is missing from one of the other frames.

    """
    cells = ["layer", "channel"]
    labels = truth.merge(used[[*cells, "label"]], on=cells, suffixes=("_true", ""))
    pairs = _pairs(relevance, truth)
    if len(labels) != len(truth) or len(pairs) != len(truth) * relevance["task"].nunique():
        raise ValueError(f"`used` and `relevance` must hold all {len(truth)} channels of the truth, got fewer.")
    rows = []
    for layer in ("", *dict.fromkeys(truth["layer"])):
        own = labels if not layer else labels[labels["layer"] == layer]
        part = pairs if not layer else pairs[pairs["layer"] == layer]
        rows.append((layer, "label_accuracy", float((own["label"] == own["label_true"]).mean())))
        rows.append((layer, "use_auroc", _auroc(part["part"], part["uses"])))
    return pd.DataFrame(rows, columns=COLUMNS)


def relabelled(truth: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the truth with the channels of each layer dealt out anew: what an explanation can only meet by chance."""
    chance = np.random.default_rng(seed)
    known = ["cause", "label", "used_by"]
    dealt = truth.copy()
    for _, own in truth.groupby("layer", sort=False):
        dealt.loc[own.index, known] = own[known].to_numpy()[chance.permutation(len(own))]
    return dealt


def _pairs(relevance: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return one row per channel and task: layer, part (of the task's relevance in the layer), uses."""
    found = relevance[["task", "layer", "channel", "relevance"]].merge(truth, on=["layer", "channel"])
    sums = found.groupby(["task", "layer"])["relevance"].transform("sum")
    uses = [task in tasks.split("+") for task, tasks in zip(found["task"], found["used_by"], strict=True)]
    return found.assign(part=found["relevance"] / sums.where(sums > 0, 1.0), uses=uses)[["layer", "part", "uses"]]


def _auroc(scores: pd.Series, positive: pd.Series) -> float:
    """Return the area under the ROC curve; missing where all are of one kind."""
    return float(roc_auc_score(positive, scores)) if positive.nunique() == 2 else float("nan")
