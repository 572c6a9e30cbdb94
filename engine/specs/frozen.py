"""What every spec is made of: a record that can't be changed, the limits of its numbers, the sentence of a refusal."""

import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Leaf

from winnow.data.catalog import DATASETS

Width = Annotated[int, Leaf(ge=1, le=8192)]
Positive = Annotated[float, Leaf(gt=0, allow_inf_nan=False)]
Strength = Annotated[float, Leaf(ge=0, allow_inf_nan=False)]


class SpecError(ValueError):
    """A spec that can't be run; the message is one line: parameter, expected, found."""


class Frozen(BaseModel):
    """A record that can't be changed, knows its fields and refuses others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def available_cores() -> int:
    """Return how many cores this process may use, at most 8: beyond that a small network gains nothing."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(len(affinity(0)) if affinity else os.cpu_count() or 1, 8)


def first_line(error: ValidationError) -> str:
    """Say the first problem as parameter, expected, found."""
    problem = error.errors()[0]
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return message
    place = [str(part) for part in problem["loc"] if part not in DATASETS]
    parameter = ".".join(place[-2:] if place and place[-1].isdigit() else place[-1:]) or "spec"
    if problem["type"] == "extra_forbidden":
        return f"`{parameter}` is not an option here. Found {problem['input']!r}."
    return f"`{parameter}`: {message[0].lower() + message[1:]}. Found {problem['input']!r}."
