"""The manifests of a run's checkpoints: what makes a checkpoint exist, and whether its bytes are still those promised.

A checkpoint's tensors lie in `<step>.safetensors`; `<step>.json` beside it says how many bytes they are and their
SHA-256. Neither safetensors nor torch notices a flipped bit; this does, and needs neither of them.
"""

import hashlib
import json
from pathlib import Path

BEFORE = "before"  # the folder, beside the checkpoints, of those before a removal


def manifests(folder: Path) -> list[Path]:
    """Return the manifests of all checkpoints, oldest first."""
    return sorted(file for file in folder.glob("*.json") if file.stem.isdigit())


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's bytes, as manifests and tables of files spell it."""
    return hashlib.sha256(content).hexdigest()


def verified(manifest: Path) -> bytes | None:
    """Return the tensors' bytes if they are those that the manifest promises, else None."""
    try:
        promised = json.loads(manifest.read_text())["sha256"]
        content = manifest.with_suffix(".safetensors").read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content if digest(content) == promised else None
