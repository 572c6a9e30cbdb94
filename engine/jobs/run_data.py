"""The images of a run, as its spec says: read or rendered, stacked, in batches on the device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from winnow.data.disk.cache import cached
from winnow.data.disk.records import OnDisk
from winnow.data.disk.spec import DiskData
from winnow.data.joined import Joined, JoinedData, each_source
from winnow.data.recorded import RecordedData
from winnow.data.sample import Dataset, Field, Sample, Split, Wrapped
from winnow.data.stacking import Progress, Stacked, require_whole, stack
from winnow.engine.graph.modes import fill_memory
from winnow.engine.jobs.sample import read_sample
from winnow.engine.runs.run import Run
from winnow.engine.specs.train import TrainSpec
from winnow.engine.tasks.surroundings import surroundings_kept
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batches
from winnow.engine.training.distributed.joining import own_device
from winnow.engine.training.distributed.place import RankPlace

CHUNK = 32  # images at once
Say = Callable[[str], None]


def prepare(threads: int, device: str, place: RankPlace | None = None, *, own_code: bool) -> torch.device:
    """Set what decides the bits of a process; return where it computes, for "auto", "cpu" or "cuda".

    With deterministic algorithms, torch fills new memory with NaN first, a fifth of the time of a pass. It does so
    where code of the user's own runs in a pass (`own_code`): what that reads before it is written is NaN then, and
    refused.

    Of several processes on a machine, each takes its part of the threads, and a GPU of its own.

    Raises:
        ValueError: a CUDA device was asked for, and there is none.

    """
    place = place or RankPlace()
    torch.set_num_threads(max(1, threads // place.local_count))
    torch.set_flush_denormal(True)  # the moments of dead groups decay into denormals, four times slower
    compute_alike()
    fill_memory(own_code)
    return own_device(device, place)


def compute_alike() -> None:
    """Let the same job give the same bits again, where torch knows how; else it warns.

    `torch.use_deterministic_algorithms` does the same, and imports torch's compiler, which takes more than a second.
    """
    torch.set_deterministic_debug_mode("warn")


def fields(spec: TrainSpec) -> Mapping[str, Field]:
    """Return what is known about each image of a run's data set."""
    return spec.fields


def dataset(spec: TrainSpec, split: Split) -> Dataset:
    """Return a split of a run's data set, not yet read."""
    with surroundings_kept("dataset"):
        return spec.data.load(split)


def example(spec: TrainSpec) -> Tensor:
    """Return the first validation image, (1, C, H, W) in [0, 1], channels last in memory."""
    image = torch.from_numpy(dataset(spec, "val").sample(0).image)
    scaled = image.float().div_(255) if image.dtype == torch.uint8 else image.float()
    return scaled[None].permute(0, 3, 1, 2)


def batches(spec: TrainSpec, tasks: Mapping[str, Task], split: Split, device: torch.device, say: Say) -> Batches:
    """Return a split of a run's images and the targets of the tasks; `say` reports the progress."""
    stacked = _stacked(spec, dataset(spec, split), tuple(tasks), split, say)
    return Batches(stacked, tasks, spec.batch_size, device)


def run_images(
    run: Run, tasks: Mapping[str, Task], split: Split, device: torch.device, say: Say, first: int | None = None
) -> Batches:
    """Return a split of the images of a run that is there, or its `first` ones, CHUNK at once where these are few.

    Raises:
        ValueError: a recorded run that does not hold them.

    """
    spec, size = run.spec, run.spec.batch_size if first is None else CHUNK
    if isinstance(spec.data, RecordedData):
        return Batches(_sampled(run, tasks, split, first), tasks, size, device)
    data = dataset(spec, split) if first is None else First(dataset(spec, split), first)
    return Batches(_stacked(spec, data, tuple(tasks), split, say), tasks, size, device)


def first_image(run: Run) -> Tensor:
    """Return the first validation image of a run that is there, (1, C, H, W), channels last in memory."""
    if not isinstance(run.spec.data, RecordedData):
        return example(run.spec)
    return torch.from_numpy(read_sample(run, "val").images[:1]).permute(0, 3, 1, 2)


def _sampled(run: Run, tasks: Mapping[str, Task], split: Split, first: int | None) -> Stacked:
    """Return the stored sample, with a number in the place of targets that no task looks at."""
    found = read_sample(run, split)
    nothing = np.zeros(len(found.images), np.float32)
    return Stacked(found.images[:first], {name: found.targets.get(name, nothing)[:first] for name in tasks})


@dataclass(frozen=True)
class First(Wrapped):
    """The first `length` samples of a data set."""

    length: int

    def __len__(self) -> int:
        return min(self.length, len(self.whole))

    def sample(self, index: int) -> Sample:
        """Return the sample of the whole data set."""
        return self.whole.sample(index)


def require_readable(spec: TrainSpec, split: Split, say: Say) -> None:
    """Read a split from disk once, so that a file that is damaged ends a run at its start and not at its end.

    Raises:
        DataError: a sample is not what its fields say.

    """
    if any(isinstance(source, DiskData) for source in each_source(spec.data)):
        require_whole(dataset(spec, split), spec.tasks, _progress(spec, split, say, "checking"))


def skipped_samples(spec: TrainSpec) -> pd.DataFrame | None:
    """Return the samples that a run leaves out: split, file, part, expected, found, mend; None if it leaves none out.

    With `skip_bad`, a data set that is whole gives a table without rows.
    """
    on_disk = [data for data in each_source(spec.data) if isinstance(data, DiskData) and data.skip_bad]
    if not on_disk:
        return None
    splits = [split for split in spec.data.splits if split != "test" or spec.test]
    found = [(split, error) for split in splits for data in on_disk for error in data.skipped(split)]
    rows = [(split, e.where, e.part, e.expected, e.found, e.mend) for split, e in found]
    return pd.DataFrame(rows, columns=["split", "file", "part", "expected", "found", "mend"])


def _stacked(spec: TrainSpec, data: Dataset, tasks: tuple[str, ...], split: Split, say: Say) -> Stacked:
    progress = _progress(spec, split, say, spec.data.verb)
    if isinstance(spec.data, DiskData) and spec.data.cache_here and isinstance(data, OnDisk):
        return cached(spec.data, split, tasks, progress)
    if isinstance(spec.data, JoinedData) and isinstance(data, Joined):
        data = spec.data.from_cache(split, progress)
    with surroundings_kept("dataset"):
        stacked = stack(data, tasks, progress)
    in_turns = isinstance(spec.data, JoinedData) and spec.data.alternating
    return replace(stacked, turns=data.lengths) if in_turns and isinstance(data, Joined) else stacked


def _progress(spec: TrainSpec, split: Split, say: Say, verb: str) -> Progress:
    return lambda done, total: say(f"{verb} {spec.data.dataset} ({split}): {done} of {total}")
