"""Digests of what a folder of work holds: they say if bytes changed since they were written.

`digests.json` is written when the work ends, {file: SHA-256}, and removed when it is taken up again: until then its
files grow. It leaves out what changes without the worker (UNNOTED), the checkpoints' tensors, which have manifests, and
jobs on the result, which have digests of their own.

The manifests of a run's checkpoints: without one a checkpoint does not exist. A checkpoint's tensors are in
`<step>.safetensors`; `<step>.json` beside it holds their number of bytes and their SHA-256. Neither
safetensors nor torch notices a flipped bit; the digest does, and needs neither of them.
"""

import hashlib
from pathlib import Path

from winnow.engine.runs.files import replace_json
from winnow.engine.runs.reading import DamagedFileError, read_json, read_object
from winnow.engine.specs.warm_start import Source

BEFORE = "before"  # the folder, beside the checkpoints, of the checkpoints from before a removal


NOTED = "digests.json"
SIGNATURE = "digests.json.sig"  # of the digests (engine.runs.signing)
UNNOTED = (
    "status.json", "lock", "control.json", "control.lock", "log.txt", "report.json", "report", NOTED, SIGNATURE,
    "labels.json", "concepts.json",
)  # fmt: skip
APART = ("prune", "explain", "sensitivity", "export", "bench")


def note_digests(folder: Path) -> None:
    """Write the digests of a folder of work whose work has ended; a signature of earlier ones goes."""
    (folder / SIGNATURE).unlink(missing_ok=True)
    replace_json(folder / NOTED, {name: digest((folder / name).read_bytes()) for name in _noted(folder)})


def forget_digests(folder: Path) -> None:
    """Remove the digests of a folder whose files are about to change."""
    for name in (SIGNATURE, NOTED):
        (folder / name).unlink(missing_ok=True)


def changed_files(folder: Path) -> dict[str, str]:
    """Return what became of the files that were noted, {file: what is wrong}; nothing where none were noted.

    Raises:
        DamagedFileError: the digests themselves are damaged.

    """
    if not (folder / NOTED).is_file():
        return {}
    known = read_json(folder / NOTED)
    if not isinstance(known, dict):
        raise DamagedFileError(folder / NOTED, "it must hold a digest per file")
    there, wrong = set(_noted(folder)), {}
    for name, expected in known.items():
        if name not in there:
            wrong[name] = "it is gone"
        elif digest((folder / name).read_bytes()) != expected:
            wrong[name] = "it has changed since the work ended"
    return wrong


def _noted(folder: Path) -> list[str]:
    """Return the files of a folder of work that digests are noted of."""
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return sorted(
        file.as_posix()
        for file in files
        if file.parts[0] not in (*UNNOTED, *APART)
        and not any(part.startswith(".") for part in file.parts)
        and not (file.suffix == ".safetensors" and file.parts[0] == "weights")
    )


def manifests(folder: Path) -> list[Path]:
    """Return the manifests of all checkpoints, oldest first."""
    return sorted(file for file in folder.glob("*.json") if file.stem.isdigit())


def newest_source(run: Path) -> Source:
    """Return the newest intact checkpoint of the run in a folder, as specs refer to it.

    Raises:
        ValueError: there is none.

    """
    for manifest in reversed(manifests(run / "weights")):
        if verified(manifest) is not None:
            return Source(run=run.name, sha256=str(read_object(manifest)["sha256"]))
    raise ValueError(f"`run` must hold an intact checkpoint, got none in {run.name}. Train it again.")


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's bytes, as manifests and tables of files write it."""
    return hashlib.sha256(content).hexdigest()


def verified(manifest: Path) -> bytes | None:
    """Return the tensors' bytes if they have the digest of the manifest, else None."""
    try:
        expected = read_object(manifest)["sha256"]
        content = manifest.with_suffix(".safetensors").read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content if digest(content) == expected else None
