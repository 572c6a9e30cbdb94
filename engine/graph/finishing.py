"""From labels to channels: constants find their axis, and every set of tied labels becomes one numbered channel."""

from collections.abc import Iterable

import numpy as np

from winnow.engine.graph.carriers import Carrier, squeezed
from winnow.engine.graph.partition import FIXED, Labels
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.records import Mix, Site
from winnow.engine.graph.weights import Flags


def place_constants(recording: Recording) -> None:
    """Give every parameter that meets channels element by element its site; where no axis fits, nothing is dropped."""
    reached = _reached(recording)
    touched = {name for name, labels in recording.constants.items() if reached[recording.partition.roots(labels)].any()}
    layered = {parameter for parameter, _ in recording.sites} & recording.direct.keys()
    axes = {name: _axis(recording, recording.constants[name], reached) for name in touched}
    shapeless = {name for name in touched if name in layered or axes[name] is None}
    for name in sorted(shapeless | layered):
        pinned = [site.channels for (parameter, _), site in recording.sites.items() if parameter == name]
        pinned += [recording.constants[name].ravel()] if name in touched else []
        reason = "is a parameter used in two ways" if name in layered else "is a parameter without an axis for it"
        recording.flows.append(Mix(name, reason, np.concatenate(pinned), np.array([FIXED])))
    for name in sorted(recording.tables):
        if (site := recording.sites.get((name, 0))) is not None:
            reason = "is a table whose rows are picked by index"
            recording.flows.append(Mix(name, reason, site.channels, np.array([FIXED])))
    for name in sorted(touched - shapeless):
        labels = recording.constants[name]
        if (axis := axes[name]) is not None:
            channels = recording.partition.tie_except(labels, axis)
            recording.sites[(name, axis)] = Site(name.rpartition(".")[0], name, axis, "constant", channels)


def _reached(recording: Recording) -> Flags:
    """Return for every label whether it is the root of one that a layer's channels reach."""
    found = np.zeros(recording.partition.size, bool)
    for carrier in recording.carriers if recording.constants else ():
        if carrier.bears:
            found[carrier.labels.ravel()] = True
    roots = recording.partition.roots(np.flatnonzero(found))
    found[:] = False
    found[roots] = True
    return found


def _axis(recording: Recording, labels: Labels, reached: Flags) -> int | None:
    """Return the one axis along which a parameter's channels lie."""
    roots = recording.partition.roots(labels)
    long = [axis for axis, length in enumerate(squeezed(roots).shape) if length > 1]
    if not long:
        long = [axis for axis, length in enumerate(labels.shape) if length > 1]
    if len(long) > 1:  # a part of it is used, as of a table of places longer than the sequence
        long = [axis for axis in long if _lies_along(roots, reached[roots], axis)]
    return long[0] if len(long) == 1 else None


def _lies_along(roots: Labels, met: Flags, axis: int) -> bool:
    """Whether all entries at one place of an axis that meet channels meet the same one, and some do at every place."""
    places, used = (np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1) for array in (roots, met))
    highest = np.where(used, places, -1).max(1)
    lowest = np.where(used, places, places.max() + 1).min(1)
    return bool(used.any(1).all() and (highest == lowest).all())


def classes(recording: Recording, ends: Iterable[Carrier]) -> Labels:
    """Return the channel of every label: 0 for the fixed, then in the order of first appearance in the model."""
    seen = [np.zeros(1, np.int64), *(carrier.labels.ravel() for carrier in ends)]
    seen += [site.channels.ravel() for site in recording.sites.values()]
    seen += [carrier.labels.ravel() for carrier in recording.carriers if carrier.bears]
    roots = recording.partition.roots(np.concatenate(seen))
    number = np.zeros(recording.partition.size, np.int64)
    first = np.full(recording.partition.size, -1)
    first[roots[::-1]] = np.arange(len(roots))[::-1]  # of equal places the last one written stays
    unique = np.flatnonzero(first >= 0)
    first = first[unique]
    number[unique[np.argsort(first)]] = np.arange(len(unique))
    return number[recording.partition.roots(np.arange(recording.partition.size))]
