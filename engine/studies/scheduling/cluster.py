"""Runs on a Dask cluster: an existing scheduler, or one that dask-jobqueue starts on SLURM, PBS, LSF or SGE.

Dask is the queue: it holds the runs, gives each to one of its workers, and gives it to another one when that worker
dies. Only the path of the run's folder is sent, so that the runs folder, and this package, must be found under the same
path everywhere (a shared file system). Results are read from the folder.

What Dask sends is `train_run`: it starts the same process as a single machine would, and waits for it. When Dask's
worker is killed, the process that it started notices it, saves a checkpoint and stops (or dies with it); the next
worker goes on from there.

A Dask worker trains as many runs at a time as it has threads. Start it with one (`dask worker --nthreads 1`), and give
it the cores and GPUs of one run: `threads` cores, or `devices` if that is more; for training on GPUs, `devices` of them
and no others visible (CUDA_VISIBLE_DEVICES, which batch systems set for the GPUs of a job). A cluster that is started
here requests the cores by itself; request GPUs as your batch system wants it, for example with
`job_extra_directives: ["--gres=gpu:2"]`.
"""

import importlib
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import Any

from winnow.engine.runs import launch
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.studies.scheduling.pool import ATTEMPTS

MISSING = "`{asked}` needs the package {package}, which is not installed. Run: pip install 'winnow-mtl[cluster]'"
CLUSTERS = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster", "sge": "SGECluster"}
POLL = 0.2  # s


class ClusterPool:
    """Runs given to Dask, all that are ready at once."""

    def __init__(self, client: Any, cluster: Any = None) -> None:
        self._client, self._cluster = client, cluster
        self._futures: dict[str, Any] = {}

    @property
    def where(self) -> str:
        """Where the runs are trained, for the status line."""
        return f"on the Dask cluster at {self._client.scheduler.address}"

    def free(self) -> bool:
        """Return True: Dask has a queue."""
        return True

    def start(self, run: Run) -> None:
        """Give a run to Dask; its worker waits while another process still holds the run."""
        key = f"{run.id}-{len(self._futures)}"
        self._futures[run.id] = self._client.submit(train_run, str(run.path), key=key, pure=False, retries=ATTEMPTS - 1)

    def ended(self, run: Run) -> str:
        """Return the final state of a run, "" while it goes on or waits for a worker."""
        future = self._futures[run.id]
        if not future.done():
            return ""
        if future.status == "finished":
            return str(future.result())
        if future.cancelled():
            return "stopped"
        state = run.status.state
        return state if state in ("done", "failed", "stopped") else "lost"

    def stop(self, run: Run) -> None:
        """Ask a run to save a checkpoint and end, or withdraw it if no worker has begun it."""
        status = run.status
        if status.state == "queued" and status.requested is None:
            self._futures[run.id].cancel()
        elif status.state in LIVE:
            run.ask(stop=True)

    def close(self) -> None:
        """Disconnect from the scheduler, and end the cluster if it was started here."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def connected(address: str) -> ClusterPool:
    """Return the pool of the Dask scheduler at an address.

    Raises:
        ValueError: Dask is not installed, or no scheduler answers there.

    """
    _require("scheduler", "distributed")
    distributed = importlib.import_module("distributed")
    try:
        client = distributed.Client(address, set_as_default=False)
    except OSError as error:
        raise ValueError(
            f"`scheduler` must be the address of a Dask scheduler, got no answer at {address}. Is it running?"
        ) from error
    return ClusterPool(client)


def started(settings: Mapping[str, Any], cores: int = 1) -> ClusterPool:
    """Return the pool of a new cluster: {cluster: slurm, pbs, lsf or sge, jobs: how many, options of dask-jobqueue}.

    A job trains one run at a time, on `cores` cores unless the settings name another number.

    Raises:
        ValueError: Dask or dask-jobqueue is not installed.

    """
    _require("cluster", "distributed")
    distributed = importlib.import_module("distributed")
    cluster = batch_cluster(settings, cores)
    cluster.scale(jobs=int(settings.get("jobs", 1)))
    return ClusterPool(distributed.Client(cluster, set_as_default=False), cluster)


def batch_cluster(settings: Mapping[str, Any], cores: int = 1) -> Any:
    """Return a cluster of dask-jobqueue, without workers yet: each job has the cores of one run at a time."""
    _require("cluster", "dask_jobqueue")
    jobqueue = importlib.import_module("dask_jobqueue")
    named = {name: value for name, value in settings.items() if name not in ("cluster", "jobs")}
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in named.items()}
    usual: dict[str, Any] = {
        "cores": cores,
        "processes": 1,
        "python": f"{quote(sys.executable)} -P",  # nothing is imported from the folder in which a job starts
        "scheduler_options": {"dashboard_address": ":0"},  # any free port
    }
    if "cores" not in options:  # or Dask trains a run on each of them; the last --nthreads counts
        usual["worker_extra_args"] = [*options.pop("worker_extra_args", ()), "--nthreads", "1"]
    return getattr(jobqueue, CLUSTERS[str(settings["cluster"])])(**{**usual, **options})


def _require(asked: str, package: str) -> None:
    if find_spec(package) is None:
        raise ValueError(MISSING.format(asked=asked, package=package))


class LostError(RuntimeError):
    """A run whose process died each time that it was started."""


def train_run(folder: str) -> str:
    """Train the run in a folder from its newest checkpoint, or from the start; return its final state.

    Raises:
        LostError: its process was lost each time that it was started.

    """
    run = Run.open(Path(folder))
    for _ in range(ATTEMPTS):
        _wait_for_another(run)
        if run.status.state != "done":
            launch.work(run)
        if (state := run.status.state) != "lost":
            return state
    raise LostError(f"the process of {run.id} was lost {ATTEMPTS} times")


def _wait_for_another(run: Run) -> None:
    """Wait while another worker, which is about to stop, still holds the run."""
    while (status := run.status).state in LIVE and not (status.state == "queued" and status.requested is None):
        time.sleep(POLL)
