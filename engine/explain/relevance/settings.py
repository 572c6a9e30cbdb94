"""How relevance and ablation are measured: the objective, the replacement of a removed channel, how many images."""

from dataclasses import dataclass
from typing import get_args

from winnow.engine.specs.explain import Fill, Of


@dataclass(frozen=True)
class Settings:
    """The settings of a whole explanation.

    of: each task's loss, or its output as one number per image. fill: what replaces a removed channel, its mean over
    images and positions or zero; path methods start at an image of the mean colours or at a black one. images: the
    first so many; None for all. bootstrap: resamplings for the 95 % interval. steps: points on the path of integrating
    methods. chunk: images in memory at a time. seed: of resampling, sampling and shuffling.

    Raises:
        ValueError: a value out of range.

    """

    of: Of = "loss"
    fill: Fill = "mean"
    images: int | None = None
    bootstrap: int = 200
    steps: int = 16
    chunk: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in (("of", Of), ("fill", Fill)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"`{name}` must be one of {', '.join(get_args(kind))}, got {getattr(self, name)!r}.")
        for name, least in (("images", 1), ("bootstrap", 1), ("steps", 2), ("chunk", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"`{name}` must be at least {least}, got {value}.")
