"""Which channel of a planted network carries what, and which tasks reach it: drawn by a seed, before any weight.

Three stages of channels, each read by the next, the last one by the heads. A living channel carries one cause of
`data.planted` and is read by at least one channel of the same cause in the next stage, or by the heads of some of the
tasks that need the cause. So a channel serves the tasks that can be reached from it, no matter how strongly; a channel
of a cause may serve fewer tasks than the cause does. Channels of causes that no task needs are idle: alive, and read
by others of their kind. Dead channels either carry nothing or are read by nobody.

A channel's `strength` is its part of the signal, log-uniform from 1/4 to 1; parts of one reader add up to 1, and
multiply from stage to stage: effects span one to two orders of magnitude. Its `scale` multiplies its activation and
divides its readers' weights, log-uniform over two orders: the function stays, while sizes of activations and weights
say nothing.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.data.planted import CAUSES, FIELDS
from winnow.engine.explain.usage import DEAD, IDLE, SHARED

STAGES = 3
NOTHING = -1  # the cause of a dead channel
STRENGTHS, SCALES = (0.25, 1.0), (0.1, 10.0)
Flags = NDArray[np.bool_]
TASKS = tuple(FIELDS)


@dataclass(frozen=True)
class Stage:
    """Channels side by side: arrays (channels,), and `uses` (channels, tasks).

    cause: its number in CAUSES, -1 for a dead channel; silent: dead because it carries nothing (the other dead ones
    are read by nobody); uses: which tasks it serves.
    """

    cause: NDArray[np.int64]
    silent: Flags
    uses: Flags
    strength: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def dead(self) -> Flags:
        """Return which channels are dead."""
        found: Flags = self.cause == NOTHING
        return found

    def __len__(self) -> int:
        return len(self.cause)


@dataclass(frozen=True)
class Wiring:
    """The stages from the images to the heads; `links[i]` (channels of stage i + 1, of stage i): who reads whom."""

    stages: tuple[Stage, ...]
    links: tuple[Flags, ...]


def wiring(seed: int, dead: int = 4) -> Wiring:
    """Return a random wiring with `dead` dead channels per stage."""
    chance = np.random.default_rng([seed, STAGES])
    last = [(cause, uses) for cause, needed in enumerate(_needs()) for uses in _ends(chance, needed)]
    stages = [_stage(chance, [cause for cause, _ in last], np.array([uses for _, uses in last]), dead)]
    links: list[Flags] = []
    while len(stages) < STAGES:
        before, link = _before(chance, stages[0], dead)
        stages, links = [before, *stages], [link, *links]
    return Wiring(tuple(stages), tuple(links))


def truth(stage: Stage, layer: str) -> pd.DataFrame:
    """Return what is known of the channels that a stage hands on under the name of a layer.

    Columns: layer, channel, cause ("" of a dead one), label (as `engine.explain.usage` has it), used_by (tasks joined
    by "+").
    """
    names, labels = (*CAUSES, ""), []
    used_by = ["+".join(np.array(TASKS)[row]) for row in stage.uses]
    for dead, tasks in zip(stage.dead, used_by, strict=True):
        labels.append(DEAD if dead else IDLE if not tasks else SHARED if "+" in tasks else tasks)
    return pd.DataFrame(
        {
            "layer": layer,
            "channel": np.arange(len(stage)),
            "cause": [names[cause] for cause in stage.cause],
            "label": labels,
            "used_by": used_by,
        }
    )


def _needs() -> Flags:
    return np.array([[task in tasks for task in TASKS] for tasks in CAUSES.values()])


def _ends(chance: np.random.Generator, needed: Flags) -> list[Flags]:
    """Return whom each channel of a cause in the last stage serves: together all the tasks that need the cause."""
    tasks = np.flatnonzero(needed)
    count = int(chance.integers(1, 4))
    if len(tasks) == 0:
        return [needed] * count
    served = _covering(chance, count, len(tasks))
    found = np.zeros((count, len(needed)), bool)
    found[:, tasks] = served
    return list(found)


def _before(chance: np.random.Generator, stage: Stage, dead: int) -> tuple[Stage, Flags]:
    """Return the stage that another one reads, and who of the two reads whom."""
    causes: list[int] = []
    blocks: list[tuple[NDArray[np.int64], Flags]] = []
    for cause in range(len(CAUSES)):
        readers = np.flatnonzero(stage.cause == cause)
        count = int(chance.integers(1, 4))
        blocks.append((readers, _covering(chance, len(readers), count)))
        causes += [cause] * count
    link, first = np.zeros((len(stage), len(causes)), bool), 0
    for readers, block in blocks:
        link[readers, first : first + block.shape[1]] = block
        first += block.shape[1]
    uses: Flags = np.any(link[:, :, None] & stage.uses[:, None, :], axis=0)
    order = _order(chance, len(causes) + dead)
    padded = np.concatenate([link, np.zeros((len(stage), dead), bool)], 1)[:, order]
    return _stage(chance, causes, uses, dead, order), padded


def _covering(chance: np.random.Generator, rows: int, columns: int) -> Flags:
    """Return random flags (rows, columns), at least one in every row and every column."""
    found: Flags = chance.random((rows, columns)) < 0.5
    for row in np.flatnonzero(~found.any(1)):
        found[row, chance.integers(columns)] = True
    for column in np.flatnonzero(~found.any(0)):
        found[chance.integers(rows), column] = True
    return found


def _order(chance: np.random.Generator, count: int) -> NDArray[np.int64]:
    return chance.permutation(count)


def _stage(
    chance: np.random.Generator, causes: list[int], uses: Flags, dead: int, order: NDArray[np.int64] | None = None
) -> Stage:
    """Return a stage of the living channels and some dead ones, in a random order."""
    count = len(causes) + dead
    order = _order(chance, count) if order is None else order
    silent = np.arange(count) >= count - (dead + 1) // 2
    return Stage(
        cause=np.array([*causes, *[NOTHING] * dead])[order],
        silent=silent[order] if dead else np.zeros(count, bool),
        uses=np.concatenate([uses, np.zeros((dead, uses.shape[1]), bool)])[order],
        strength=log_uniform(chance, STRENGTHS, count),
        scale=log_uniform(chance, SCALES, count),
    )


def log_uniform(chance: np.random.Generator, ends: tuple[float, float], count: int) -> NDArray[np.float64]:
    """Return numbers between the ends whose logarithms are uniform, (count,)."""
    low, high = ends
    found: NDArray[np.float64] = low * (high / low) ** chance.random(count)
    return found
