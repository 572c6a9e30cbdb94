"""Data sets on the user's disk by a name of their choice, which `--dataset` and the form take like a built-in one.

The list is of this machine, whatever folder the runs are in: WINNOW_DATASETS, or winnow/datasets.json in the user's
folder of settings. A run stores what the name stood for when it was created, never the name: to remove or change an
entry changes no run.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import ValidationError

from winnow.data.catalog import DATASETS
from winnow.data.checking.recognising import spec_for
from winnow.data.disk.spec import DiskData
from winnow.data.spec import DataSpec
from winnow.data.trust import trusted_file

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
TAKEN = (*DATASETS, "own", "recorded")
MEND = "Fix the file, or remove it and register the data sets again."
SOURCE = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<labels>[^\[\]]*)\])?")  # of joined data: its name, and what it is for
PARTS = ("dataset", "root", "layout")


def registered_file() -> Path:
    """Return where the list is."""
    return Path(os.environ.get("WINNOW_DATASETS") or trusted_file().with_name("datasets.json"))


def registered() -> dict[str, dict[str, str]]:
    """Return what each name stands for, by name: dataset, root and, where there are several, layout.

    Raises:
        ValueError: the file is damaged; the message names it.

    """
    file = registered_file()
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"`{file}` must be a JSON file that can be read, got {type(error).__name__}. {MEND}"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"`{file}` must hold a JSON object, got {type(found).__name__}. {MEND}")
    for name, entry in found.items():
        _check_name(name)
        if not _is_entry(entry):
            raise ValueError(f"`{file}` must say dataset, root and layout of {name}, got {entry!r:.80}. {MEND}")
    return dict(sorted(found.items()))


def register(name: str, root: str, layout: str = "") -> DiskData:
    """Take a folder into the list under a name; return its spec. An entry of the same name and folder is replaced.

    Raises:
        DataError: no layout is recognised in the folder.
        ValueError: a name that is not allowed or is taken, an unknown layout, or a folder that contradicts it.

    """
    _check_name(name)
    spec = spec_for(str(Path(root).expanduser().absolute()), layout)
    entry = {part: str(getattr(spec, part)) for part in PARTS if getattr(spec, part, "")}
    with _locked():
        known = registered()
        if name in known and known[name]["root"] != entry["root"]:
            raise ValueError(
                f"`name` must be a new one, got {name}, which stands for {known[name]['root']}. Remove it first: "
                f"winnow data rm {name}"
            )
        _write({**known, name: entry})
    return spec


def forget(name: str) -> None:
    """Take a name off the list; the files stay.

    Raises:
        ValueError: it is not there.

    """
    with _locked():
        known = registered()
        if name not in known:
            raise ValueError(
                f"`name` must be a registered data set ({', '.join(known) or 'there is none yet'}), got {name}."
            )
        _write({own: entry for own, entry in known.items() if own != name})


def named_spec(name: str) -> DataSpec:
    """Return the spec of a data set by its name: a registered one, or a built-in one that needs no folder.

    Raises:
        ValueError: there is none of that name, or its folder is no longer what it was.

    """
    known = registered()
    if name in known:
        try:
            return DATASETS[known[name]["dataset"]].model_validate(known[name])
        except ValidationError as error:
            inner = error.errors()[0]
            raise ValueError(f"{name}: {inner.get('ctx', {}).get('error') or inner['msg']}") from error
    if name not in built_in():
        raise ValueError(f"`name` must be one of {', '.join([*known, *built_in()])}, got {name!r:.80}.")
    return DATASETS[name].model_validate({})


def built_in() -> list[str]:
    """Return the data sets that need no folder."""
    return [name for name, spec in DATASETS.items() if not issubclass(spec, DiskData)]


def resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a data set with a registered name replaced by what it stands for; given ones are kept.

    Raises:
        ValueError: the list is damaged.

    """
    name = options.get("dataset")
    if name is None or name in DATASETS or (entry := registered().get(str(name))) is None:
        return dict(options)
    given = {option: value for option, value in options.items() if value is not None}
    return {**options, **entry, **given, "dataset": entry["dataset"]}


def joined_values(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the section `data` for `--dataset ONE+OTHER`, {} for a single data set, and the options that are left.

    ONE[depth,normals] uses a data set for these fields alone. An option of the data goes to every source that has it.

    Raises:
        ValueError: an unknown name, an option that none of the sources has, or `alternating` with a single data set.

    """
    rest = dict(options)
    alternating = rest.pop("alternating", None)
    name = str(rest.get("dataset") or "")
    if "+" not in name or ":" in name:
        if alternating:
            raise ValueError(f"`alternating` must come with --dataset ONE+OTHER, got {name or 'one data set'}.")
        return {}, rest
    entries, labels = _sources(name)
    specs = [DATASETS[entry["dataset"]] for entry in entries]
    for option in sorted({option for spec in DATASETS.values() for option in spec.asked()} - {"dataset"}):
        value = rest.pop(option, None)
        takers = [place for place, spec in enumerate(specs) if option in spec.asked()]
        if value is not None and not takers:
            raise ValueError(f"`{option}` is not an option of {name}, got {value}.")
        for place in takers if value is not None else ():
            entries[place] = {option: _listed(specs[place], option, value), **entries[place]}
    data = {"dataset": "joined", "sources": entries, "alternating": bool(alternating)}
    return {**data, **({"labels": labels} if any(labels) else {})}, {**rest, "dataset": None}


def _sources(name: str) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """Return what each part of ONE[field,…]+OTHER stands for, and the fields that it is for."""
    parts = [SOURCE.fullmatch(part.strip()) for part in name.split("+")]
    if not all(parts):
        raise ValueError(f"`dataset` must be written as ONE+OTHER or ONE[depth,normals]+OTHER[seg], got {name!r:.200}.")
    found = [part.groupdict(default="") for part in parts if part is not None]
    entries = [resolved({"dataset": part["name"]}) for part in found]
    if unknown := [entry["dataset"] for entry in entries if entry["dataset"] not in DATASETS]:
        known = ", ".join([*registered(), *DATASETS])
        raise ValueError(f"`dataset` must join names among {known} by +, got {unknown[0]!r:.80} in {name!r:.200}.")
    return entries, [[label.strip() for label in part["labels"].split(",") if label.strip()] for part in found]


def _listed(spec: type[DataSpec], option: str, value: Any) -> Any:
    """Return a value as its field takes it: lists are written with commas."""
    parts = isinstance(spec.model_fields[option].default, tuple) and isinstance(value, str)
    return tuple(part.strip() for part in value.split(",") if part.strip()) if parts else value


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(f"`name` must be 1 to 80 letters, digits, dots, - and _, got {name!r:.100}. Choose another.")
    if name in TAKEN:
        raise ValueError(f"`name` must be none of the built-in data sets ({', '.join(DATASETS)}), got {name}.")


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict) or not {"dataset", "root"} <= set(entry) <= set(PARTS):
        return False
    spec = DATASETS.get(str(entry["dataset"]))
    return all(isinstance(value, str) for value in entry.values()) and spec is not None and issubclass(spec, DiskData)


def _locked() -> FileLock:
    file = registered_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(file.with_suffix(".lock"), timeout=10)


def _write(entries: Mapping[str, Mapping[str, str]]) -> None:
    file = registered_file()
    draft = file.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(json.dumps(entries, indent=1, ensure_ascii=False, sort_keys=True), "utf-8")
    draft.replace(file)
