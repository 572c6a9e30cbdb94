"""Many runs, long runs, large logs: read in memory that is bounded, and on from where the last look ended."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reliability.test_format import STORED
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.norm_log import Layer, NormLog

pytestmark = pytest.mark.study
MEASURED = """
import json, re, sys, time
from pathlib import Path
{imports}
def most():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
place, before, found = Path(sys.argv[1]), most(), {{}}
began = time.process_time()
{first}
found["first"] = round(time.process_time() - began, 2)
began = time.process_time()
{again}
found["again"] = round(time.process_time() - began, 3)
found["MiB"] = round((most() - before) / 1024)
print(json.dumps(found))
"""


def measured(place: Path, imports: str, first: str, again: str) -> dict[str, Any]:
    """Return the CPU time of a first and a second look [s], the memory [MiB], and what the code found, elsewhere."""
    code = MEASURED.format(imports=imports, first=first, again=again)
    environment = {**os.environ, "WINNOW_RUNS": str(place)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(place)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-800:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_thousand_runs(tmp_path: Path):
    with zipfile.ZipFile(STORED) as archive:
        archive.extractall(tmp_path / "one")
    (one,) = (tmp_path / "one").iterdir()
    for heavy in ("prune", "export", "snapshots", "weights"):
        shutil.rmtree(one / heavy)
    root = tmp_path / "runs"
    for number in range(1000):
        shutil.copytree(one, root / f"20260101-{number:06d}-run")
    summaries = "summaries()"
    found = measured(
        root,
        "from winnow.dashboard.frames.summaries import summaries",
        f'found["runs"] = len({summaries})',
        f'found["same"] = len({summaries})',
    )
    sys.stdout.write(f"\n1,000 runs: {found}\n")
    assert found["runs"] == found["same"] == 1000
    assert found["again"] < found["first"]
    assert found["MiB"] < 600


def test_ten_thousand_epochs_of_five_thousand_groups(tmp_path: Path):
    log = NormLog(tmp_path / "groups")
    log.begin([Layer(f"layer{number}", 500, 9) for number in range(10)])
    row = np.random.default_rng(0).random(5000, np.float32)
    log.append(0, 0, 0.1, row)
    first = (tmp_path / "groups" / "norms.bin").read_bytes()
    with (tmp_path / "groups" / "norms.bin").open("ab") as file:
        for epoch in range(1, 10_000):
            file.write(np.int32(epoch).tobytes() + first[4:])
    found = measured(
        tmp_path,
        "from winnow.engine.runs.norm_log import NormLog",
        'found["rows"] = len(NormLog(place / "groups").rows())',
        'found["groups"] = len(NormLog(place / "groups").frame())',
    )
    sys.stdout.write(f"\n10,000 epochs of 5,000 groups, 200 MB: {found}\n")
    assert (found["rows"], found["groups"]) == (10_000, 5_000)
    assert found["MiB"] < 450


def test_five_million_events(tmp_path: Path):
    log = tmp_path / "events.jsonl"
    write_events(log, [Event(1.5, 1, step, "digit", "train", "loss", 0.25) for step in range(10_000)])
    piece = log.read_bytes()
    with log.open("ab") as file:
        for _ in range(499):
            file.write(piece)
    found = measured(
        tmp_path,
        "from winnow.dashboard.frames.events import events\nfrom winnow.engine.runs.run import Run\n"
        "from winnow.engine.runs.events import Event, write_events",
        'found["events"] = len(events(Run(place)))',
        'write_events(place / "events.jsonl", [Event(2.0, 2, 10_000, None, "train", "loss", 0.5)])\n'
        'found["with one more"] = len(events(Run(place)))',
    )
    sys.stdout.write(f"\n5,000,000 events, {log.stat().st_size / 2**20:.0f} MiB: {found}\n")
    assert (found["events"], found["with one more"]) == (5_000_000, 5_000_001)
    assert found["MiB"] < 2500
