"""Runs on a Dask cluster: an existing scheduler, or one that dask-jobqueue starts on SLURM, PBS, LSF or SGE.

There is no queue of our own: Dask holds the runs, gives each to a worker, and gives it to another when that one dies.
All that travels is the path of the run's folder; what comes of it is read from there.

A worker of Dask trains one run at a time for each of its threads, in processes of their own. So it should have one
thread (`dask worker --nthreads 1`), and the cores and GPUs of one run: `threads` cores, or `devices` where those are
more; where it trains on GPUs, `devices` of them, and no others in sight (CUDA_VISIBLE_DEVICES, which batch systems set
for the GPUs of a job). A job that is started here gets the cores by itself; GPUs are asked for in the words of the
batch system, such as `job_extra_directives: ["--gres=gpu:2"]`.
"""

import importlib
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from shlex import quote
from typing import Any

from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.studies.scheduling.pool import ATTEMPTS
from winnow.engine.studies.scheduling.remote import train_run

MISSING = "`{asked}` needs a package that is not installed: {package}. Run pip install 'winnow-mtl[cluster]'."
CLUSTERS = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster", "sge": "SGECluster"}


class ClusterPool:
    """Runs handed to Dask, all that are ready at once."""

    def __init__(self, client: Any, cluster: Any = None) -> None:
        self._client, self._cluster = client, cluster
        self._futures: dict[str, Any] = {}

    @property
    def where(self) -> str:
        """In words, where the runs are trained."""
        return f"on the Dask cluster at {self._client.scheduler.address}"

    def free(self) -> bool:
        """Return True: Dask takes all."""
        return True

    def start(self, run: Run) -> None:
        """Hand a run to Dask; its worker waits for one that still holds the run."""
        key = f"{run.id}-{len(self._futures)}"
        self._futures[run.id] = self._client.submit(train_run, str(run.path), key=key, pure=False, retries=ATTEMPTS - 1)

    def ended(self, run: Run) -> str:
        """Return the state that a run ended in, "" while it goes on or waits for a worker."""
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
        """Ask a run to store a checkpoint and end, or take it back if no worker has begun it."""
        status = run.status
        if status.state == "queued" and status.requested is None:
            self._futures[run.id].cancel()
        elif status.state in LIVE:
            run.ask(stop=True)

    def close(self) -> None:
        """Let go of the scheduler, and end the cluster if it was started for this."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def connected(address: str) -> ClusterPool:
    """Return the pool of the Dask scheduler at an address.

    Raises:
        ValueError: Dask is not installed, or nobody answers there.

    """
    _require("scheduler", "distributed")
    distributed = importlib.import_module("distributed")
    try:
        client = distributed.Client(address, set_as_default=False)
    except OSError as error:
        raise ValueError(
            f"`scheduler` should be the address of a Dask scheduler. Found no answer at {address}."
        ) from error
    return ClusterPool(client)


def started(settings: Mapping[str, Any], cores: int = 1) -> ClusterPool:
    """Return the pool of a new cluster: {cluster: slurm, pbs, lsf or sge, jobs: how many, options of dask-jobqueue}.

    A job trains one run at a time, on so many `cores`, unless the settings name other ones.

    Raises:
        ValueError: Dask or dask-jobqueue is not installed.

    """
    _require("cluster", "distributed")
    distributed = importlib.import_module("distributed")
    cluster = batch_cluster(settings, cores)
    cluster.scale(jobs=int(settings.get("jobs", 1)))
    return ClusterPool(distributed.Client(cluster, set_as_default=False), cluster)


def batch_cluster(settings: Mapping[str, Any], cores: int = 1) -> Any:
    """Return a cluster of dask-jobqueue without workers yet: a job has the cores of a run, and trains one at a time."""
    _require("cluster", "dask_jobqueue")
    jobqueue = importlib.import_module("dask_jobqueue")
    named = {name: value for name, value in settings.items() if name not in ("cluster", "jobs")}
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in named.items()}
    usual: dict[str, Any] = {
        "cores": cores,
        "processes": 1,
        "python": f"{quote(sys.executable)} -P",  # nothing is imported from the folder in which a job starts
        "scheduler_options": {"dashboard_address": ":0"},  # any port that is free
    }
    if "cores" not in options:  # Dask would train a run on each of them; of two numbers of threads the last one counts
        usual["worker_extra_args"] = [*options.pop("worker_extra_args", ()), "--nthreads", "1"]
    return getattr(jobqueue, CLUSTERS[str(settings["cluster"])])(**{**usual, **options})


def _require(asked: str, package: str) -> None:
    if find_spec(package) is None:
        raise ValueError(MISSING.format(asked=asked, package=package))
