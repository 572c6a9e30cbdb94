"""Cityscapes, PASCAL-Context and Taskonomy with a few small images, in the formats of their layouts."""

import json
from pathlib import Path

import numpy as np

from tests.data.disk.making import depth_of, generator, image_of, normals_of, save, write
from tests.data.layouts.nyu_files import labels_of, places

CITY = (16, 32)


def disparity_of(number: int) -> np.ndarray:
    """Return pixels, of which the first row is missing."""
    values = generator(number).integers(0, 128 * 256, CITY) / 256
    values[0] = np.nan
    return values


def mtan(root: Path) -> Path:
    for split, place, k in places():
        save(root / f"{split}/image/{place}.npy", (image_of(k, CITY) / 255).astype(np.float64))
        save(root / f"{split}/label/{place}.npy", labels_of(k, 7, CITY).astype(np.float64))
        inverse = np.nan_to_num(disparity_of(k) / 500)[:, :, None]
        save(root / f"{split}/depth/{place}.npy", inverse.astype(np.float32))
    return root


def raw(root: Path) -> Path:
    for split, place, k in places():
        name = f"{split}/zürich/zürich_{place:06d}_000019"
        save(root / f"leftImg8bit/{name}_leftImg8bit.png", image_of(k, CITY))
        save(root / f"gtFine/{name}_gtFine_labelIds.png", generator(k).integers(0, 34, CITY).astype(np.uint8))
        save(root / f"gtFine/{name}_gtFine_color.png", image_of(k, CITY, 4))
        code = np.nan_to_num(disparity_of(k) * 256 + 1).round().astype(np.uint16)
        save(root / f"disparity/{name}_disparity.png", code)
    return root


def pascal_mt(root: Path) -> Path:
    for split in ("train", "val"):
        names = [f"2008_{k:06d}" for own, _, k in places() if own == split]
        write(root / f"ImageSets/Context/{split}.txt", "\n".join(names))
    for _, _, k in places():
        name, size = f"2008_{k:06d}", (20 + k, 30)
        save(root / f"JPEGImages/{name}.jpg", image_of(k, size))
        folder = "VOC12" if k % 2 else "pascal-context"
        labels = labels_of(k, 21, size) % 256
        save(root / f"semseg/{folder}/{name}.png", labels.astype(np.uint8))
        save(root / f"sal_distill/{name}.png", image_of(k, size, 1))
        coded = (127.5 * (normals_of(k, size) + 1)).round().astype(np.uint8)
        save(root / f"normals_distill/{name}.png", coded)
    return root


def taskonomy(root: Path, validation: str = "test_small") -> Path:
    rows: dict[str, list[list[str]]] = {"train": [], validation: []}
    if validation != "test":
        rows["test"] = []
    kinds = ("rgb", "segmentsemantic", "normal", "depth_zbuffer", "keypoints2d", "edge_texture")
    for split, place, k in places():
        folder = "train/hängers" if split == "train" else "test/ihlen"
        names = [f"{folder}/{kind}/point_{place}_view_0_domain_{kind}.png" for kind in kinds]
        depth = np.where(depth_of(k, CITY) > 0, depth_of(k, CITY) * 512, 65_535)
        units = generator(k).integers(0, 2**16, CITY)
        pictures = (
            image_of(k, CITY),
            (labels_of(k, 17, CITY) + 1).astype(np.uint8),
            (127.5 * (normals_of(k + 9, CITY) + 1)).round().astype(np.uint8),
            depth.round().astype(np.uint16),
            (units // 200).astype(np.uint16),
            (units // 10).astype(np.uint16),
        )
        for name, values in zip(names, pictures, strict=True):
            save(root / name, values)
        rows["train" if split == "train" else validation].append(names)
    write(root / "taskonomy.json", json.dumps(rows))
    save(root / "semseg_prior_factor.npy", np.ones(17, np.float32))
    return root
