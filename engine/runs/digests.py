"""The manifests of a run's checkpoints: without one a checkpoint does not exist, and its digest says if bytes changed.

A checkpoint's tensors are in `<step>.safetensors`; `<step>.json` beside it holds their number of bytes and their
SHA-256. Neither safetensors nor torch notices a flipped bit; the digest does, and needs neither of them.
"""

import hashlib
import json
from pathlib import Path

BEFORE = "before"  # the folder, beside the checkpoints, of the checkpoints from before a removal


def manifests(folder: Path) -> list[Path]:
    """Return the manifests of all checkpoints, oldest first."""
    return sorted(file for file in folder.glob("*.json") if file.stem.isdigit())


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's bytes, as manifests and tables of files write it."""
    return hashlib.sha256(content).hexdigest()


def verified(manifest: Path) -> bytes | None:
    """Return the tensors' bytes if they have the digest of the manifest, else None."""
    try:
        expected = json.loads(manifest.read_text())["sha256"]
        content = manifest.with_suffix(".safetensors").read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content if digest(content) == expected else None
