"""Joining the other processes of a run, and leaving them: gloo between CPUs, nccl between GPUs.

Small tensors on the CPU (Gramians, orders) go through gloo in any case. A wait may last as long as a user's pause; that
a process has ended is not learned by waiting but from its closed connection, and torchrun ends the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed

from winnow.engine.training.distributed.place import RankLostError, RankPlace
from winnow.engine.training.distributed.ranks import ALONE, Ranks

LONGEST_WAIT = timedelta(days=7)


def own_device(wanted: str, place: RankPlace) -> torch.device:
    """Return where a process computes, for "auto", "cpu" or "cuda": of several on a machine, each on its own GPU.

    Raises:
        ValueError: CUDA is asked for, and this machine has fewer GPUs than processes.

    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cuda" and found < place.local_count:
        lacking = "without a CUDA device" if not found else f"for {place.local_count} processes and {found} GPUs"
        raise ValueError(f"`device` must be one that this machine has, got 'cuda' {lacking}.")
    if wanted == "cpu" or found < place.local_count:
        return torch.device("cpu")
    if place.count == 1:
        return torch.device("cuda")
    torch.cuda.set_device(place.local_rank)
    return torch.device("cuda", place.local_rank)


@contextmanager
def joined(place: RankPlace, device: torch.device) -> Iterator[Ranks]:
    """Within it, the processes of this run are connected.

    Raises:
        RankLostError: they did not all come.

    """
    if place.count == 1:
        yield ALONE
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    except RuntimeError as error:
        raise RankLostError(f"the processes of this run did not find one another: {error}") from error
    try:
        yield Ranks(place.rank, place.count)
    finally:
        distributed.destroy_process_group()
