"""What decides the result of a run beside its spec: versions of packages, our own source, its data, the user's code.

It is written into spec.json when the run is created. The worker notes it again each time that it starts on the run
(`worked_with.json`): a run that was created, or stopped, under other code than it was finished with has no one state of
the code to stand for.
"""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import winnow.data
from winnow.data.fingerprint import files_below, fingerprint
from winnow.engine.runs.files import replace_json
from winnow.engine.runs.reading import read_json, read_object
from winnow.engine.specs.frozen import Frozen
from winnow.engine.specs.train import TrainSpec

PACKAGES = ("winnow-mtl", "torch", "numpy", "captum", "scikit-learn", "torchjd", "cvxpy", "clarabel")
APART = ("cli", "explain", "export")  # rooms of the engine that read the result of a run, and do not make it
PARTS = ("packages", "made_with")  # what is added to the spec in spec.json
STARTS = "worked_with.json"
ENGINE, DATA = Path(__file__).parents[1], Path(winnow.data.__path__[0])


@lru_cache(maxsize=1)
def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what a run becomes, of those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def source_digest(engine: Path = ENGINE, data: Path = DATA) -> str:
    """Return the digest of our source that decides a result: `engine` without the rooms in APART, and all of `data`.

    That is the Python of both, and the images that come with the data sets.
    """
    files = {f"engine/{name}": path for name, path in files_below(engine, "*.py").items() if _deciding(name)}
    files |= {f"data/{name}": path for name, path in files_below(data).items() if "__pycache__" not in path.parts}
    return fingerprint(files)


def _deciding(name: str) -> bool:
    return name.split("/")[0] not in APART


def made_with(spec: Frozen) -> dict[str, Any]:
    """Return what a spec would be run with here and now: packages, and digests of our source and of its data."""
    made: dict[str, Any] = {"source": source_digest(), "data": ""}
    if isinstance(spec, TrainSpec):
        made["data"] = spec.data.fingerprint()
        made |= {"network": own} if (own := spec.network.fingerprint()) else {}
        own_tasks = {name: task.own_code().fingerprint() for name, task in spec.own_tasks.items()}
        made |= {"tasks": own_tasks} if own_tasks else {}
    return {"packages": dict(package_versions()), "made_with": made}


def note_start(folder: Path, spec: Frozen) -> None:
    """Note what the worker starts on a run with.

    Raises:
        ValueError: the files of its data, or the user's code of its network or tasks, are not those that it was
            created with.

    """
    now, created = made_with(spec), read_object(folder / "spec.json").get("made_with", {})
    if "data" in created and now["made_with"]["data"] != created["data"]:
        raise ValueError("`data` must be the files that the run was created with, got changed files. Start a new run.")
    for part, named in (("network", "network"), ("tasks", "task")):
        if now["made_with"].get(part) != created.get(part, now["made_with"].get(part)):
            raise ValueError(
                f"`{named}` must be the code that the run was created with, got changed files. Start a new run."
            )
    starts = _starts(folder)
    if now not in starts:
        replace_json(folder / STARTS, [*starts, now])


def of_one_state(folder: Path) -> bool:
    """Return whether the worker started on a run only with what the run was created with; not so if that is damaged."""
    try:
        created = read_object(folder / "spec.json")
        return all(start == {part: created.get(part) for part in PARTS} for start in _starts(folder))
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def _starts(folder: Path) -> list[dict[str, Any]]:
    file = folder / STARTS
    found: list[dict[str, Any]] = read_json(file) if file.is_file() else []
    return found
