"""What a page answers before it shows a chart: a sentence in numbers of what is shown, and what to look at next."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What is said, what to look at next, and the page that shows it ("": this one). All of it is text, no markup."""

    says: str
    then: str = ""
    page: str = ""


def count(number: int, noun: str) -> str:
    """Say how many: 1 channel, 3 channels."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(value: float) -> str:
    """Say a share [%] in a sentence: 71 %, 0.4 %, a dash where it is not known."""
    if value != value:
        return "–"
    return f"{value:.0f} %" if value >= 10 or value == round(value) else f"{value:.1f} %"


def joined_up(parts: Iterable[str]) -> str:
    """Join words as a sentence does: a, b and c."""
    *first, last = [*parts] or [""]
    return f"{', '.join(first)} and {last}" if first else last
