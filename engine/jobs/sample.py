"""The validation sample of a recorded run, so that it is pruned and explained without the user's data.

sample/val.safetensors   images (N, C, H, W) as the network takes them, and target.<task> (N, …)
sample/val.json          the manifest: {format_version, images, targets (names of tasks), bytes, sha256}
"""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load, save
from torch import Tensor

from winnow.data.stacking import Stacked
from winnow.engine.runs.digests import digest, verified
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.run import Run

FOLDER, MANIFEST, IMAGES = "sample", "val.json", "images"
LARGEST = 64  # images


def write_sample(folder: Path, images: Tensor, targets: Mapping[str, Tensor]) -> None:
    """Store images (N, C, H, W) and the targets of the tasks in a run's folder, the manifest last."""
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    tensors = {IMAGES: images, **{f"target.{name}": target for name, target in targets.items()}}
    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})
    replace((place / MANIFEST).with_suffix(".safetensors"), content)
    known = {"images": len(images), "targets": list(targets)}
    manifest = {"format_version": 1, **known, "bytes": len(content), "sha256": digest(content)}
    replace_json(place / MANIFEST, manifest)


def read_sample(run: Run, split: str) -> Stacked:
    """Return the sample of a recorded run: images (N, H, W, C), and targets by task; {} where none were stored.

    Raises:
        ValueError: another split than val, no sample, or a damaged one.

    """
    if split != "val":
        raise ValueError(
            f"`split` must be val for a recorded run, got {split}: only a sample of its validation images is stored."
        )
    manifest = run.path / FOLDER / MANIFEST
    if not manifest.is_file():
        raise ValueError(
            f"`run` must hold a sample of images, got none in {run.id}. Give record() an `example` of images, "
            "(B, C, H, W), or a `loader`."
        )
    content = verified(manifest)
    if content is None or json.loads(manifest.read_bytes()).get("format_version") != 1:
        raise ValueError(f"`run` must hold its sample as it was stored, got a damaged one in {run.id}.")
    tensors = load(content)
    images = tensors.pop(IMAGES).float().permute(0, 2, 3, 1).contiguous()
    return Stacked(images.numpy(), {name.removeprefix("target."): own.numpy() for name, own in tensors.items()})


def sampled_targets(run: Run) -> list[str]:
    """Return the tasks whose targets are in the sample of a recorded run; none without a sample."""
    manifest = run.path / FOLDER / MANIFEST
    found: list[str] = json.loads(manifest.read_bytes())["targets"] if manifest.is_file() else []
    return found
