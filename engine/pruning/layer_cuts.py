"""How sensitive is each layer? One layer at a time loses its channels of lowest score, and every task is judged again.

This is the analysis of Li et al. 2017 (arXiv 1608.08710, § 3.2), for any network and any number of tasks. What it finds
becomes an order of all channels: those go first whose cut costs the worst task least.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from winnow.engine.graph.partition import Labels
from winnow.engine.graph.weights import Flags, Values
from winnow.engine.pruning.ranking import Ranking
from winnow.engine.pruning.sweep import Evaluate, Metrics
from winnow.engine.pruning.units import Units
from winnow.engine.pruning.what_if import WhatIf

TIE = 1e-9  # of a per cent: the order among channels of the same cost


@dataclass(frozen=True)
class LayerCut:
    """One layer with `share` % of its channels gone: how many that are, what it saves [%], what each metric is then.

    `unused` of the `channels` were used by nothing before. `parameters` and `macs` are what the cut saves of the
    network beside all that was unused.
    """

    layer: str
    channels: int
    unused: int
    share: float
    cut: int
    parameters: float
    macs: float
    metrics: Metrics


def layer_cuts(units: Units, scores: Values, evaluate: Evaluate, shares: Sequence[float]) -> Iterator[LayerCut]:
    """Yield each layer at each share, in the order of the network; a cut that removes nothing new is not judged again.

    Args:
        units: from `engine.pruning.units`; their model is evaluated in a copy and never changed.
        scores: (units,), the higher the better; ∞ for those that must stay.
        evaluate: model → {task: {metric: value}}; it sees to the evaluation mode.
        shares: per cent of a layer's channels, rising, each above 0 and below 100. One channel always stays.

    """
    what_if, order = WhatIf(units), _Orders(units, scores)
    nothing = np.zeros(len(units), bool)
    none, whole = what_if.shares(nothing), evaluate(what_if.without(nothing))
    for kind, name in enumerate(units.names):
        members, unused = order.members(kind), order.unused(kind)
        known: dict[int, tuple[float, float, Metrics]] = {unused: (0.0, 0.0, whole)}
        for share in shares:
            cut = order.count(kind, share)
            if cut not in known:
                gone = _marked(len(units), members[:cut])
                saved = what_if.shares(gone)
                metrics = evaluate(what_if.without(gone))
                known[cut] = (saved.parameter - none.parameter, saved.mac - none.mac, metrics)
            yield LayerCut(name, order.width(kind), unused, share, cut, *known[cut])


def scores_by_cost(units: Units, scores: Values, costs: Mapping[tuple[str, float], float]) -> Values:
    """Return a score (units,): what the smallest cut of its layer that takes a unit costs, {(layer, share): cost [%]}.

    Units of the same cost keep the order of `scores`. Those that no cut takes have ∞: they stay.

    Raises:
        ValueError: a layer of the model is not among the costs.

    """
    if lost := [name for name in units.names if all(layer != name for layer, _ in costs)]:
        raise ValueError(f"`costs` must hold every layer of the network, got none for {lost[0]}. Measure them again.")
    order = _Orders(units, scores)
    found = np.full(len(units), np.inf)
    for kind, name in enumerate(units.names):
        members = order.members(kind)
        steps = sorted((share, cost) for (layer, share), cost in costs.items() if layer == name)
        for share, cost in reversed(steps):  # a smaller cut has the last say
            found[members[: order.count(kind, share)]] = cost
    ranks = np.empty(len(units))
    ranks[np.argsort(scores, kind="stable")] = np.arange(len(units))
    return found + TIE * ranks / max(len(units), 1)


class _Orders:
    """In which order the channels of each layer go: the unused first, then by score; its best one stays."""

    def __init__(self, units: Units, scores: Values) -> None:
        self._units, self._order = units, Ranking(units, scores).order
        self._dead = units.idle()

    def members(self, kind: int) -> Labels:
        own: Labels = self._order[self._units.classes[self._order] == kind]
        return own

    def width(self, kind: int) -> int:
        return int((self._units.classes == kind).sum())

    def unused(self, kind: int) -> int:
        return int(self._dead[self._units.classes == kind].sum())

    def count(self, kind: int, share: float) -> int:
        """Return how many channels are gone at a share [%]: at least the unused ones, and never the best."""
        asked = round(share / 100 * self.width(kind))
        return min(max(asked, self.unused(kind)), len(self.members(kind)))


def _marked(length: int, members: Labels) -> Flags:
    gone = np.zeros(length, bool)
    gone[members] = True
    return gone
