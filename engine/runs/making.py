"""Making a folder of work: completely or not at all, under a name that no other has."""

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.provenance import made_with
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.frozen import Frozen


def make(root: Path, stem: str, spec: Frozen, status: Status) -> Path:
    """Make a new folder of work below `root`, completely or not at all; return it: <utc-time>-<stem>, or numbered."""
    document = {**spec.model_dump(mode="json"), **made_with(spec)}
    root.mkdir(parents=True, exist_ok=True)
    draft = root / f".new-{secrets.token_hex(6)}"
    draft.mkdir()
    replace_json(draft / "spec.json", document)
    replace(draft / "status.json", status.model_dump_json().encode())
    for identity in _identities(stem):
        try:
            draft.rename(root / identity)
        except OSError:  # the name is taken: a folder with files in it is never replaced
            continue
        return root / identity
    raise RuntimeError("unreachable: identities do not end")


def _identities(name: str) -> Iterator[str]:
    """Yield <utc-time>-<slug>, then the same with a number."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug}"
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1
