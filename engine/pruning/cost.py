"""When a gather pays: multiply-accumulates saved against bytes moved, in seconds of this machine.

The three coefficients come from a short timed probe, once per process and device: a convolution, a gather of as many
channels, and a gather of almost nothing. Give `Coefficients` of your own for a decision that is the same everywhere.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch.nn import functional

ROUNDS = 15


@dataclass(frozen=True)
class Coefficients:
    """Seconds per multiply-accumulate, per byte read or written, and per operation."""

    per_mac: float
    per_byte: float
    per_call: float

    def pays(self, macs: float, moved: float) -> bool:
        """Whether saving `macs` is worth a gather that reads and writes `moved` bytes."""
        return macs * self.per_mac > moved * self.per_byte + self.per_call


@cache
def measured(device: torch.device) -> Coefficients:
    """Return the coefficients of a device, from a probe of some tens of milliseconds."""
    x, weight = torch.randn(1, 128, 32, 32, device=device), torch.randn(64, 64, 3, 3, device=device)
    index = torch.arange(0, 128, 2, device=device)
    half, little = x[:, :64].contiguous(), torch.randn(1, 2, 1, 1, device=device)
    with torch.inference_mode():
        convolution = _seconds(lambda: functional.conv2d(half, weight, padding=1), device)
        gather = _seconds(lambda: x.index_select(1, index), device)
        call = _seconds(lambda: little.index_select(1, index[:1]), device)
    macs, moved = 64 * 64 * 9 * 32 * 32, 2 * half.numel() * half.element_size()
    return Coefficients(max(convolution - call, 1e-9) / macs, max(gather - call, 1e-9) / moved, call)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the median time of some work."""
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - start)
    return sorted(found)[ROUNDS // 2]
