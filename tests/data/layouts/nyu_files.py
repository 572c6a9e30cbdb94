"""NYU-v2 with five small images, in the formats of its layouts; sizes and types are those of the true files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy.io import savemat

from tests.data.disk.making import depth_of, generator, image_of, normals_of, save, write

TRAIN, VAL = 3, 2
SIZE = (24, 32)


def labels_of(number: int, classes: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return classes 0 … of which the first row is -1."""
    labels = generator(number).integers(0, classes, size)
    labels[0] = -1
    return labels


def places() -> list[tuple[str, int, int]]:
    """Return (split, place in it, number) of every image."""
    return [("train", k, k) for k in range(TRAIN)] + [("val", k, TRAIN + k) for k in range(VAL)]


def mtan(root: Path, dtype: type = np.float64) -> Path:
    for split, place, k in places():
        folder = root / split
        save(folder / f"image/{place}.npy", (image_of(k) / 255).astype(dtype))
        save(folder / f"label/{place}.npy", labels_of(k, 13).astype(dtype))
        save(folder / f"depth/{place}.npy", depth_of(k)[:, :, None].astype(dtype))
        save(folder / f"normal/{place}.npy", normals_of(k).astype(dtype))
    return root


def _lists(root: Path) -> list[tuple[str, int]]:
    names = [(f"{k + 1:04d}", k) for _, _, k in places()]
    write(root / "gt_sets/train.txt", "".join(f"{name}\n" for name, k in names if k < TRAIN))
    write(root / "gt_sets/val.txt", "".join(f"{name}\n" for name, k in names if k >= TRAIN))
    return names


def nyud_mt(root: Path) -> Path:
    for name, k in _lists(root):
        save(root / f"images/{name}.jpg", image_of(k), quality=95)
        save(root / f"segmentation/{name}.png", (labels_of(k, 40) + 1).astype(np.uint8))
        save(root / f"depth/{name}.npy", depth_of(k).astype(np.float32))
        save(root / f"normals/{name}.npy", normals_of(k).astype(np.float32))
        save(root / f"edge/{name}.npy", (labels_of(k, 40) == 3).astype(np.float32))
    return root


def atrc(root: Path) -> Path:
    for name, k in _lists(root):
        save(root / f"images/{name}.png", image_of(k))
        save(root / f"segmentation/{name}.png", (labels_of(k, 40) + 1).astype(np.uint8))
        save(root / f"depth/{name}.npy", depth_of(k).astype(np.float32))
        save(root / f"normals/{name}.png", (127.5 * (normals_of(k) + 1)).round().astype(np.uint8))
        save(root / f"edge/{name}.png", (255 * (labels_of(k, 40) == 3)).astype(np.uint8))
    return root


def adashare(root: Path) -> Path:
    rows: dict[str, list[list[str]]] = {"train": [], "test": []}
    for split, _, k in places():
        name = f"{k:04d}"
        save(root / f"img/{name}.png", image_of(k))
        save(root / f"seg/{name}.png", (labels_of(k, 40) % 256).astype(np.uint8))
        normals = (127.5 * (normals_of(k) + 1)).round().astype(np.uint8)
        normals[0] = 255
        save(root / f"normal_mask/{name}.png", normals)
        save(root / f"depth/{name}.npy", (depth_of(k) + (depth_of(k) == 0)).astype(np.float32))
        row = [f"img/{name}.png", f"seg/{name}.png", f"normal_mask/{name}.png", f"depth/{name}.npy"]
        rows["train" if split == "train" else "test"].append(row)
    write(root / "nyu_v2_3task.json", json.dumps(rows))
    return root


def official(root: Path) -> Path:
    """Write the large file as HDF5 with reversed axes, behind the 512 bytes that MATLAB puts first."""
    import h5py

    root.mkdir(parents=True, exist_ok=True)
    size, numbers = (480, 640), [k for _, _, k in places()]
    mapping = np.arange(894) % 40 + 1
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file["images"] = np.stack([image_of(k, size).transpose(2, 1, 0) for k in numbers])
        file["rawDepths"] = np.stack([depth_of(k, size).astype(np.float32).T for k in numbers])
        file["labels"] = np.stack([(labels_of(k, 894, size) + 1).astype(np.uint16).T for k in numbers])
    order = np.array([2, 1, 3, 4, 5], np.uint16)[:, None]
    savemat(root / "splits.mat", {"trainNdxs": order[:TRAIN], "testNdxs": order[TRAIN:]})
    savemat(root / "classMapping40.mat", {"mapClass": mapping[None].astype(np.uint8)})
    return root


WRITERS: Mapping[str, Callable[[Path], Path]] = {
    "mtan": mtan, "nyud_mt": nyud_mt, "atrc": atrc, "adashare": adashare, "official": official
}  # fmt: skip
