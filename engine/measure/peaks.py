"""What this machine can do at most, measured: products of matrices, copies, and the fixed time of one operation."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from winnow.engine.graph.modes import memory_unfilled

SIDES, COPIED = (512, 1024), 16 * 2**20  # of the matrices; entries of the copy
REPEATS = 12
BLOCKS: Mapping[str, int] = {"AVX512": 16, "AVX2": 8}  # float32 numbers of a vector, by what torch calls the processor
OTHER = 4


@dataclass(frozen=True)
class Peaks:
    """What this machine can do: FLOP/s of a product, bytes/s of a copy, seconds of one operation, vector width."""

    threads: int
    flops: float
    bandwidth: float
    call: float
    block: int

    def least(self, macs: float, moved: float) -> float:
        """Return the least seconds for so many multiply-accumulates and bytes."""
        return max(2 * macs / self.flops, moved / self.bandwidth)

    def bound(self, macs: float, moved: float) -> str:
        """Return what limits a layer: compute or memory."""
        return "compute" if 2 * macs / self.flops >= moved / self.bandwidth else "memory"


@cache
def measured_peaks(threads: int) -> Peaks:
    """Return what this machine does with so many threads, from a probe of about half a second, once per process."""
    with with_threads(threads), torch.inference_mode():
        flops = max(2 * side**3 / seconds_of(_product(side)) for side in SIDES)
        source, target = torch.randn(COPIED), torch.empty(COPIED)
        bandwidth = 2 * 4 * COPIED / seconds_of(lambda: target.copy_(source))
        tiny, x = nn.Conv2d(1, 1, 1), torch.ones(1, 1, 1, 1)
        call = seconds_of(lambda: tiny(x), 100)
    return Peaks(threads, flops, bandwidth, call, BLOCKS.get(torch.backends.cpu.get_cpu_capability(), OTHER))


def _product(side: int) -> Callable[[], object]:
    one, other, out = torch.randn(side, side), torch.randn(side, side), torch.empty(side, side)
    return lambda: torch.mm(one, other, out=out)


def seconds_of(work: Callable[[], object], repeats: int = REPEATS, of: Callable[[Any], Any] = min) -> float:
    """Return the least seconds of some work, or another figure of its repetitions; the first warms up."""
    found = []
    with memory_unfilled():
        for _ in range(repeats):
            start = time.perf_counter()
            work()
            found.append(time.perf_counter() - start)
    return float(of(found[1:]))


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
