"""Widths that cost nothing: up to which width a layer is as fast as with fewer channels, measured on this machine.

Kernels work on vectors of several channels, so that 13 channels often take as long as 16. A convolution is timed with
every width up to 64, as the number of channels that it makes and that it reads. The table is kept per machine, device
and memory format in `$XDG_CACHE_HOME/winnow/blocks.json` (`~/.cache` by default); delete the file to measure again.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from winnow.engine.graph.modes import memory_unfilled

MEASURED = 64  # channels
STEPS = (16, 8, 4, 2, 1)
ALIGNED = 4  # no other widths are tried
FREE = 1.03  # times as long counts as no longer
PASSES, REPEATS = 4, 5
CACHE = "blocks.json"
OTHER, SIDE = 32, 14  # channels on the other side, and the side of the image [pixel]


@dataclass(frozen=True)
class Blocks:
    """Up to which width each one is free: `widths` for 1, 2, …; beyond those, the next multiple of `step`.

    Raises:
        ValueError: a width of which the free one is smaller, or a step below 1.

    Examples:
        >>> Blocks((), 8).free(13)
        16

    """

    widths: tuple[int, ...]
    step: int

    def __post_init__(self) -> None:
        wrong = any(free < width for width, free in enumerate(self.widths, 1))
        if wrong or isinstance(self.step, bool) or not isinstance(self.step, int) or self.step < 1:
            raise ValueError(f"`step` must be a whole number from 1, and no width below itself, got {self.step!r}.")

    def free(self, width: int) -> int:
        """Return the largest width that takes no longer than `width`, at least that itself."""
        if 0 < width <= len(self.widths):
            return self.widths[width - 1]
        return -(-width // self.step) * self.step


def blocks_of(round_to: Any, device: torch.device, layout: torch.memory_format) -> Blocks | None:
    """Return the blocks for `round_to`: None for widths as they come, multiples of a number, or measured ("auto").

    Raises:
        ValueError: it is none of these.

    """
    if round_to is None:
        return None
    if round_to == "auto":
        return measured_blocks(device, layout)
    if isinstance(round_to, bool) or not isinstance(round_to, int) or not 1 <= round_to <= 1024:
        raise ValueError(f"`round_to` must be auto or a whole number from 1 to 1024, got {round_to!r}. Try 8 or 16.")
    return Blocks((), round_to)


@cache
def measured_blocks(device: torch.device, layout: torch.memory_format = torch.contiguous_format) -> Blocks:
    """Return the blocks of this machine: from the cache, or from a probe of about a second."""
    key = machine_name(device, layout)
    known = read_cache(CACHE)
    try:
        found = known[key]
        return Blocks(tuple(int(width) for width in found["widths"]), int(found["step"]))
    except (KeyError, TypeError, ValueError):  # not there yet, or damaged
        blocks = blocks_from(_times(device, layout))
        write_cache(CACHE, {**known, key: {"widths": list(blocks.widths), "step": blocks.step}})
        return blocks


def blocks_from(seconds: Sequence[float]) -> Blocks:
    """Return the blocks for the seconds of the widths 1, 2, … in turn.

    The free width is the largest multiple of 4, up to the next one of 16, that takes at most 3 % longer. The step
    beyond the widths is the largest with which at least four fifths of the upper half would be free.
    """
    widths = tuple(_free(seconds, width) for width in range(1, len(seconds) + 1))
    upper = range(len(widths) // 2 + 1, len(widths) + 1)

    def share(step: int) -> float:
        reached = [widths[width - 1] >= min(-(-width // step) * step, len(widths)) for width in upper]
        return sum(reached) / max(len(reached), 1)

    return Blocks(widths, next(step for step in STEPS if share(step) >= 0.8 or step == 1))


def _free(seconds: Sequence[float], width: int) -> int:
    most = min(-(-width // STEPS[0]) * STEPS[0], len(seconds))
    wider = range(-(-width // ALIGNED) * ALIGNED, most + 1, ALIGNED)
    return max([width, *(other for other in wider if seconds[other - 1] <= FREE * seconds[width - 1])])


def _times(device: torch.device, layout: torch.memory_format) -> list[float]:
    """Return the least seconds of a convolution that makes and of one that reads each number of channels."""
    widths = range(1, MEASURED + 1)
    least = {shape: float("inf") for width in widths for shape in ((OTHER, width), (width, OTHER))}
    with torch.inference_mode(), memory_unfilled():
        for _ in range(PASSES):
            least |= {shape: min(before, _least(device, layout, *shape)) for shape, before in least.items()}
    return [least[OTHER, width] + least[width, OTHER] for width in widths]


def _least(device: torch.device, layout: torch.memory_format, reads: int, makes: int) -> float:
    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, device=device).contiguous(memory_format=layout)

    x, weight, least = drawn(1, reads, SIDE, SIDE), drawn(makes, reads, 3, 3), float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        functional.conv2d(x, weight, padding=1)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        least = min(least, time.perf_counter() - start)
    return least


def machine_name(device: torch.device, layout: torch.memory_format) -> str:
    """Return what the table depends on: the processor or GPU, its vectors, threads, torch, and the memory format."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    vectors = torch.backends.cpu.get_cpu_capability()
    threads = torch.get_num_threads()
    return " · ".join((name, vectors, f"{threads} threads", f"torch {torch.__version__}", str(layout)))


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cache_file(name: str) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "winnow" / name


def read_cache(name: str) -> Mapping[str, Any]:
    """Return what a file of the user's cache holds; nothing where it is not there, or damaged."""
    try:
        found = json.loads(_cache_file(name).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_cache(name: str, tables: Mapping[str, Any]) -> None:
    """Replace a file of the user's cache, or go without one where it cannot be written."""
    path = _cache_file(name)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{name}.")
        with os.fdopen(handle, "w") as file:
            json.dump(dict(tables), file)
        Path(draft).replace(path)
