"""Scalar draws for layouts.

Everything a layout decides is made from `Generator.random()`, whose stream is the same on every machine and costs a
third of `uniform` or `integers`; a room takes some three hundred draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from numpy.random import Generator

T = TypeVar("T")


@dataclass(frozen=True)
class Dice:
    """A source of layout decisions."""

    generator: Generator

    def between(self, low: float, high: float) -> float:
        """Return a uniform number in [low, high)."""
        return low + (high - low) * self.generator.random()

    def chance(self, probability: float) -> bool:
        """Return whether an event of this probability happens."""
        return self.generator.random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, each as likely as the others."""
        return options[int(self.generator.random() * len(options))]

    def count(self, low: int, high: int) -> int:
        """Return a uniform integer in {low, …, high}."""
        return low + int(self.generator.random() * (high - low + 1))
