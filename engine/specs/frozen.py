"""What every spec is made of: a record that can't be changed, the limits of its numbers, the sentence of a refusal."""

import os
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from winnow.data.blame import JOINER, printable

Width = Annotated[int, Field(ge=1, le=8192)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Strength = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]  # beyond, no float32 holds a product of two
LONGEST = 80  # characters of a value that a message quotes


def _one_line(name: str) -> str:
    shown = name.replace(JOINER, "")
    if not shown.isprintable() or not shown.strip():
        raise ValueError(f"`name` must be printable, on one line, and more than spaces, got {name!r:.{LONGEST}}.")
    return name


Name = Annotated[str, AfterValidator(_one_line)]


class SpecError(ValueError):
    """A spec that can't be run; the message is one line: parameter, what it must be, what it is.

    It may quote a file that somebody else wrote: this, too, it shows on one line, without control characters.
    """

    def __init__(self, said: str = "") -> None:
        super().__init__(printable(" ".join(said.split())))


class Frozen(BaseModel):
    """A record that can't be changed, knows its fields and refuses others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def refusal(error: ValueError) -> SpecError:
    """Return our error for what pydantic says of a spec: its first problem, in one line."""
    if isinstance(error, ValidationError):
        return SpecError(first_line(error))
    return SpecError("`spec` must be Unicode text, got a surrogate without its other half. Correct it.")


class DerivedSpec(Frozen):
    """What is asked for about the result of a run: a pruning, an explanation, an export, a bench."""

    kind: str
    format_version: Literal[1] = 1


def refuse_repeated(spec: BaseModel, *names: str) -> None:
    """Refuse a list of a spec that holds a value twice.

    Raises:
        ValueError: one does; the message names it.

    """
    for name in names:
        values = getattr(spec, name)
        if len(set(values)) != len(values):
            raise ValueError(f"`{name}` must name each one once, got {', '.join(map(str, values))}.")


def available_cores() -> int:
    """Return how many cores this process may use, at most 8: beyond that a small network gains nothing."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(len(affinity(0)) if affinity else os.cpu_count() or 1, 8)


def first_line(error: ValidationError) -> str:
    """Say the first problem in one line: `parameter` must be X, got Y."""
    problem = error.errors()[0]
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return message
    place = [str(part) for part in problem["loc"]]
    parameter = ".".join(place[-2:] if place and place[-1].isdigit() else place[-1:]) or "spec"
    if problem["type"] == "missing":
        return f"`{parameter}` must be given."
    got = f"{problem['input']!r:.{LONGEST}}"
    if problem["type"] == "extra_forbidden":
        return f"`{parameter}` is not an option here, got {got}. Leave it out."
    must = re.sub(r"^\w+ should ", "must ", message).partition(", unable to ")[0]
    return f"`{parameter}` {must if must != message else f'is wrong: {message}'}, got {got}."
