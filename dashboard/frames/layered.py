"""A drawing of a directed graph in layers, from top to bottom (Sugiyama, Tagawa, Toda 1981).

1. A node stands below all that it takes from; ends stand in the last layer.
2. An edge that passes a layer gets a place there, so that it does not run through a node.
3. The order within a layer is that of the middles of the neighbours, swept down and up.
4. Positions across are the closest, in least squares, to the middles of the neighbours at a distance of at least one:
   isotonic regression by pooling adjacent violators.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

SWEEPS = 8
PASSING = 0.35  # the room of an edge that passes, in that of a node
Edge = tuple[int, int]


@dataclass(frozen=True)
class Layered:
    """Where the nodes stand, (across, down) in units of a node's room, and the points that each edge passes."""

    nodes: tuple[tuple[float, int], ...]
    edges: Mapping[Edge, tuple[tuple[float, int], ...]]


def laid_out(count: int, edges: Sequence[Edge], last: Sequence[int] = ()) -> Layered:
    """Return the layout of nodes 0 … count − 1; every edge leads from a lower number to a higher one.

    Raises:
        ValueError: an edge leads back, so that there is no order from top to bottom.

    """
    if back := [edge for edge in edges if edge[0] >= edge[1]]:
        raise ValueError(f"`edges` must lead from a lower number to a higher one, got {back[0]}.")
    down = _layers(count, edges, last)
    chains = _chains(count, down, edges)
    depth = np.concatenate([down, [place for chain in chains.values() for place in _passed(chain, down, count)]])
    links = [pair for chain in chains.values() for pair in pairwise(chain)]
    across = _across(depth.astype(int), links, count)
    spots = [(float(x), int(y)) for x, y in zip(across, depth, strict=True)]
    return Layered(tuple(spots[:count]), {edge: tuple(spots[node] for node in chain) for edge, chain in chains.items()})


def _layers(count: int, edges: Sequence[Edge], last: Sequence[int]) -> NDArray[np.int64]:
    """Return the layer of each node: one below the lowest of those that it takes from."""
    found = np.zeros(count, np.int64)
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        found[target] = max(found[target], found[source] + 1)
    if len(last):
        found[list(last)] = found.max(initial=0)
    return found


def _chains(count: int, down: NDArray[np.int64], edges: Sequence[Edge]) -> dict[Edge, list[int]]:
    """Return each edge as the nodes that it leads over: new numbers, from `count` on, where it passes a layer."""
    chains: dict[Edge, list[int]] = {}
    for source, target in edges:
        passed = int(down[target] - down[source]) - 1
        chains[source, target] = [source, *range(count, count + passed), target]
        count += passed
    return chains


def _passed(chain: Sequence[int], down: NDArray[np.int64], count: int) -> list[int]:
    return [int(down[chain[0]]) + step for step, node in enumerate(chain) if node >= count]


def _across(depth: NDArray[np.int64], links: Sequence[Edge], count: int) -> NDArray[np.float64]:
    above, below = defaultdict(list), defaultdict(list)
    for source, target in links:
        above[target].append(source)
        below[source].append(target)
    rows = [np.flatnonzero(depth == row).tolist() for row in range(int(depth.max(initial=-1)) + 1)]
    across = np.zeros(len(depth))
    for row in rows:
        across[row] = np.arange(len(row), dtype=float)
    for sweep in range(SWEEPS):
        ordered = rows if sweep % 2 == 0 else rows[::-1]
        neighbours = above if sweep % 2 == 0 else below
        for row in ordered:
            middle = {node: _middle(across, neighbours[node], node) for node in row}
            row.sort(key=lambda node: middle[node])
            across[row] = np.arange(len(row), dtype=float) - len(row) / 2
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = [_middle(across, above[node] + below[node], node) for node in row]
            room = [PASSING if node >= count else 1.0 for node in row]
            across[row] = spaced(np.array(wanted), np.array(room))
    return np.asarray(across - across.min(initial=0.0))


def _middle(across: NDArray[np.float64], neighbours: Sequence[int], node: int) -> float:
    return float(across[neighbours].mean()) if len(neighbours) else float(across[node])


def spaced(wanted: NDArray[np.float64], room: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions closest to `wanted`, in order, each as far from the next as half the room of both."""
    offset = np.concatenate([[0.0], np.cumsum((room[1:] + room[:-1]) / 2)])[: len(wanted)]
    blocks: list[tuple[float, int]] = []
    for value in wanted - offset:
        mean, size = float(value), 1
        while blocks and blocks[-1][0] > mean:
            other, more = blocks.pop()
            mean, size = (mean * size + other * more) / (size + more), size + more
        blocks.append((mean, size))
    return np.asarray(np.repeat([mean for mean, _ in blocks], [size for _, size in blocks]) + offset)
