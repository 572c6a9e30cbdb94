"""What a user chose for the report of a run or study: report.json and the pinned figures, in its folder.

    report.json            {format, sections, hidden, captions, pins}
    report/pin-<id>.json   {format, key, claim, reading, source, at, kind, shown, csv}: a figure as it was when pinned

`sections` are the keys of what is shown, in order; null: all, in the usual order. `hidden` are keys of figures that are
left out, `captions` maps the key of a figure to what stands below it, `pins` are ids. A folder may come from somebody
else: each file is checked, and one that can't be right is refused by name.
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.engine.runs.files import replace_json
from winnow.engine.runs.reading import read_json, read_object
from winnow.engine.runs.work_folder import WorkFolder

NAME, FOLDER, FORMAT = "report.json", "report", 1
LATEST = 1e11  # s since 1970: later than that no calendar has a date
MOST_PINS = 24
MOST_CAPTION = 2000  # characters
MOST_BYTES = 3_000_000  # of a pin: a figure of a page has 250 kB
Kind = Literal["figure", "maps", "table"]
Words = tuple[str, ...]
_PIN = re.compile(r"pin-[0-9a-f]{12}")


@dataclass(frozen=True)
class ReportChoice:
    """What is shown in a report, in which order, and under which captions."""

    sections: Words | None = None
    hidden: Words = ()
    captions: Mapping[str, str] = field(default_factory=dict)
    pins: Words = ()


@dataclass(frozen=True)
class Pin:
    """A figure that a user pinned: its key, what the page said, how to read it, of what it is, when, and what it shows.

    `shown` is a Plotly figure, the data of maps, or nothing for a table, whose rows are in `csv`.
    """

    key: str
    claim: str
    reading: str
    source: str
    kind: Kind
    shown: Mapping[str, Any]
    csv: str
    at: float = 0.0  # seconds since 1970

    @property
    def id(self) -> str:
        """Its name: the same for one figure of one thing, so that a figure is pinned once."""
        return f"pin-{hashlib.sha256(f'{self.key}|{self.source}'.encode()).hexdigest()[:12]}"


def report_choice(work: WorkFolder) -> ReportChoice:
    """Return what was chosen for the report of a run or study; the usual where nothing was.

    Raises:
        ValueError: report.json can't be read as this version writes it; the message names what is wrong.

    """
    return _choice_of(work.path, version(work.path / NAME))


def choose_for_report(work: WorkFolder, choice: ReportChoice) -> None:
    """Keep what was chosen.

    Raises:
        OSError: the folder can't be written.
        ValueError: the choice is not one, as `report_choice` says.

    """
    document = {"format": FORMAT, **asdict(choice)}
    _checked(json.loads(json.dumps(document)))
    replace_json(work.path / NAME, document)


def add_pin(work: WorkFolder, pin: Pin) -> None:
    """Pin a figure; a figure that is pinned is replaced.

    Raises:
        OSError: the folder can't be written.
        ValueError: there are `MOST_PINS`, or the figure is too large.

    """
    known = report_choice(work)
    if len(known.pins) >= MOST_PINS and pin.id not in known.pins:
        raise ValueError(f"`report` must hold at most {MOST_PINS} pinned figures. Remove one on the Report page.")
    document = {"format": FORMAT, **asdict(replace(pin, at=time.time()))}
    if len(json.dumps(document)) > MOST_BYTES:
        raise ValueError(f"`figure` must have at most {MOST_BYTES:,} bytes to be pinned. Show less of it first.")
    (work.path / FOLDER).mkdir(exist_ok=True)
    replace_json(work.path / FOLDER / f"{pin.id}.json", document)
    sections = known.sections if known.sections is None or pin.id in known.sections else (*known.sections, pin.id)
    choose_for_report(work, replace(known, pins=tuple(dict.fromkeys((*known.pins, pin.id))), sections=sections))


def remove_pin(work: WorkFolder, name: str) -> None:
    """Forget a pinned figure."""
    known = report_choice(work)
    left = None if known.sections is None else tuple(other for other in known.sections if other != name)
    pins = tuple(other for other in known.pins if other != name)
    choose_for_report(work, replace(known, pins=pins, sections=left))
    if _PIN.fullmatch(name):
        (work.path / FOLDER / f"{name}.json").unlink(missing_ok=True)


def pinned(work: WorkFolder) -> dict[str, Pin]:
    """Return the pinned figures by id, in the order in which they were pinned; raise as `report_choice`."""
    return {name: _pin(work.path / FOLDER / f"{name}.json") for name in report_choice(work).pins}


@latest(256)
def _choice_of(folder: Path, written: Version) -> ReportChoice:
    if not written.changed:
        return ReportChoice()
    return _checked(read_object(folder / NAME))


def _whole(said: object) -> bool:
    """Return whether all text in a JSON value can be shown: a file may hold half of a character."""
    try:
        json.dumps(said, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked(said: Mapping[str, Any]) -> ReportChoice:
    if not _whole(said):
        raise ValueError(f"`{NAME}` must hold whole characters, got half of one. Remove the file.")
    if said.get("format") != FORMAT:
        raise ValueError(
            f"`format` of {NAME} must be {FORMAT}, got {said.get('format')!r}. Remove the file, or update."
        )
    sections = said.get("sections")
    pins = _words(said, "pins")
    if len(pins) > MOST_PINS or not all(_PIN.fullmatch(name) for name in pins):
        raise ValueError(f"`pins` of {NAME} must be at most {MOST_PINS} ids like pin-0123456789ab, got {pins!r:.200}.")
    captions = said.get("captions", {})
    if not isinstance(captions, dict) or not all(isinstance(text, str) for text in captions.values()):
        raise ValueError(f"`captions` of {NAME} must map keys of figures to text.")
    if long := [key for key, text in captions.items() if len(text) > MOST_CAPTION]:
        raise ValueError(f"`captions` of {NAME} must have at most {MOST_CAPTION} characters, {long[0]!r:.60} has more.")
    return ReportChoice(None if sections is None else _words(said, "sections"), _words(said, "hidden"), captions, pins)


def _words(said: Mapping[str, Any], name: str) -> Words:
    found = said.get(name, [])
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise ValueError(f"`{name}` of {NAME} must be a list of names, got {found!r:.100}.")
    if len(set(found)) < len(found):
        raise ValueError(f"`{name}` of {NAME} must name each one once, got {found!r:.200}.")
    return tuple(found)


def _pin(path: Path) -> Pin:
    try:
        said = read_json(path, MOST_BYTES)
    except FileNotFoundError:
        raise ValueError(
            f"`pins` of {NAME} name {path.stem}, whose file is missing. Remove it on the Report page."
        ) from None
    texts = ("key", "claim", "reading", "source", "csv")
    right = isinstance(said, dict) and said.get("format") == FORMAT and said.get("kind") in get_args(Kind)
    right = right and isinstance(said.get("shown"), dict) and _whole(said)
    if not right or not all(isinstance(said.get(name), str) for name in texts):
        raise ValueError(
            f"`{FOLDER}/{path.name}` must be a pinned figure of this version. Remove it on the Report page."
        )
    own = {name: said[name] for name in (*texts, "kind", "shown")}
    at = said.get("at")
    return Pin(**own, at=float(at) if isinstance(at, int | float) and 0 <= at <= LATEST else 0.0)
