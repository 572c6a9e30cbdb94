"""What a page answers before it shows a chart: a sentence in numbers of what is shown, and what to look at next."""

from collections.abc import Iterable
from dataclasses import dataclass

MOST_NAMED = 4  # tasks in a sentence
ROUNDING = 1e-9  # %: what floating point leaves of a share that is nothing, or the whole


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
    """Say a share [%] in a sentence or label: 71 %, 0.4 %, a dash where it is not known; only a whole is 0 or 100 %."""
    value = whole_share(value)
    if value != value:
        return "–"
    if value < 0:
        return f"−{percent(-value)}"
    if 0 < value < 0.05:
        return "less than 0.1 %"
    if 99.5 <= value < 100:
        return f"{min(round(value, 1), 99.9):.1f} %"
    return f"{value:.0f} %" if value >= 10 or value == round(value) else f"{value:.1f} %"


def whole_share(share: float) -> float:
    """Return a share [%] as the 0 or 100 that it is but for rounding, any other as it is."""
    return next((whole for whole in (0.0, 100.0) if abs(share - whole) < ROUNDING), share)


def joined_up(parts: Iterable[str], most: int | None = None) -> str:
    """Join words as a sentence does: a, b and c; of more than `most`, the first: a, b and 3 more."""
    every = [*parts] or [""]
    if most is not None and len(every) > most:
        every = [*every[:most], f"{len(every) - most} more"]
    *first, last = every
    return f"{', '.join(first)} and {last}" if first else last
