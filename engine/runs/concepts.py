"""Names and notes that a user gives to channels: `concepts.json` in the run's folder, not part of its spec.

    {"channels": [{kind, layer, channel, name, note}, …], "before": [[…], …]}

As with labels, the spec and the digests stay: a name changes what a channel is called, never what it is.
`before` holds the lists before the newest changes, so that they can be undone. A channel is of a kind: input channel
3 of a layer, its filter 3 and the coupled channel 3 of a space are three cells (`dashboard.frames.cells`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from winnow.engine.runs.files import replace_json
from winnow.engine.runs.reading import DamagedFileError, read_object
from winnow.engine.specs.frozen import Frozen, first_line

CONCEPTS = "concepts.json"
LARGEST = 1 << 20  # bytes of the file
KEPT = 20  # changes that can be undone
MOST = 2000  # channels with a name or a note
Kind = Literal["input", "output", "coupled"]
Place = tuple[str, str, int]
"""Kind, layer and number of a channel."""


class Concept(Frozen):
    """What a user calls a channel, and a note on it; one of the two may be ""."""

    kind: Kind = "input"
    layer: str = Field(min_length=1, max_length=200)
    channel: int = Field(ge=0, lt=10**9)
    name: str = Field("", max_length=60)
    note: str = Field("", max_length=1000)

    @field_validator("name")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if value and not (value.strip() and value.isprintable()):
            raise ValueError(f"`name` must hold a letter and be one printable line, got {value!r:.80}.")
        return value.strip()

    @field_validator("note")
    @classmethod
    def _plain_note(cls, value: str) -> str:
        if any(not letter.isprintable() and letter not in "\n\t" for letter in value):
            raise ValueError("`note` must be printable text, got another character in it. Remove it.")
        return value.strip()

    @property
    def place(self) -> Place:
        """Which channel it is about."""
        return self.kind, self.layer, self.channel


class _File(Frozen):
    channels: tuple[Concept, ...] = Field((), max_length=MOST)
    before: tuple[tuple[Concept, ...], ...] = ()


def concepts_of(folder: Path) -> dict[Place, Concept]:
    """Return what is written on the channels of a run; nothing where the file is absent, damaged or not ours."""
    return {one.place: one for one in _read(folder).channels}


def write_concept(folder: Path, kind: str, layer: str, channel: int, **changes: str) -> Concept:
    """Change the name or the note of a channel and keep the rest; without both, the channel has no entry any more.

    Raises:
        ValueError: a name or a note that cannot be written, or the file is damaged; nothing is.
        OSError: the folder may not be changed here.

    """
    known = _writable(folder)
    entries = {one.place: one for one in known.channels}
    old = entries.get((kind, layer, channel))
    kept: Mapping[str, object] = old.model_dump() if old else {"kind": kind, "layer": layer, "channel": channel}
    try:
        found = Concept.model_validate({**kept, **changes})
        if found == old:
            return found
        entries[found.place] = found
        left = tuple(one for one in entries.values() if one.name or one.note)
        file = _File(channels=left, before=(*known.before, known.channels)[-KEPT:])
    except ValidationError as error:
        raise ValueError(first_line(error)) from None
    _write(folder, file)
    return found


def undo_concept(folder: Path) -> bool:
    """Undo the newest change of a name or a note; return whether there was one.

    Raises:
        ValueError: the file is damaged; it is left as it is.
        OSError: the folder may not be changed here.

    """
    known = _writable(folder)
    if not known.before:
        return False
    _write(folder, _File(channels=known.before[-1], before=known.before[:-1]))
    return True


def can_undo_concept(folder: Path) -> bool:
    """Return whether there is a change to undo."""
    return bool(_read(folder).before)


def _read(folder: Path) -> _File:
    try:
        if (folder / CONCEPTS).stat().st_size > LARGEST:
            return _File()
        return _File.model_validate(read_object(folder / CONCEPTS))
    except (OSError, ValueError):
        return _File()


def _writable(folder: Path) -> _File:
    """Return what is in the file, as `_read`; one that can't be read must not be replaced."""
    found = _read(folder)
    if not found.channels and not found.before and (folder / CONCEPTS).exists():
        try:
            _File.model_validate(read_object(folder / CONCEPTS))
        except ValueError:
            raise DamagedFileError(folder / CONCEPTS, "it holds no names of channels") from None
    return found


def _write(folder: Path, file: _File) -> None:
    document = file.model_dump(mode="json")
    while document["before"] and len(str(document)) > LARGEST // 4:
        document["before"] = document["before"][1:]  # the oldest changes, before the file becomes too large to be read
    replace_json(folder / CONCEPTS, document)
