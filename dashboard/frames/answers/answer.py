"""What a page answers before it shows a chart: a sentence in numbers of what is shown, and what to look at next."""

from collections.abc import Iterable
from dataclasses import dataclass

MOST_NAMED = 4  # tasks in a sentence


@dataclass(frozen=True)
class Answer:
    """What is said, what to look at next, and the page that shows it ("": this one). All of it is text, no markup."""

    says: str
    then: str = ""
    page: str = ""


def count(number: int, noun: str) -> str:
    """Say how many: 1 channel, 3 channels."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def joined_up(parts: Iterable[str], most: int | None = None) -> str:
    """Join words as a sentence does: a, b and c; of more than `most`, the first: a, b and 3 more."""
    every = [*parts] or [""]
    if most is not None and len(every) > most:
        every = [*every[:most], f"{len(every) - most} more"]
    *first, last = every
    return f"{', '.join(first)} and {last}" if first else last
