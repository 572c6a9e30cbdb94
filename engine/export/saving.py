"""A model as a folder: `network.safetensors`, and `architecture.json`, which says what they are and makes it exist.

    architecture.json   {format_version 1, file, bytes, sha256 (of the tensors), architecture}

There is no pickle, and no code. The tensors are written first; a folder without its architecture is not there yet.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from winnow.engine.export.agreement import same_everywhere
from winnow.engine.export.describing import tried, written_architecture
from winnow.engine.export.rebuilding import rebuild
from winnow.engine.export.refusal import NotRebuildable
from winnow.engine.export.tensor_files import serialised
from winnow.engine.graph.calls import calls
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.runs.digests import digest
from winnow.engine.runs.files import replace, replace_json

TENSORS, ARCHITECTURE = "network.safetensors", "architecture.json"
LARGEST = 64 * 2**20  # bytes of an architecture; one of ours has some tens of thousands


@dataclass(frozen=True)
class Saved:
    """A file that was written: its path, length and SHA-256."""

    path: Path
    bytes: int
    sha256: str


def save_model(folder: Path | str, model: nn.Module, example_inputs: Any) -> Saved:
    """Write a model into a folder, and return the file of its tensors.

    Before the files are written, a model is rebuilt from their bytes and compared with the original, as
    `architecture` says. The folder is created if needed.

    Raises:
        NotDescribable: the model cannot be written down; nothing is written.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     saved = save_model(f"{folder}/net", nn.Linear(4, 2), torch.ones(1, 4))
        ...     sorted(path.name for path in Path(folder, "net").iterdir())
        ['architecture.json', 'network.safetensors']

    """
    document, tensors = written_architecture(model, example_inputs)
    model, _ = unwrapped(model)
    content = serialised(tensors)
    devices = {tensor.device for tensor in tensors.values()}
    again = tried(document, load(content))
    same_everywhere(model, again.to(devices.pop()) if len(devices) == 1 else again, calls(model, example_inputs))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    saved = Saved(folder / TENSORS, len(content), digest(content))
    (folder / ARCHITECTURE).unlink(missing_ok=True)  # what it says is of the old tensors
    replace(saved.path, content)
    replace_json(folder / ARCHITECTURE, _manifest(saved, document))
    return saved


def load_model(folder: Path | str) -> nn.Module:
    """Load the model that a folder holds, on the CPU, each module in the mode in which it was saved.

    Raises:
        NotRebuildable: a file is missing, has changed since it was saved, or names what is not allowed.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> net = nn.Linear(4, 2)
        >>> with TemporaryDirectory() as folder:
        ...     saved = save_model(f"{folder}/net", net, torch.ones(1, 4))
        ...     again = load_model(f"{folder}/net")
        >>> torch.equal(again(torch.ones(1, 4)), net(torch.ones(1, 4)))
        True

    """
    folder = Path(folder)
    promised = _promised(folder)
    try:
        content = (folder / TENSORS).read_bytes()
    except OSError as error:
        raise NotRebuildable(f"`folder` must hold {TENSORS}, got an error ({error.strerror}) at {folder}.") from error
    if len(content) != promised.get("bytes") or digest(content) != promised.get("sha256"):
        raise NotRebuildable(f"`folder` must hold {TENSORS} as it was saved, got a changed file at {folder}.")
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise NotRebuildable(f"`folder` must hold tensors in {TENSORS}, got an error: {error}.") from error
    return rebuild(promised["architecture"], tensors)


def _manifest(saved: Saved, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format_version": 1,
        "file": TENSORS,
        "bytes": saved.bytes,
        "sha256": saved.sha256,
        "architecture": document,
    }


def _promised(folder: Path) -> dict[str, Any]:
    """Return what the architecture's file says."""
    path = folder / ARCHITECTURE
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        found = json.loads(content) if len(content) <= LARGEST else None
    except OSError as error:
        raise NotRebuildable(
            f"`folder` must hold {ARCHITECTURE}, got an error ({error.strerror}) at {folder}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise NotRebuildable(f"`folder` must hold JSON in {ARCHITECTURE}, got {type(error).__name__}.") from error
    if not isinstance(found, dict) or found.get("format_version") != 1 or "architecture" not in found:
        raise NotRebuildable(f"`folder` must hold an {ARCHITECTURE} of format_version 1, got another version.")
    return found
