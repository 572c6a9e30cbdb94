"""How relevance and ablation are measured: what of, against what, on how many images."""

from dataclasses import dataclass
from typing import get_args

from winnow.engine.specs.explain import Fill, Of


@dataclass(frozen=True)
class Settings:
    """What holds for a whole explanation.

    of: each task's loss, or its output as one number per image. fill: what stands for a missing channel, its mean over
    images and positions or zero; path methods start at an image of the mean colours or a black one. images: the first
    so many; None: all. bootstrap: resamplings of the images behind the 95 % interval. steps: points on the path of the
    integrating methods. chunk: images in memory at a time. seed: of resampling, sampling and shuffling.

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
                raise ValueError(f"`{name}` should be one of {', '.join(get_args(kind))}. Found {getattr(self, name)}.")
        for name, least in (("images", 1), ("bootstrap", 1), ("steps", 2), ("chunk", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"`{name}` should be at least {least}. Found {value}.")
