"""Channels put side by side: where one order of a stream serves several readers, a gather becomes a slice.

A reader that uses some channels of a stream picks them, which copies. Where they lie side by side, it reads a slice of
the stream instead, and nothing is picked. Which sets can lie side by side at once is the consecutive-ones problem
(Fulkerson & Gross 1965): channels that the same readers use form cells, and the cells are ordered by a search that
leaves a set only when all of its cells are placed. Two sets can always be served, nested or disjoint ones too; of
others, those that save the most bytes are taken as far as an order exists, and the rest goes on gathering.

A stream is rearranged only if every axis that lists its channels lists all of them. That nothing depends on their order
otherwise is not derived here: the smaller model is proved, and where it is another, it is made without.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from winnow.engine.graph.partition import Labels
from winnow.engine.graph.spaces import Slice, Space
from winnow.engine.pruning.plan import Plan
from winnow.engine.pruning.readers import Reading

STEPS = 5_000  # of the search for an order, for each set that is tried
Cell = frozenset[int]


@dataclass(frozen=True, eq=False)
class Arranged:
    """The order of what stays, {parameter: {axis: entries}} where it is not that of before; readers with a slice.

    `starts`: the first channel that each of these layers reads, by name. `readings`: all, their weights' columns in the
    new order.
    """

    readings: Mapping[str, Reading]
    stays: Mapping[str, Mapping[int, Labels]] = field(default_factory=dict)
    starts: Mapping[str, int] = field(default_factory=dict)


def arranged(plan: Plan) -> Arranged:
    """Return the order of the channels of a plan in which as many gathers as can be are slices."""
    readings = plan.readings()
    found, starts = dict(readings), dict[str, int]()
    stays: dict[str, dict[int, Labels]] = defaultdict(dict)
    for space, readers in _streams(plan, readings):
        kept = np.flatnonzero(plan.liveness.kept[space.channels])
        place_of = {int(place): new for new, place in enumerate(kept)}
        sets = {
            own.product.layer: {place_of[int(one)] for one in own.stays} for own in readers if own.index is not None
        }
        order, served = side_by_side(sets, len(kept))
        if not served:
            continue
        for part in space.slices:
            now = stays[part.parameter].get(part.axis, _as_before(plan, part))
            stays[part.parameter][part.axis] = _in_order(now, part, kept[order])
        where = np.argsort(order)
        for own in readers:
            layer = own.product.layer
            places = np.sort(where[list(sets[layer])]) if layer in sets else np.arange(len(kept))
            index = None if own.index is None else places
            found[layer] = replace(own, index=index, stays=kept[order][places])
            if layer in served:
                starts[layer] = int(places[0])
    return Arranged(found, stays, starts) if starts else Arranged(readings)


def _as_before(plan: Plan, part: Slice) -> Labels:
    """Return the entries that stay of the axis that a slice lies on, in their order."""
    sites = plan.graph.sites
    site = next(own for own in sites if own.parameter == part.parameter and own.axis == part.axis)
    return np.flatnonzero(plan.liveness.kept[site.channels])


def _in_order(entries: Labels, part: Slice, channels: Labels) -> Labels:
    """Return the entries of an axis with those of a slice in the order of its channels."""
    end = part.start + part.length * part.repeat
    own = part.start + channels[:, None] * part.repeat + np.arange(part.repeat)
    return np.concatenate([entries[entries < part.start], own.ravel(), entries[entries >= end]])


def _streams(plan: Plan, readings: Mapping[str, Reading]) -> list[tuple[Space, list[Reading]]]:
    """Return the spaces that may be rearranged, each with the layers that read a part of it, the dearest first."""
    blocked = [product for product in plan.graph.products if product.blocks > 1]
    tied = np.unique(
        np.concatenate([np.zeros(1, np.int64), *(own for one in blocked for own in (one.rows, one.columns))])
    )
    found = []
    for space in plan.graph.spaces:
        whole = all(part.length == len(space.channels) and part.first == 0 for part in space.slices)
        if not whole or space.inputs or space.outputs or space.pins or np.isin(space.channels, tied).any():
            continue
        readers = [own for own in readings.values() if np.isin(own.product.columns, space.channels).any()]
        if any(own.index is not None for own in readers) and all(_reads_only(own, space) for own in readers):
            readers.sort(key=lambda own: (-len(own.stays) * own.product.macs, own.product.layer))
            found.append((space, readers))
    return found


def _reads_only(reading: Reading, space: Space) -> bool:
    """Whether a layer reads all channels of a space, once each and in their order, and nothing else."""
    columns = reading.product.columns
    return len(columns) == len(space.channels) and bool((columns == space.channels).all())


def side_by_side(sets: Mapping[str, set[int]], count: int) -> tuple[Labels, list[str]]:
    """Return an order of `count` channels, and the sets whose channels lie side by side in it.

    Sets are served in the order given, each as long as an order exists that serves those before it too.

    Examples:
        >>> order, served = side_by_side({"a": {0, 2}, "b": {2, 3}}, 4)
        >>> order.tolist(), served
        ([0, 2, 3, 1], ['a', 'b'])

    """
    served: list[str] = []
    order = np.arange(count)
    for name in sets:
        tried = [sets[one] for one in (*served, name)]
        cells: dict[Cell, list[int]] = defaultdict(list)
        for channel in range(count):
            cells[frozenset(place for place, own in enumerate(tried) if channel in own)].append(channel)
        rest = cells.pop(frozenset(), [])
        found = _ordered(sorted(cells, key=sorted))
        if found is not None:
            order = np.array([*(channel for cell in found for channel in cells[cell]), *rest])
            served.append(name)
    return order, served


def _ordered(cells: Sequence[Cell]) -> list[Cell] | None:
    """Return an order of cells in which the cells of every set lie side by side; None where none was found."""
    left = STEPS
    placed: list[Cell] = []

    def fits(cell: Cell) -> bool:
        """Whether no set would be left before it is whole, or begun again."""
        last = placed[-1] if placed else frozenset()
        waiting = [other for other in cells if other not in placed]
        opened = frozenset[int]().union(*placed)
        left_open = any(one in other for one in last - cell for other in waiting)
        return not left_open and not ((cell - last) & opened)

    def search() -> bool:
        nonlocal left
        left -= 1
        if len(placed) == len(cells):
            return True
        for cell in cells if left > 0 else ():
            if cell not in placed and fits(cell):
                placed.append(cell)
                if search():
                    return True
                placed.pop()
        return False

    return list(placed) if search() else None
