"""What may be asked about a data set itself: a look at its samples, its targets and what is wrong with it."""

from typing import Any, Literal

from pydantic import Field, ValidationError

from winnow.data.registered import NAME
from winnow.engine.specs.frozen import Frozen, SpecError, first_line
from winnow.engine.specs.train import Data


class LookSpec(Frozen):
    """A look at every sample of a data set."""

    kind: Literal["look"] = "look"
    format_version: Literal[1] = 1
    name: str = Field(pattern=f"^{NAME.pattern}$", description="name of the data set")
    data: Data
    pictures: int = Field(8, ge=1, le=64, description="samples of each split to keep pictures of, evenly spaced")


def parse_look(values: Any) -> LookSpec:
    """Return the spec that a dictionary describes; raise `SpecError` with one line otherwise."""
    try:
        return LookSpec.model_validate(values)
    except ValidationError as error:
        raise SpecError(first_line(error)) from error
