"""The maps of an explanation as one file, which is read without torch.

`spatial.safetensors` holds the arrays below; its header holds `index`, a JSON text: {format_version, of, base, images
[numbers in the split], looked_at, size [height, width of the originals], tasks {name: {kind, classes, unit}}, layers
{name: [channels]}, living {layer: channels that live}, patch, steps}. K images are shown of N in all; T tasks, C
channels of a layer, M top images. Floats are float16 in units of a peak that is stored beside them, so that nothing
overflows or underflows.

| array                                    | shape           | meaning                                                 |
|------------------------------------------|-----------------|---------------------------------------------------------|
| `images`                                 | (K, H, W, 1|3)  | uint8; larger images are reduced by a whole factor      |
| `target.<task>`, `prediction.<task>`     | (K, …)          | see `explain.maps.pictures`                             |
| `dense.<task>`                           | (K, …)          | of a pruning: the prediction before it                  |
| `activation.<layer>`, `…_peak.<layer>`   | (C, K, h, w)    | what the layer reads, at its own resolution             |
| `silent.<layer>`                         | (C, h, w)       | part of the N images with exactly 0 at the position     |
| `silent_here.<layer>`                    | (C, K, h, w)    | uint8: whether it is exactly 0 in this image            |
| `silence.<layer>`                        | (h, w)          | part of all its living channels with exactly 0 there    |
| `silence_here.<layer>`                   | (K, h, w)       | the same of each shown image                            |
| `silence_of.<layer>`                     | (all channels,) | part of all positions and images; NaN for a dead channel|
| `reliance.<layer>`, `…_peak.<layer>`     | (C, T, K, h, w) | |(a − μ) ∂f_t/∂a|: where task t relies on the channel   |
| `mean.<layer>`, `max.<layer>`            | (C, N)          | float32, of the activation over each image              |
| `top.<layer>`                            | (C, M)          | int32: images of the greatest mean, numbers in the split|
| `top_activation.<layer>`                 | (C, M, h, w)    | the activation there; in units of `activation_peak`     |
| `top_window.<layer>`                     | (C, M, 4)       | int32: receptive field of its maximum there [pixel]     |
| `gallery`, `gallery_of`                  | (G, h, w, 1|3)  | the top images, small; their numbers in the split       |
| `integrated_gradients`, `…_peak`         | (T, K, H, W)    | signed; its sum is f(x) − f(base) less the residual     |
| `difference`, `residual`                 | (T, K)          | f(x) − f(base), and what the sum over the pixels lacks  |
| `occlusion`, `…_peak`                    | (T, K, p, q)    | f(x) − f(x with the patch in the colours of the base)   |
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from winnow.engine.runs.files import replace
from winnow.engine.runs.reading import taken_apart

NAME = "spatial.safetensors"
FORMAT_VERSION = 1
Array = NDArray[Any]
Method = Literal["integrated_gradients", "occlusion"]


def write_spatial(folder: Path, arrays: Mapping[str, Array], index: Mapping[str, Any]) -> Path:
    """Write the file into a folder, completely or not at all; return its path."""
    text = json.dumps({"format_version": FORMAT_VERSION, **index}, allow_nan=False)
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    replace(folder / NAME, save(plain, metadata={"index": text}))
    return folder / NAME


def packed(values: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return values as float16 in units of their peak over `axes`, and the peaks, float32, without those axes."""
    peak = np.abs(values).max(axes, keepdims=True)
    units = values / np.where(peak > 0, peak, 1.0)
    return units.astype(np.float16), peak.squeeze(axes).astype(np.float32)


@dataclass(frozen=True)
class Top:
    """The images that activate a channel most, strongest first: numbers, mean activations, pictures, activations.

    `windows` (M, 4): the receptive field of the position where it is most active, top, left, bottom, right [pixel of
    the original], ends excluded; all zeros where it is not known, None in files of an older version.
    """

    numbers: list[int]
    means: Array
    pictures: Array
    activations: Array
    windows: Array | None = None


class SpatialStore:
    """Reads the file in a folder, array by array.

    Raises:
        ValueError: there is no file, it is damaged or of another format version; in the methods, a layer, channel or
            task that it does not hold.

    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        if not self._path.exists():
            raise ValueError(f"`folder` must hold {NAME}, got none in {folder.name}.")
        try:
            with safe_open(self._path, "np") as file:
                found = json.loads((file.metadata() or {}).get("index", "{}"))
                self._names = set(file.keys())
        except (SafetensorError, ValueError, RecursionError) as error:
            raise ValueError(f"`folder` must hold an intact {NAME}, got a damaged one: {error}.") from error
        self.index: dict[str, Any] = found if isinstance(found, dict) else {}
        if (known := self.index.get("format_version")) != FORMAT_VERSION:
            raise ValueError(
                f"`format_version` of {NAME} must be {FORMAT_VERSION}, got {known!r:.20}. Explain the run again."
            )
        with taken_apart(self._path):
            self.tasks: tuple[str, ...] = tuple(map(str, self.index["tasks"]))
            self.numbers: tuple[int, ...] = tuple(map(int, self.index["images"]))
            self.index["layers"] = {str(layer): list(map(int, own)) for layer, own in self.index["layers"].items()}

    def cells(self) -> pd.DataFrame:
        """Return the channels that have maps: layer, channel."""
        rows = [(layer, channel) for layer, channels in self.index["layers"].items() for channel in channels]
        return pd.DataFrame(rows, columns=["layer", "channel"])

    def has(self, layer: str, channel: int) -> bool:
        """Return whether there are maps of a channel."""
        return channel in self.index["layers"].get(layer, ())

    def images(self) -> Array:
        """Return the shown images, (K, H, W, colours) uint8."""
        return self._array("images")

    def target(self, task: str) -> Array | None:
        """Return a task's targets of the shown images; None where there are none."""
        return self._known("target", task)

    def prediction(self, task: str) -> Array | None:
        """Return a task's predictions for the shown images; None for a task without a description."""
        return self._known("prediction", task)

    def dense(self, task: str) -> Array | None:
        """Return what the network predicted before a pruning, in the form of `prediction`; None in other files."""
        return self._known("dense", task)

    def activation(self, layer: str, channel: int) -> Array:
        """Return the activation of a channel over the shown images, (K, h, w)."""
        units = self._cell("activation", layer, channel).astype(np.float32)
        found: Array = units * self._peak("activation", layer, channel)
        return found

    def silent(self, layer: str, channel: int) -> Array:
        """Return the part of all images in which a channel is exactly 0 at each position, (h, w)."""
        found: Array = self._cell("silent", layer, channel).astype(np.float32)
        return found

    def silent_here(self, layer: str, channel: int) -> Array:
        """Return where a channel is exactly 0 in the shown images, (K, h, w) bool."""
        found: Array = self._cell("silent_here", layer, channel).astype(bool)
        return found

    def silent_layers(self) -> list[str]:
        """Return the layers of which it is known where they are silent, in order; none in a file of an older version.

        A layer without a living channel is not among them.
        """
        return [layer for layer in self.index.get("living", {}) if f"silence.{layer}" in self._names]

    def silence(self, layer: str, place: int | None = None) -> Array:
        """Return the part of a layer's living channels that are exactly 0 at each position, (h, w).

        Averaged over all images, or of the shown image at `place`.
        """
        if layer not in self.silent_layers():
            raise ValueError(f"`layer` must be one of {', '.join(self.silent_layers())}, got {layer!r}.")
        own = self._array(f"silence.{layer}") if place is None else self._array(f"silence_here.{layer}")[place]
        found: Array = own.astype(np.float32)
        return found

    def silence_of(self, layer: str) -> Array:
        """Return at which part of all positions and images each channel is exactly 0, (C,); NaN for a dead one."""
        found: Array = self._array(f"silence_of.{layer}")
        return found

    def reliance(self, layer: str, channel: int, task: str) -> Array:
        """Return where a task relies on a channel, (K, h, w) ≥ 0."""
        place = self._task(task)
        units = self._cell("reliance", layer, channel)[place].astype(np.float32)
        found: Array = units * self._peak("reliance", layer, channel)[place]
        return found

    def per_image(self, layer: str, channel: int) -> pd.DataFrame:
        """Return a channel's mean and greatest activation in each of the N images: mean, max."""
        values = {name: self._cell(name, layer, channel) for name in ("mean", "max")}
        return pd.DataFrame(values)

    def top(self, layer: str, channel: int) -> Top:
        """Return the images that activate a channel most."""
        numbers = [int(number) for number in self._cell("top", layer, channel)]
        gallery = {int(number): place for place, number in enumerate(self._array("gallery_of"))}
        pictures = self._array("gallery")[[gallery[number] for number in numbers]]
        maps = self._cell("top_activation", layer, channel).astype(np.float32)
        means = self.per_image(layer, channel)["mean"].to_numpy()[numbers]
        windows = self._cell("top_window", layer, channel) if f"top_window.{layer}" in self._names else None
        return Top(numbers, means, pictures, maps * self._peak("activation", layer, channel), windows)

    def attribution(self, method: Method, task: str) -> Array:
        """Return a task's attribution over the shown images: (K, H, W), or for occlusion (K, p, q), one per patch."""
        place = self._task(task)
        peak = self._array(f"{method}_peak")[place]
        found: Array = self._array(method)[place].astype(np.float32) * peak[:, None, None]
        return found

    def completeness(self) -> pd.DataFrame:
        """Return the completeness of integrated gradients: task, image, difference, residual."""
        rows = [(task, number) for task in self.tasks for number in self.numbers]
        parts = {name: self._array(name).ravel() for name in ("difference", "residual")}
        return pd.DataFrame(rows, columns=["task", "image"]).assign(**parts)

    def _array(self, name: str) -> Array:
        return self._read(lambda file: file.get_tensor(name))

    def _known(self, part: str, task: str) -> Array | None:
        self._task(task)
        return self._array(f"{part}.{task}") if f"{part}.{task}" in self._names else None

    def _task(self, task: str) -> int:
        if task not in self.tasks:
            raise ValueError(f"`task` must be one of {', '.join(self.tasks)}, got {task!r}.")
        return self.tasks.index(task)

    def _cell(self, part: str, layer: str, channel: int) -> Array:
        if not self.has(layer, channel):
            raise ValueError(f"`channel` must have maps (`cells()` lists them), got channel {channel} of {layer!r}.")
        place = self.index["layers"][layer].index(channel)
        return self._read(lambda file: file.get_slice(f"{part}.{layer}")[place])

    def _read(self, take: Callable[[Any], Array]) -> Array:
        try:
            with safe_open(self._path, "np") as file:
                return take(file)
        except (SafetensorError, IndexError, OverflowError) as error:
            raise ValueError(f"`{NAME}` must hold what its index names, got a damaged one: {error}.") from error

    def _peak(self, part: str, layer: str, channel: int) -> Array:
        return self._cell(f"{part}_peak", layer, channel)


def resized_maps(values: Array, height: int, width: int) -> Array:
    """Return maps (…, h, w) at another size: each value is that of the nearest position; nothing is interpolated."""
    rows = (np.arange(height) * values.shape[-2]) // height
    columns = (np.arange(width) * values.shape[-1]) // width
    found: Array = values[..., rows[:, None], columns]
    return found
