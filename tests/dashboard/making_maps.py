"""Maps of an explanation with known contents, as the engine stores them: six images of 8 × 8 pixels, two are shown.

Channels 0 and 1 of a layer have maps of 2 × 2 positions. Channel 0 answers at the upper left, the more the later the
image; at the lower right it is silent. The first task relies on it there, the others nowhere.
"""

from pathlib import Path

import numpy as np

from winnow.engine.explain.maps.store import packed, write_spatial
from winnow.engine.runs.derived import DerivedJob

IMAGES, SHOWN, SIDE, TOP = 6, 2, 8, 3
CHANNELS = [0, 1]


def write_maps(work: DerivedJob, layer: str = "trunk") -> Path:
    """Put maps of two channels of a layer into the folder of an explanation."""
    tasks = list(work.run.spec.tasks)
    fields = {task: work.run.spec.data.fields[task] for task in tasks}
    index = {
        "of": "loss", "base": "mean", "images": list(range(SHOWN)), "looked_at": IMAGES, "size": [SIDE, SIDE],
        "tasks": {t: {"kind": f.kind, "classes": list(f.classes), "unit": f.unit} for t, f in fields.items()},
        "layers": {layer: CHANNELS}, "patch": 4, "steps": 16, "living": {layer: 2, "stem": 0},
    }  # fmt: skip
    arrays = {
        "images": np.full((SHOWN, SIDE, SIDE, 3), 100, np.uint8),
        **_channels(layer, len(tasks)),
        **_pixels(len(tasks)),
    }
    for task, field in fields.items():
        arrays |= {f"{part}.{task}": value for part, value in _values(field.kind).items()}
    return write_spatial(work.path, arrays, index)


def _activations(images: int) -> np.ndarray:
    """Return (C, images, 2, 2): 1, 2, … at the upper left."""
    found = np.zeros((len(CHANNELS), images, 2, 2))
    found[:, :, 0, 0] = np.arange(1, images + 1)
    found[:, :, 0, 1] = found[:, :, 1, 0] = 0.5
    return found


def _channels(layer: str, tasks: int) -> dict[str, np.ndarray]:
    every = _activations(IMAGES)
    shown, peak = packed(every[:, :SHOWN], (1, 2, 3))
    reliance = np.zeros((len(CHANNELS), tasks, SHOWN, 2, 2))
    reliance[:, 0, :, 0, 0] = 1.0
    units, reliance_peak = packed(reliance, (2, 3, 4))
    best = np.arange(IMAGES)[::-1][:TOP]
    return {
        f"activation.{layer}": shown,
        f"activation_peak.{layer}": peak,
        f"silent.{layer}": (every == 0).mean(1).astype(np.float16),
        f"silent_here.{layer}": (every[:, :SHOWN] == 0).astype(np.uint8),
        f"reliance.{layer}": units,
        f"reliance_peak.{layer}": reliance_peak,
        f"mean.{layer}": every.mean((2, 3)).astype(np.float32),
        f"max.{layer}": every.max((2, 3)).astype(np.float32),
        f"top.{layer}": np.tile(best.astype(np.int32), (len(CHANNELS), 1)),
        f"top_activation.{layer}": (every[:, best] / peak[:, None, None, None]).astype(np.float16),
        f"top_window.{layer}": np.tile(np.array([0, 0, 6, 5], np.int32), (len(CHANNELS), TOP, 1)),
        f"silence.{layer}": (every == 0).mean((0, 1)).astype(np.float16),
        f"silence_here.{layer}": (every[:, :SHOWN] == 0).mean(0).astype(np.float16),
        f"silence_of.{layer}": np.array([*(every == 0).mean((1, 2, 3)), np.nan], np.float32),
        "gallery": np.full((TOP, SIDE, SIDE, 3), 100, np.uint8),
        "gallery_of": np.sort(best).astype(np.int32),
    }


def _pixels(tasks: int) -> dict[str, np.ndarray]:
    pixels, pixel_peak = packed(np.ones((tasks, SHOWN, SIDE, SIDE)), (2, 3))
    patches, patch_peak = packed(np.ones((tasks, SHOWN, 2, 2)), (2, 3))
    return {
        "integrated_gradients": pixels,
        "integrated_gradients_peak": pixel_peak,
        "occlusion": patches,
        "occlusion_peak": patch_peak,
        "difference": np.full((tasks, SHOWN), 2.0, np.float32),
        "residual": np.full((tasks, SHOWN), -0.1, np.float32),
    }


def _values(kind: str) -> dict[str, np.ndarray]:
    square = (SHOWN, SIDE, SIDE)
    if kind == "normals":
        return {part: np.full((*square, 3), 0.577, np.float16) for part in ("target", "prediction")}
    if kind == "classification":
        return {"target": np.full(SHOWN, 1, np.int16), "prediction": np.eye(10)[[1, 2]].astype(np.float16)}
    if kind == "regression":
        return {part: np.full(SHOWN, 0.25, np.float32) for part in ("target", "prediction")}
    if kind == "depth":
        return {"target": np.full(square, 2.0, np.float16), "prediction": np.full(square, 3.0, np.float16)}
    return {part: np.ones(square, np.int16) for part in ("target", "prediction")}
