"""What a job writes of images one by one: eight images; the second task's worst is the last, one class falls."""

import numpy as np
import pandas as pd

from tests.dashboard.pruning_making import write_table
from winnow.engine.explain.maps.store import write_spatial
from winnow.engine.runs.derived import DerivedJob

IMAGES, SIDE = 8, 4
CLASSES = ("wall", "<b>chair</b>")


def write_judged(work: DerivedJob, names: tuple[str, ...] = ("dense", "sparse"), lose: bool = True) -> DerivedJob:
    """Write tables of seg and depth for networks of these names; with `lose`, the last of them is worse."""
    rows, classes = [], []
    for image in range(IMAGES):
        for task, unit, better in (("seg", "%", "higher"), ("depth", "m", "lower")):
            sign = 1 if better == "higher" else -1
            fall = image if lose else 0
            values = [10.0 - (sign * fall if place == len(names) - 1 else 0) for place in range(len(names))]
            moved = [float(image), unit] if len(names) == 2 else []
            rows.append([image, task, "miou" if task == "seg" else "abs_error", unit, better, *values, *moved])
        for number, name in enumerate(CLASSES):
            counts = [(50 - (20 + image if lose and number and place else 0), 100) for place in range(len(names))]
            if len(names) == 1:
                counts = [(50 - (20 + image if lose and number else 0), 100)]
            classes.append([image, "seg", number, name, *np.ravel(counts).tolist()])
    more = ["changed", "changed_unit"] if len(names) == 2 else []
    columns = ["image", "task", "metric", "unit", "better", *names, *more]
    write_table(work, "images", pd.DataFrame(rows, columns=columns))
    counted = [f"{of}_{name}" for name in names for of in ("intersection", "union")]
    write_table(work, "classes", pd.DataFrame(classes, columns=["image", "task", "class", "name", *counted]))
    return work


def write_pictures(work: DerivedJob, numbers: tuple[int, ...] = (7, 6)) -> None:
    """Write pictures of some images, before and after."""
    maps = np.ones((len(numbers), SIDE, SIDE))
    arrays = {"images": np.full((len(numbers), SIDE, SIDE, 3), 100, np.uint8)}
    for part in ("target", "dense", "prediction"):
        arrays |= {f"{part}.seg": maps.astype(np.int16), f"{part}.depth": maps.astype(np.float16)}
    tasks = {"seg": {"kind": "segmentation", "classes": list(CLASSES), "unit": ""}}
    tasks["depth"] = {"kind": "depth", "classes": [], "unit": "m"}
    write_spatial(work.path, arrays, {"images": list(numbers), "tasks": tasks, "layers": {}, "size": [SIDE, SIDE]})
