"""Whether an explanation holds, measured on the model that it explains.

Relevance is compared with single-channel ablation over surviving channels, with deletion in random order, with itself
on the other half of the images, and with the relevance that is left when the heads, then the shared layers, have
shuffled weights. `engine.explain.checks.badges` lists the figures and makes a badge of them.
"""

from dataclasses import dataclass

import pandas as pd
from torch import nn

from winnow.engine.explain.checks.ablation import Deletion, ablations
from winnow.engine.explain.checks.agreement import agreement, sample, split_half
from winnow.engine.explain.checks.badges import COLUMNS
from winnow.engine.explain.checks.deletion import curve_points, deletion_figures, orders
from winnow.engine.explain.checks.randomising import randomisations
from winnow.engine.explain.relevance.means import channel_means
from winnow.engine.explain.relevance.probe import Images, Tasks, probe
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.specs.explain import Method


@dataclass(frozen=True)
class Checks:
    """Which checks: `channels` to ablate per layer, deletion curves, shuffled weights; `method` made the relevance."""

    method: Method = "taylor"
    channels: int = 32
    deletion: bool = True
    randomisation: bool = True


def faithfulness(
    model: nn.Module,
    batches: Images,
    relevance: pd.DataFrame,
    *,
    tasks: Tasks | None = None,
    settings: Settings | None = None,
    checks: Checks | None = None,
) -> pd.DataFrame:
    """Check relevance against ablation, deletion, split halves and shuffled weights.

    Sources: deletion, Samek et al. 2017; shuffled weights, Adebayo et al. 2018.

    Returns one row per layer ("" for all layers), task and figure: layer, task, figure, value, method, images.

    Args:
        model: the model that `relevance` was measured on, with the same settings.
        batches: the images to ablate on.
        relevance: a frame of `engine.explain.relevance.relevance`, by one method.
        tasks: the tasks of the batches by default.
        settings: how relevance was measured, and how to ablate.
        checks: which checks, and how many channels.

    """
    checks = checks or Checks()
    layers = list(dict.fromkeys(relevance["layer"]))
    probed = probe(model, batches, layers=layers, tasks=tasks, settings=settings)
    means = channel_means(probed)
    wanted = planned_deletions(relevance, checks.channels, probed.settings.seed, checks.deletion)
    rows = list(ablations(probed, wanted, means))
    parts = [split_half(relevance)]
    if rows:
        ablated = pd.concat(rows, ignore_index=True)
        parts += [agreement(relevance, ablated), deletion_figures(curve_points(ablated))]
    if checks.randomisation:
        parts += [figures for figures, _ in randomisations(probed, checks.method, relevance, means)]
    images = sum(len(batch.images) for batch in probed.batches())
    return faithfulness_rows(parts, checks.method, images)


def planned_deletions(relevance: pd.DataFrame, channels: int, seed: int, deletion: bool = True) -> list[Deletion]:
    """Return what to ablate: a stratified sample of surviving channels, one by one, and deletion curves."""
    chosen = sample(relevance, channels, seed)
    cells = zip(chosen["layer"].tolist(), chosen["channel"].tolist(), strict=True)
    single = [Deletion(layer, (channel,)) for layer, channel in cells]
    if not (channels and deletion):
        return single
    return single + [removed for order in orders(relevance, seed) for removed in order.deletions()]


def faithfulness_rows(parts: list[pd.DataFrame], method: Method, images: int) -> pd.DataFrame:
    """Return the figures of several checks as one frame."""
    whole = pd.concat([part for part in parts if len(part)] or [pd.DataFrame(columns=COLUMNS[:4])], ignore_index=True)
    return whole.assign(method=method, images=images)[COLUMNS]
