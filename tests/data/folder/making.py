"""A folder with every kind of task, described by its dataset.toml."""

from pathlib import Path

import numpy as np

from tests.data.disk.making import depth_of, generator, image_of, normals_of, save, write

TOML = """
[images]
path = "photos"

[splits]
train = "train.txt"
val = "val.txt"
test = "test.txt"

[tasks.objects]
kind = "segmentation"
path = "objects"
classes = ["floor", "wall", "chair"]
missing = 255

[tasks.depth]
kind = "depth"
path = "depth/{name}_depth.png"
factor = 0.001

[tasks.normals]
kind = "normals"
path = "normals"
missing = [255, 255, 255]
optional = true

[tasks.heat]
kind = "map"
path = "heat"
unit = "°C"
missing = nan
spread = 5
optional = true

[tasks.borders]
kind = "edges"
path = "borders"
values = [0, 255]

[tasks.season]
kind = "classification"
table = "über alles.csv"
column = "season"
classes = ["winter", "summer"]

[tasks.seen]
kind = "multilabel"
table = "über alles.csv"
columns = ["dog", "cat", "tree"]
values = [-1, 1]
optional = true

[tasks.height]
kind = "regression"
table = "über alles.csv"
column = "height"
unit = "m"
optional = true

[tasks.pose]
kind = "vector"
table = "über alles.csv"
columns = ["yaw", "pitch"]
unit = "°"
"""
NAMES = [f"straße {k}/bild é {k}" for k in range(12)]
SPLITS = {"train": NAMES[:6], "val": NAMES[6:10], "test": NAMES[10:]}
HEADER = "name,season,dog,cat,tree,height,yaw,pitch\n"


def row(k: int) -> str:
    height = "" if k % 4 == 3 else f"{1 + k / 10}"
    seen = ",," if k % 5 == 4 else f"{1 if k % 2 else -1},{-1 if k % 3 else 1},1"
    return f"{NAMES[k]}.png,{'winter' if k % 2 else 1},{seen},{height},{k - 5},{k * 0.5}\n"


def make(folder: Path) -> Path:
    """Write the folder; every third image has no normals and no heat."""
    write(folder / "dataset.toml", TOML)
    for split, names in SPLITS.items():
        write(folder / f"{split}.txt", "".join(f"{name}\n" for name in names))
    write(folder / "über alles.csv", HEADER + "".join(row(k) for k in range(len(NAMES))))
    for k, name in enumerate(NAMES):
        save(folder / "photos" / f"{name}.png", image_of(k))
        labels = generator(k).integers(0, 3, (24, 32)).astype(np.uint8)
        labels[0] = 255
        save(folder / "objects" / f"{name}.png", labels)
        save(folder / "depth" / f"{name}_depth.png", (1000 * depth_of(k)).round().astype(np.uint16))
        save(folder / "borders" / f"{name}.png", (255 * (labels == 1)).astype(np.uint8))
        if k % 3 != 2:
            coded = (127.5 * (normals_of(k) + 1)).round().astype(np.uint8)
            coded[0] = 255
            save(folder / "normals" / f"{name}.png", coded)
            heat = generator(k).normal(20, 5, (24, 32)).astype(np.float32)
            heat[:, 0] = np.nan
            save(folder / "heat" / f"{name}.npy", heat)
    return folder
