"""How many runs a machine can train at a time: its cores and GPUs, and what one run takes. No torch.

A run's threads are those of all its processes together, at least one each. It trains on GPUs where its device is not
"cpu" and there are at least as many as it has processes; then each process has a GPU to itself.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from winnow.engine.runs.launch import GPUS
from winnow.engine.specs.train import TrainSpec

DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # on Linux one of them exists where there may be a GPU
COUNT = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
PATIENCE = 120.0  # s, for torch to count the GPUs


@dataclass(frozen=True)
class Machine:
    """The cores that may be used, and the names by which CUDA_VISIBLE_DEVICES knows the GPUs."""

    cores: int
    gpus: tuple[str, ...] = ()

    def gpus_of(self, run: TrainSpec) -> int:
        """Return how many GPUs a run takes here, 0 where it trains on the CPU."""
        return run.devices if run.device != "cpu" and len(self.gpus) >= run.devices else 0

    def at_a_time(self, run: TrainSpec, wanted: int | None = None) -> int:
        """Return how many runs like this one to train at a time, at least one.

        It is the number `wanted`, or else as many as cores and GPUs allow. Runs of one process share GPUs if more are
        wanted than there are; runs of several processes never do.
        """
        each = self.gpus_of(run)
        on_gpus = len(self.gpus) // each if each else sys.maxsize
        if wanted is not None:
            return min(wanted, on_gpus) if run.devices > 1 else wanted
        return max(1, min(self.cores // cores_of(run), on_gpus))

    def in_words(self, run: TrainSpec, count: int) -> str:
        """Return what each of `count` runs takes, "" for one core, and a warning if that is more than there is."""
        cores, each = cores_of(run), self.gpus_of(run)
        parts = [f"{cores} cores"] if cores > 1 else []
        parts += [f"{each} GPU{'s' if each > 1 else ''}"] if each else []
        said = f", {' and '.join(parts)} each" if parts else ""
        return said + (f", more than its {self.cores} cores" if count * cores > self.cores else "")


def cores_of(run: TrainSpec) -> int:
    """Return how many cores a run keeps busy: its threads, evenly over its processes, at least one each."""
    return run.devices * max(1, run.threads // run.devices)


def this_machine(device: str = "auto") -> Machine:
    """Return the cores and GPUs that this process may use; no GPU is looked for where `device` is "cpu"."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return Machine(cores, () if device == "cpu" else gpus())


@cache
def gpus() -> tuple[str, ...]:
    """Return the names of the GPUs that torch finds, asked in a process of its own: its import takes seconds."""
    possible = sys.platform == "win32" or any(Path(device).exists() for device in DEVICES)
    named = os.environ.get(GPUS)
    if not possible or named == "":
        return ()
    try:
        asked = subprocess.run([sys.executable, "-P", "-c", COUNT], capture_output=True, text=True, timeout=PATIENCE)
        count = int(asked.stdout.split()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return ()
    known = [part.strip() for part in named.split(",")] if named else [str(place) for place in range(count)]
    return tuple(known[:count])
