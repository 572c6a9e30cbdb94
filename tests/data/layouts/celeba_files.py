"""CelebAMask-HQ with five small faces, in the formats of its layouts."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tests.data.disk.making import generator, image_of, save, write
from winnow.data.layouts.celeba import ATTRIBUTES, MAPPING, OF_ATTRIBUTES, OF_POSE, PARTS

ORIGINAL = {0: 119613, 1: 3, 2: 170000, 3: 190000, 1999: 1000, 2000: 162771}  # two of them for validation
SIZE = 16


def mask_of(number: int, part: str) -> np.ndarray | None:
    """Return where a part is; every fourth part is absent."""
    place = PARTS.index(part)
    if (place + number) % 4 == 3:
        return None
    return generator(100 * number + place).random((SIZE, SIZE)) < 0.4


def _tables(root: Path, header: bool, count: bool) -> None:
    rows = [f"{idx:<10}{orig:<10}{orig + 1:06d}.jpg" for idx, orig in ORIGINAL.items()]
    write(root / MAPPING, "\n".join(["idx       orig_idx  orig_file"] * header + rows) + "\n")
    signs = [" ".join(str(1 if (k + number) % 3 else -1) for k in range(40)) for number in ORIGINAL]
    lines = [f"{number}.jpg  {own}" for number, own in zip(ORIGINAL, signs, strict=True)]
    write(root / OF_ATTRIBUTES, "\n".join([str(len(ORIGINAL))] * count + [" ".join(ATTRIBUTES), *lines]) + "\n")
    poses = [f"{number}.jpg {number % 7 - 3}.5 {number % 5} -0.25" for number in ORIGINAL]
    write(root / OF_POSE, "\n".join([str(len(ORIGINAL)), "Yaw Pitch Raw", *poses]) + "\n")
    for number in ORIGINAL:
        save(root / f"CelebA-HQ-img/{number}.jpg", image_of(number, (2 * SIZE, 2 * SIZE)), quality=95)


def raw(root: Path) -> Path:
    """Write a mask per part; RGB ones of even faces, grey ones of odd faces."""
    _tables(root, header=True, count=True)
    for number in ORIGINAL:
        for part in PARTS:
            mask = mask_of(number, part)
            if mask is not None:
                values = (255 * mask).astype(np.uint8)
                shown = values if number % 2 else np.repeat(values[:, :, None], 3, 2)
                save(root / f"CelebAMask-HQ-mask-anno/{number // 2000}/{number:05d}_{part}.png", shown)
    return root


def masks3(root: Path) -> Path:
    _tables(root, header=False, count=False)
    for number in ORIGINAL:
        values = generator(number).integers(0, 3, (2 * SIZE, 2 * SIZE))
        values[:4, values[0] == 0] = 255
        save(
            root / f"CelebA-HQ-segmask/{number:05d}_mask.npy",
            np.where(values == 0, number % 2 * 255, values).astype(np.uint8),
        )
    return root


WRITERS: Mapping[str, Callable[[Path], Path]] = {"raw": raw, "raw3": raw, "masks3": masks3}
