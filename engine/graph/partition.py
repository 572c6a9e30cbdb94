"""Which channels are one and the same: a union-find over integer labels, with whole arrays tied at once.

Label 0 stands for everything that no layer of the model can drop: constants, and what was computed from them. A label
that is tied to it stays a label of its own, but is remembered as pinned.
"""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
FIXED = 0


class Partition:
    """Labels 0, 1, 2, … and the ties between them; the root of a set is its least label."""

    def __init__(self) -> None:
        self._parent = np.zeros(1024, np.int64)
        self._size = 1
        self._pinned: list[Labels] = []

    @property
    def size(self) -> int:
        """The number of labels."""
        return self._size

    def fresh(self, count: int) -> Labels:
        """Return `count` labels that are tied to nothing."""
        start, self._size = self._size, self._size + count
        if self._size > len(self._parent):
            grown = np.zeros(2 * self._size, np.int64)
            grown[:start] = self._parent[:start]
            self._parent = grown
        labels = np.arange(start, self._size)
        self._parent[labels] = labels
        return labels

    def roots(self, labels: Labels) -> Labels:
        """Return the root of every label."""
        found = self._parent[labels]
        while not (found == (above := self._parent[found])).all():
            found = above
        return found

    def tie(self, one: Labels, other: Labels) -> None:
        """Make one channel of each pair of labels; the arrays broadcast."""
        if one is other:
            return
        pairs = np.broadcast_arrays(self.roots(one), self.roots(other))
        a, b = pairs[0].ravel(), pairs[1].ravel()
        if (half := (a == FIXED) != (b == FIXED)).any():
            self._pinned.append(np.maximum(a[half], b[half]))
            a, b = a[~half], b[~half]
        while (apart := a != b).any():
            low, high = np.minimum(a[apart], b[apart]), np.maximum(a[apart], b[apart])
            np.minimum.at(self._parent, high, low)
            a, b = self.roots(low), self.roots(high)

    def pinned(self) -> Labels:
        """Return the labels that were tied to label 0 since the last call."""
        if not self._pinned:
            return np.zeros(0, np.int64)
        found = np.concatenate(self._pinned)
        self._pinned = []
        return found

    def tie_except(self, labels: Labels, axis: int) -> Labels:
        """Tie all labels that share a place along `axis`; return one of each, (places,)."""
        rows = np.moveaxis(labels, axis, 0).reshape(labels.shape[axis], -1)
        first: Labels = rows.max(1)
        if rows.shape[1] == 1:
            return first
        self.tie(first[:, None], rows)
        return first

    def copy(self) -> "Partition":
        """Return an independent copy, to try a tie on."""
        twin = Partition()
        twin._parent, twin._size = self._parent.copy(), self._size
        return twin
