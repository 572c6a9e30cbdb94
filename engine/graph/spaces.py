"""Spaces: channels that stand side by side everywhere, each with its writers, norms and readers.

Two channels belong to one space if the same sites list them, equally often. So a concatenation or a split takes a
space apart where it must, and a residual stream is one space with many writers.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from winnow.engine.graph.partition import Labels
from winnow.engine.graph.records import Join, Role, Site


@dataclass(frozen=True, eq=False)
class Slice:
    """Part of a site: channels first, first + 1, … of the space lie at entries start, start + repeat, … of the axis.

    `length` channels, each `repeat` entries long (a flattened channel has one column per pixel).
    """

    layer: str
    parameter: str
    axis: int
    role: Role
    start: int
    length: int
    repeat: int = 1
    first: int = 0


@dataclass(frozen=True, eq=False)
class Space:
    """Channels that are alike: where they are made, normalised and read, and what pins them."""

    name: str
    channels: Labels
    slices: tuple[Slice, ...]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    reaches: tuple[str, ...] = field(default=())

    @property
    def writers(self) -> tuple[Slice, ...]:
        """Filters and biases that make the channels."""
        return self.with_role("writer")

    @property
    def readers(self) -> tuple[Slice, ...]:
        """Columns that read them."""
        return self.with_role("reader")

    @property
    def norms(self) -> tuple[Slice, ...]:
        """γ, β and running statistics."""
        return self.with_role("norm")

    def with_role(self, role: Role) -> tuple[Slice, ...]:
        """Return the slices of one role."""
        return tuple(part for part in self.slices if part.role == role)

    @property
    def removable(self) -> bool:
        """Whether its channels can be dropped at all, once nobody reads them."""
        return bool(self.writers) and not (self.inputs or self.outputs or self.pins)


def gathered(count: int, lists: Sequence[Labels]) -> list[Labels]:
    """Group channels 1 … count − 1 that occur in the same lists, equally often, in the order of first appearance."""
    block = np.zeros(count, np.int64)
    next_block = 1
    for entries in _distinct_lists(lists):
        found, times = np.unique(entries, return_counts=True)
        keys = block[found] * (int(times.max(initial=0)) + 1) + times
        _, refined = np.unique(keys, return_inverse=True)
        block[found] = next_block + refined.ravel()
        next_block += int(refined.max(initial=0)) + 1
    block[0] = 0
    order = [entries for entries in lists if len(entries)]
    every = np.concatenate(order) if order else np.zeros(0, np.int64)
    unique, first = np.unique(every, return_index=True)
    ordered = unique[np.argsort(first)]
    blocks: dict[int, list[int]] = {}
    for channel in ordered[block[ordered] > 0].tolist():
        blocks.setdefault(int(block[channel]), []).append(channel)
    return [np.array(channels) for channels in blocks.values()]


def _distinct_lists(lists: Sequence[Labels]) -> list[Labels]:
    """Return lists without repetitions, which tell nothing new: a weight, its bias and its norm list the same."""
    return list({entries.tobytes(): entries for entries in lists}.values())


_Stretch = tuple[int, int, int, int, int]


def slices(sites: Sequence[Site], space_of: Labels, place_in: Labels, sizes: Labels) -> Iterator[tuple[int, Slice]]:
    """Cut sites into (space, slice)."""
    known: dict[bytes, list[_Stretch]] = {}
    for site in sites:
        key = site.channels.tobytes()
        if key not in known:
            known[key] = list(_cut(site.channels, space_of, place_in, sizes))
        for space, start, length, repeat, first in known[key]:
            yield space, Slice(site.layer, site.parameter, site.axis, site.role, start, length, repeat, first)


def _cut(channels: Labels, space_of: Labels, place_in: Labels, sizes: Labels) -> Iterator[_Stretch]:
    spaces = space_of[channels]
    for space in np.unique(spaces[spaces >= 0]).tolist():
        entries = np.flatnonzero(spaces == space)
        for run in _runs(entries, place_in[channels[entries]], int(sizes[space])):
            yield space, *run


def _runs(entries: NDArray[np.int64], places: Labels, size: int) -> list[tuple[int, int, int, int]]:
    """Return (start, length, repeat, first) of runs: whole spaces if they are regular, else single entries."""
    repeat = int(np.argmax(places != places[0])) or len(places)
    step = size * repeat
    if len(places) % step == 0:
        pattern = np.repeat(np.arange(size), repeat)
        blocks_of_places, blocks = places.reshape(-1, step), entries.reshape(-1, step)
        if (blocks_of_places == pattern).all() and (np.diff(blocks, axis=1) == 1).all():
            return [(int(block[0]), size, repeat, 0) for block in blocks]
    return [(int(entry), 1, 1, int(place)) for entry, place in zip(entries, places, strict=True)]


def names(spaces: Sequence[Sequence[Slice]], channels: Sequence[Labels], joins: Sequence[Join]) -> list[str]:
    """Name every space by its one writer (or the part of it), or by the last operation that joined its writers."""
    firsts = [int(members[0]) for members in channels]
    last = np.full(max([*firsts, *(int(join.channels.max(initial=0)) for join in joins)], default=0) + 1, -1)
    for place, join in enumerate(joins):
        last[join.channels] = place
    joined = [joins[last[first]].name if last[first] >= 0 else None for first in firsts]
    found = [_name(parts, name) for parts, name in zip(spaces, joined, strict=True)]
    counts = Counter(found)
    ranged = [
        f"{name}[{parts[0].start}:{parts[0].start + parts[0].length * parts[0].repeat}]"
        if counts[name] > 1 and parts and parts[0].layer == name
        else name
        for name, parts in zip(found, spaces, strict=True)
    ]
    counts, seen = Counter(ranged), Counter[str]()
    for place, name in enumerate(ranged):
        seen[name] += 1
        if counts[name] > 1:
            ranged[place] = f"{name} ({seen[name]})"
    return ranged


def _name(parts: Sequence[Slice], join: str | None) -> str:
    writers = [part for part in parts if part.role == "writer"]
    if join is not None and len({part.layer for part in writers}) != 1:
        return join
    return [*writers, *parts][0].layer if parts else "fixed"
