"""From contributions per image to relevance with an interval, in memory that does not grow with the images.

The interval is a Poisson bootstrap over images: image b counts w_rb ~ Poisson(1) times in resampling r, so that sums
can be kept instead of images (Chamandy et al. 2012). Its ends are the 2.5 and 97.5 % quantiles over the resamplings;
it is widened, where necessary, to include the mean itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.engine.explain.relevance.sites import Site

Array = NDArray[np.float64]
COLUMNS = ["task", "layer", "channel", "relevance", "low", "high", "even", "odd", "alive"]
SIGNED = ["signed", "difference", "residual"]


@dataclass
class Scores:
    """Sums over images of what every cell contributes to every task: arrays (tasks, cells)."""

    tasks: tuple[str, ...]
    sites: Sequence[Site]
    resamplings: int
    seed: int

    def __post_init__(self) -> None:
        self._starts = np.cumsum([0, *(site.channels for site in self.sites)])
        shape = (len(self.tasks), int(self._starts[-1]))
        self._halves = np.zeros((2, *shape))
        self._resampled = np.zeros((self.resamplings, *shape))
        self._weights = np.zeros(self.resamplings)
        self._signed: Array | None = None
        self._differences = np.full((len(self.tasks), len(self.sites)), np.nan)
        self._images = 0
        self._chance = np.random.default_rng(self.seed)

    def add(self, contributions: NDArray[np.float32]) -> None:
        """Add Σ |contribution| of some images: (B, tasks, cells)."""
        weights = self._chance.poisson(1.0, (len(contributions), self.resamplings)).astype(np.float32)
        flat = contributions.reshape(len(contributions), -1)
        self._resampled += (weights.T @ flat).reshape(self._resampled.shape)
        self._weights += weights.sum(0)
        for place, image in enumerate(contributions):
            self._halves[(self._images + place) % 2] += image
        self._images += len(contributions)

    def add_signed(self, contributions: NDArray[np.float32], differences: NDArray[np.float32]) -> None:
        """Add the signed sums: Σ contribution (B, tasks, cells), f(x) − f(baseline) (B, tasks, sites)."""
        if self._signed is None:
            self._signed, self._differences = np.zeros(self._halves.shape[1:]), np.zeros(self._differences.shape)
        self._signed += contributions.sum(0)
        self._differences += differences.sum(0)

    def frame(self) -> pd.DataFrame:
        """Return one row per task and cell: COLUMNS, then SIGNED where signed sums were added.

        `even` and `odd` are the relevance over every second image, for the split-half figure.
        """
        mean = self._halves.sum(0) / max(self._images, 1)
        low, high = self._interval(mean)
        counts = np.array([(self._images + 1) // 2, self._images // 2])
        with np.errstate(invalid="ignore"):
            even, odd = (half / count for half, count in zip(self._halves, counts, strict=True))
        tasks, cells = mean.shape
        columns = {
            "task": np.repeat(np.array(self.tasks, object), cells),
            "layer": np.tile(np.repeat([site.name for site in self.sites], np.diff(self._starts)), tasks),
            "channel": np.tile(np.concatenate([np.arange(site.channels) for site in self.sites]), tasks),
            "relevance": mean.ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
            "even": even.ravel(),
            "odd": odd.ravel(),
            "alive": np.tile(np.concatenate([site.alive() for site in self.sites]), tasks),
        }
        return pd.DataFrame({**columns, **self._signs()})

    def _interval(self, mean: Array) -> tuple[Array, Array]:
        counted = self._weights > 0
        if not counted.any():
            return mean, mean
        low, high = np.quantile(self._resampled[counted] / self._weights[counted, None, None], (0.025, 0.975), axis=0)
        return np.minimum(low, mean), np.maximum(high, mean)

    def _signs(self) -> dict[str, Array]:
        if self._signed is None:
            return {}
        signed, differences = self._signed / self._images, self._differences / self._images
        sums = np.add.reduceat(signed, self._starts[:-1], axis=1)
        widths = np.diff(self._starts)
        return {
            "signed": signed.ravel(),
            "difference": np.repeat(differences, widths, axis=1).ravel(),
            "residual": np.repeat(differences - sums, widths, axis=1).ravel(),
        }
