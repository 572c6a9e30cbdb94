"""Which code the user has confirmed on this machine: by naming it in a command, or with `winnow trust`.

The same list holds the folders that may be written to, which the user has named in a command or a form.

A run folder says which code it was trained with, and may come from somebody else. So the list is kept outside of all
run folders: in WINNOW_TRUSTED, or winnow/trusted.json in the user's folder of settings. It holds names with digests:
code that was changed is to be confirmed again.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

KEPT = 1000  # entries, the newest
FOLDER = "folder"  # in the place of the name of code


def trusted_file() -> Path:
    """Return where the list is."""
    settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(os.environ.get("WINNOW_TRUSTED") or Path(settings, "winnow", "trusted.json"))


def confirm(fingerprint: Mapping[str, str]) -> None:
    """Take code into the list."""
    file = trusted_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock"), timeout=10):
        known = [entry for entry in _known() if entry != _key(fingerprint)]
        draft = file.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(json.dumps([*known, _key(fingerprint)][-KEPT:], indent=1))
        draft.replace(file)


def is_confirmed(fingerprint: Mapping[str, str]) -> bool:
    """Return whether code is in the list, as it is now."""
    return _key(fingerprint) in _known()


def confirm_folder(path: str) -> None:
    """Take a folder that may be written to into the list."""
    if not folder_is_confirmed(path):
        confirm({"code": FOLDER, "digest": path})


def folder_is_confirmed(path: str) -> bool:
    """Return whether a folder is in the list."""
    return is_confirmed({"code": FOLDER, "digest": path})


def _key(fingerprint: Mapping[str, str]) -> str:
    return f"{fingerprint['code']} {fingerprint['digest']}"


def _known() -> list[str]:
    try:
        found = json.loads(trusted_file().read_bytes())
    except (OSError, ValueError):
        return []
    return [entry for entry in found if isinstance(entry, str)] if isinstance(found, list) else []
