"""Every reader of a run folder, fed with damaged and hostile bytes: no exception but ours, no hang, no crash.

    python -m tests.reliability.fuzzing SEED READER=CASES ...      mutations drawn at random; prints one JSON object

A case is the bytes of one file. They are drawn from a real file: bits flipped, pieces cut, doubled and put in, values
of its JSON replaced. What takes longer than SLOW is counted as a hang; a crash of the process is one of the caller's.
"""

import json
import os
import re
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from tests.reliability.more_readers import more_readers
from tests.reliability.mutations import Mutations
from tests.reliability.reading import Reader, put, sha
from winnow.data.sample import DataError
from winnow.engine.explain.maps.store import SpatialStore
from winnow.engine.export.refusal import NotRebuildable
from winnow.engine.export.saving import load_model
from winnow.engine.jobs.certificate_file import read_certificate
from winnow.engine.jobs.network_file import fields_of, read_document
from winnow.engine.runs import launch
from winnow.engine.runs.control import read_control
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.derived import read as read_derived
from winnow.engine.runs.digests import changed_files, verified
from winnow.engine.runs.events import checked_lines, current_events, read_events
from winnow.engine.runs.log_marks import cut_to_checkpoint
from winnow.engine.runs.norm_log import NormLog
from winnow.engine.runs.provenance import of_one_state
from winnow.engine.runs.reading import DamagedFileError, checked_table, read_json
from winnow.engine.runs.run import Run
from winnow.engine.runs.snapshots import is_intact, list_snapshots, read_snapshot
from winnow.engine.runs.study import Study
from winnow.engine.runs.work_folder import kind_of
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.study import parse_many
from winnow.engine.specs.train import parse
from winnow.engine.training.checkpoint import newest_checkpoint

STORED = Path(__file__).parent / "stored" / "version_1.zip"
SLOW = 5.0  # CPU s of a case
OURS = (DamagedFileError, SpecError, NotRebuildable, DataError)


def stored_files() -> dict[str, bytes]:
    """Return the files of the run that version 1 of the format wrote."""
    with zipfile.ZipFile(STORED) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def readers() -> dict[str, Reader]:
    """Return all readers by name."""
    known = stored_files()
    derived = {name: next(f for f in known if f.startswith(f"{name}/") and f.endswith("spec.json")) for name in
               ("prune", "export")}  # fmt: skip
    model = f"{derived['prune'].rpartition('/')[0]}/model"
    certificate = f"{derived['prune'].rpartition('/')[0]}/certificate.json"
    tables = {name: known[name] for name in known if name.endswith(".parquet")}
    explain = json.dumps({"kind": "explain", "format_version": 1}).encode()
    studies = [{"kind": "study", "name": "s", "base": {"data": {"dataset": "digits"}}, "targets": [50.0]},
               {"kind": "path", "name": "p", "base": {"data": {"dataset": "digits"}}},
               {"kind": "study", "name": "s", "base": {"data": {"dataset": "digits"}}, "scheduler": "tcp://127.0.0.1:1"},
               {"kind": "study", "name": "s", "cluster": {"cluster": "slurm", "jobs": 1}}]  # fmt: skip
    layers, norms = known["groups/layers.json"], known["groups/norms.bin"]
    manifest, tensors = known["weights/00000036.json"], known["weights/00000036.safetensors"]
    snapshot = known["snapshots/80/snapshot.json"]
    return {
        "events": Reader(
            "events.jsonl",
            (known["events.jsonl"][:3000],),
            lambda own: current_events(read_events(own / "events.jsonl")),
        ),
        "lines": Reader(
            "lines", (known["events.jsonl"][:900],), lambda own: checked_lines((own / "lines").read_bytes())
        ),
        "spec": Reader("spec.json", (known["spec.json"],), read_run),
        "spec text": Reader("text", (known["spec.json"],), lambda own: parse((own / "text").read_bytes())),
        "derived": Reader(
            "spec.json",
            (*(known[file] for file in derived.values()), explain),
            lambda own: read_derived(Run(own).document()),
        ),
        "study": Reader("spec.json", tuple(json.dumps(value).encode() for value in studies), read_study),
        "status": Reader("status.json", (known["status.json"],), lambda own: Run(own).recorded_status()),
        "control": Reader(
            "control.json",
            (b'{"stop": false, "strength": 0.5, "asked": 1, "strengths": [0.5]}',),
            lambda own: read_control(own / "control.json"),
        ),
        "layers": Reader(
            "layers.json", (layers,), lambda own: NormLog(own).frame(), lambda own, _: put(own / "norms.bin", norms)
        ),
        "norms": Reader(
            "norms.bin", (norms,), lambda own: NormLog(own).frame(), lambda own, _: put(own / "layers.json", layers)
        ),
        "table": Reader("x.parquet", tuple(tables.values()), lambda own: checked_table(own / "x.parquet")),
        "members": Reader("tables/members.parquet", tuple(tables.values())[:3], lambda own: Study(own).members()),
        "manifest": Reader(
            "00000036.json",
            (manifest,),
            lambda own: (verified(own / "00000036.json"), newest_checkpoint(own)),
            lambda own, _: put(own / "00000036.safetensors", tensors),
        ),
        "marks": Reader(
            "weights/00000036.json",
            (manifest,),
            lambda own: cut_to_checkpoint(own, 36),
            lambda own, _: put(own / "events.jsonl", b""),
        ),
        "tensors": Reader(
            "00000036.safetensors",
            (tensors[:4000],),
            newest_checkpoint,
            lambda own, content: put(
                own / "00000036.json", json.dumps({"format_version": 1, "sha256": sha(content)}).encode()
            ),
        ),
        "architecture": Reader(
            "architecture.json",
            (known[f"{model}/architecture.json"],),
            load_model,
            lambda own, _: put(own / "network.safetensors", known[f"{model}/network.safetensors"]),
        ),
        "certificate": Reader(
            "certificate.json",
            (known[certificate],),
            lambda own: read_certificate(DerivedJob(own)),
            lambda own, _: certificate_tables(own, known, certificate),
        ),
        "network": Reader("network.json", (known["weights/network.json"],), lambda own: fields_of(read_document(own))),
        "snapshot": Reader("snapshots/80/snapshot.json", (snapshot,), read_snapshots),
        "digests": Reader("digests.json", (known["digests.json"],), changed_files),
        "started with": Reader("worked_with.json", (known["worked_with.json"],), of_one_state),
        "maps": Reader("spatial.safetensors", (maps(),), read_maps),
        **_others(),
    }


def _others() -> dict[str, Reader]:
    with tempfile.TemporaryDirectory() as folder:
        return more_readers(Path(folder))


def read_run(folder: Path) -> None:
    run = Run(folder)
    kind_of(folder)
    _ = run.devices
    for read in (lambda: run.spec, lambda: run.packages, run.document, run.replay):
        with suppress(*OURS):
            read()


def read_study(folder: Path) -> None:
    document = read_json(folder / "spec.json")
    if isinstance(document, dict):
        launch.asked_place(document)
    parse_many(document)


def read_snapshots(folder: Path) -> None:
    list_snapshots(folder)
    is_intact(folder / "snapshots" / "80")
    read_snapshot(folder / "snapshots" / "80")


def certificate_tables(folder: Path, known: Mapping[str, bytes], certificate: str) -> None:
    for name in ("removed", "reasons"):
        put(folder / "tables" / f"{name}.parquet", known[f"{certificate.rpartition('/')[0]}/tables/{name}.parquet"])


def maps() -> bytes:
    """Return a small file of maps, as an explanation stores them."""
    index = {"format_version": 1, "tasks": ["digit"], "images": [0], "layers": {"stem": [0, 1]}, "peaks": {}}
    arrays = {"images": np.zeros((1, 8, 8, 1), np.uint8), "activation.stem": np.zeros((2, 1, 4, 4), np.uint8)}
    return bytes(save(arrays, {"index": json.dumps(index)}))


def read_maps(folder: Path) -> None:
    store = SpatialStore(folder)
    store.cells()
    store.images()
    for layer, channel in store.cells().itertuples(index=False):
        store.has(layer, channel)
        store.activation(layer, channel)


def tried(reader: Reader, folder: Path, content: bytes) -> str:
    """Return what is wrong with how a reader takes a case, "" where it reads or refuses in our words."""
    file, began = folder / reader.file, time.process_time()
    file.write_bytes(content)
    reader.prepare(folder, content)
    try:
        reader.read(folder)
    except OURS as error:
        return "" if "\n" not in str(error) and str(error) else f"{type(error).__name__} of several lines"
    except Exception as error:  # counted: that is what is looked for
        if isinstance(error, ValueError) and re.match(r"`[^`]+`.*\Z", str(error)):
            return ""  # in our words, on one line
        return f"{type(error).__name__}: {error!s:.150}"
    took = time.process_time() - began
    return f"{took:.0f} s" if took > SLOW else ""


def fuzz(cases: int, seed: int, names: list[str] | None = None) -> dict[str, Any]:
    """Try so many cases of each reader; return the counts, and what was wrong with an example each."""
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        for number, (name, reader) in enumerate(readers().items()):
            if not names or name in names:
                found[name] = _fuzzed(reader, Path(place) / str(number), cases, seed + number)
    return found


def _fuzzed(reader: Reader, folder: Path, cases: int, seed: int) -> dict[str, Any]:
    (folder / reader.file).parent.mkdir(parents=True)
    mutations, wrong, examples, distinct = Mutations(seed), Counter[str](), {}, set()
    began, slowest = time.process_time(), 0.0
    for _ in range(cases):
        content, at = mutations.of(reader.seeds), time.process_time()
        distinct.add(hash(content))
        if said := tried(reader, folder, content):
            wrong[said[:60]] += 1
            examples.setdefault(said[:60], content[:300].decode("latin-1"))
        slowest = max(slowest, time.process_time() - at)
    return {
        "cases": cases,
        "distinct": len(distinct),
        "foreign": sum(wrong.values()),
        "kinds": dict(wrong.most_common(8)),
        "examples": dict(list(examples.items())[:4]),
        "seconds": round(time.process_time() - began, 1),
        "slowest": round(slowest, 2),
    }


def apart(work: Callable[[], object]) -> tuple[int, bytes]:
    """Do something in a process that is forked from this one; return how it ended, and its answer as JSON."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        with os.fdopen(sending, "wb") as answer:
            answer.write(json.dumps(work()).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as answer:
        content = answer.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), content


def main(seed: int, wanted: dict[str, int]) -> None:
    """Fuzz each reader in a process of its own, as a crash ends it; print one JSON object."""
    found: dict[str, Any] = {}
    for name, cases in wanted.items():
        code, answer = apart(partial(fuzz, cases, seed, [name]))
        found |= json.loads(answer) if code == 0 else {name: {"cases": cases, "foreign": 1, "kinds": {"crash": code}}}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), {name: int(cases) for name, _, cases in (said.partition("=") for said in sys.argv[2:])})
