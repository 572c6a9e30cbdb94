"""A data set in memory: every sample read and validated once, then one array per field."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.sample import Array, DataError, Dataset, validate


@dataclass(frozen=True)
class Stacked:
    """Images (N, H, W, C) and, by field name, targets (N, …)."""

    images: Array
    targets: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.images)


def stack(dataset: Dataset, names: Sequence[str], progress: Callable[[int, int], None] | None = None) -> Stacked:
    """Read all samples with the fields `names`; `progress(done, total)` is called after each.

    Raises:
        DataError: a sample is not what its fields promise, or of another shape than the first.

    """
    fields = {name: dataset.fields[name] for name in names}
    total = len(dataset)
    images: Array | None = None
    targets: dict[str, Array] = {}
    for index in range(total):
        where = f"{dataset.name}[{index}]"
        sample = validate(dataset.sample(index), fields, where)
        if images is None:
            images = np.empty((total, *sample.image.shape), sample.image.dtype)
            first = {name: np.asarray(sample.targets[name]) for name in names}
            targets = {name: np.empty((total, *array.shape), array.dtype) for name, array in first.items()}
        if sample.image.shape != images.shape[1:]:
            raise DataError(where, "image", f"of shape {images.shape[1:]}, as the first", sample.image.shape)
        images[index] = sample.image
        for name in names:
            targets[name][index] = sample.targets[name]
        if progress is not None:
            progress(index + 1, total)
    if images is None:
        raise ValueError(f"`dataset` should have samples. Found {dataset.name} with none.")
    return Stacked(images, targets)
