"""What a user writes on a run: another name, a star, tags, a note. `labels.json` in its folder, not part of its spec.

The spec and the digests stay as they are: a label changes what a run is called, never what it is.
"""

from pathlib import Path

from pydantic import Field, ValidationError, field_validator

from winnow.engine.runs.files import replace_json
from winnow.engine.runs.reading import read_json
from winnow.engine.specs.frozen import Frozen

NAME = "labels.json"
LARGEST = 1 << 16  # bytes of the file


class Labels(Frozen):
    """What is written on a run; `name` is "" where the run keeps that of its spec."""

    name: str = Field("", max_length=100)
    star: bool = False
    tags: tuple[str, ...] = Field((), max_length=20)
    note: str = Field("", max_length=4000)

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if value and (not value.strip() or any(ord(letter) < 32 for letter in value)):
            raise ValueError(f"`name` must hold a letter and be one line, got {value!r}.")
        return value.strip()

    @field_validator("tags")
    @classmethod
    def _distinct_tags(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(tag.strip() for tag in value if tag.strip()))
        if wrong := [tag for tag in found if len(tag) > 40 or "," in tag or any(ord(letter) < 32 for letter in tag)]:
            raise ValueError(f"`tags` must have at most 40 letters and no comma, got {wrong[0]!r}.")
        return found


def labels_of(folder: Path) -> Labels:
    """Return what is written on the run in a folder; nothing where the file is absent, damaged or not ours."""
    path = folder / NAME
    try:
        return Labels.model_validate(read_json(path, LARGEST))
    except (OSError, ValueError):
        return Labels()


def write_labels(folder: Path, **changes: object) -> Labels:
    """Change some of what is written on a run and keep the rest.

    Raises:
        ValueError: a label that cannot be written; nothing is.
        OSError: the folder may not be changed here.

    """
    try:
        found = Labels.model_validate({**labels_of(folder).model_dump(), **changes})
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    replace_json(folder / NAME, found.model_dump(mode="json"))
    return found
