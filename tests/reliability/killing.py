"""Training workers killed at random moments and inside every kind of write, resumed, compared with an undisturbed run.

    python -m tests.reliability.killing ROOT CONFIG KILLS SEED [full]

With `full`, the disk is full instead: no file may grow beyond a drawn size (RLIMIT_FSIZE). The command
prints one JSON object: how many kills there were, and what differed in which trial. Workers are forked from this
process, which has imported torch and uses one thread, so that a trial takes a second.
"""

import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from winnow.engine.jobs import worker
from winnow.engine.runs import files
from winnow.engine.runs.events import read_events
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.verify import verify
from winnow.engine.specs.train import parse

BASE = {
    "data": {"dataset": "digits"},
    "network": {"widths": (8,), "blocks": (1,), "head_width": 6},
    "batch_size": 100,
    "threads": 1,
    "seed": 3,
    "epochs": 3,
}
SGD = {"optimiser": "sgd", "learning_rate": 0.02, "momentum": 0.9}
CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {"penalty": {"strength": 5e-3}},
    "target": {"penalty": {"target": 60}},
    "removal": {"penalty": {"strength": 2e-2, "removal": 1, "groups": "coupled", "floor": 0.05}},
    "snapshots": {"penalty": {"target": 80}, "snapshots": 10},
    "momentum": {"penalty": {"strength": 1e-2, "groups": "output"}, "optimiser": SGD},
    "best": {"penalty": {"target": 50, "refit": 0.5}, "keep": "best", "test": True, "patience": 2},
    "famo": {"penalty": {"strength": 5e-3}, "balancing": {"balancing": "famo"}},
    "gradnorm": {"penalty": {"strength": 5e-3}, "balancing": {"balancing": "gradnorm"}},
    "dwa": {"penalty": {"strength": 5e-3, "warm_up": 1, "ramp": 2}, "balancing": {"balancing": "dwa"}},
    "mcp": {"penalty": {"penalty": "group_mcp", "target": 60, "removal": 1}, "accumulate": 2},
    "all": {
        "epochs": 3,
        "penalty": {"target": 70, "removal": 1, "groups": "coupled"},
        "snapshots": 10,
        "keep": "best",
        "test": True,
        "optimiser": SGD,
    },
}
KINDS = ("time", "time", "stop", "file", "half", "rename", "append")
KEY = ["epoch", "step", "task", "split", "quantity", "value"]
Trap = Callable[[], None]


def forked(run: Run, trap: Trap | None = None) -> int:
    """Start a worker; in it, `trap` sets where it dies."""
    run.ask(stop=False, pause=False)
    child = os.fork()
    if child:
        return child
    os.setsid()
    with (run.path / "log.txt").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if trap is not None:
        trap()
    with contextlib.suppress(BaseException):
        os._exit(worker.main([str(run.path)]))
    os._exit(99)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_file(number: int, half: bool) -> Trap:
    """Die when the numbered file is written, whole or by half, and not yet renamed."""
    real, count = os.fsync, [0]

    def fsync(descriptor: int) -> None:
        count[0] += os.path.isfile(f"/proc/self/fd/{descriptor}")
        if count[0] == number:
            if half and os.readlink(f"/proc/self/fd/{descriptor}").endswith(".tmp"):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            die()
        real(descriptor)

    return lambda: setattr(os, "fsync", fsync)


def after_a_rename(number: int) -> Trap:
    """Die right behind the numbered rename."""
    count = [0]

    def flush_folder(_: Path) -> None:
        count[0] += 1
        if count[0] == number:
            die()

    return lambda: setattr(files, "_flush_folder", flush_folder)


def in_an_append(number: int) -> Trap:
    """Die within the numbered append, when half of the record is there."""
    real, count = os.write, [0]

    def write(descriptor: int, content: bytes) -> int:
        count[0] += descriptor > 2
        if count[0] == number:
            real(descriptor, content[: max(1, len(content) // 2)])
            die()
        return real(descriptor, content)

    return lambda: setattr(os, "write", write)


def disk_full(size: int) -> Trap:
    """Let no file grow beyond so many bytes, as on a disk that is full by then."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def killed(run: Run, kind: str, draw: random.Random, long: float) -> bool:
    """Start a worker and kill it, or have it stopped; return whether it died."""
    number = draw.randint(1, 60)
    traps = {
        "file": in_a_file(number, half=False),
        "half": in_a_file(number, half=True),
        "rename": after_a_rename(number),
        "append": in_an_append(number),
        "full": disk_full(int(draw.uniform(2.5, 5) ** 10 / 5)),  # 2 kB to 2 MB, most of them small
    }
    child = forked(run, traps.get(kind))
    if kind in ("time", "stop"):
        time.sleep(draw.uniform(0.02, long))
        os.kill(child, signal.SIGKILL if kind == "time" else signal.SIGTERM)
    status = os.waitpid(child, 0)[1]
    if kind == "full":
        said = run.recorded_status()
        return os.WEXITSTATUS(status) == 1 and said.state == "failed" and "disk full" in said.message
    return os.WIFSIGNALED(status)


def result(run: Run) -> dict[str, Any]:
    """Return all that must not differ: states, digests of the weights, bytes of the norms, every record once."""
    events = read_events(run.path / "events.jsonl")
    events = events[(events["quantity"] != "images_per_second") & (events["split"] != "control")]
    newest = sorted((run.path / "weights").glob("0*.json"))[-1]
    snapshots = (run.path / "snapshots").glob("*/architecture.json")
    tables = sorted((run.path / "tables").glob("*.parquet"))
    return {
        "state": run.status.state,
        "weights": json.loads(newest.read_text())["sha256"],
        "norms": hashlib.sha256((run.path / "groups" / "norms.bin").read_bytes()).hexdigest(),
        "records": [repr(row) for row in events[KEY].itertuples(index=False)],
        "tables": {file.stem: pd.read_parquet(file).to_csv() for file in tables},
        "snapshots": {file.parent.name: json.loads(file.read_text())["sha256"] for file in snapshots},
        "left over": [str(file.name) for name in ("*.tmp", ".new-*") for file in run.path.rglob(name)],
        "damaged": [found.file for found in verify(run) if not found.whole],
        "best": [json.loads(f.read_text())["sha256"] for f in (run.path / "weights").glob("best.json")],
        "orphans": sorted(f.stem for f in (run.path / "weights").glob("0*")) != sorted(2 * _stems(run)),
    }


def _stems(run: Run) -> list[str]:
    return [file.stem for file in (run.path / "weights").glob("0*.json")]


def main(root: Path, config: str, kills: int, seed: int, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    draw, spec = random.Random(seed), parse({**BASE, "name": config, **CONFIGS[config]})
    undisturbed = create(spec, root)
    worker.main([str(create(spec, root).path)])  # imports all that a worker needs, before the forks
    began = time.monotonic()
    os.waitpid(forked(undisturbed), 0)
    long, truth = time.monotonic() - began, result(undisturbed)
    died, trials, differing = 0, 0, []
    while died < kills:
        run, drawn = create(spec, root), [draw.choice(kinds) for _ in range(draw.choice([1, 1, 2, 3]))]
        for kind in drawn:
            if run.recorded_status().state != "done":
                died += killed(run, kind, draw, long)
        if run.recorded_status().state != "done":
            os.waitpid(forked(run), 0)
        got, trials = result(run), trials + 1
        different = [name for name, value in truth.items() if got[name] != value]
        if different:
            differing.append({"kinds": drawn, "differ": different, "run": run.id, "message": run.status.message})
        else:
            shutil.rmtree(run.path)
    return {"config": config, "state": truth["state"], "kills": died, "trials": trials, "differing": differing}


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = sys.argv[5:] or KINDS
    found = main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), given)
    sys.stdout.write(json.dumps(found) + "\n")
