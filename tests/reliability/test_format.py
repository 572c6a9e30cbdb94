"""A folder that version 1 of the format wrote is read from now on, and one of another version is refused by name.

stored/version_1.zip holds a run on the digits of 2026-11-28: coupled groups, a removal while training,
a snapshot, the best epoch kept and tested; a pruning of it, and an export with a model card. It is never made anew.
"""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from winnow.engine.export import load_model
from winnow.engine.jobs import worker
from winnow.engine.jobs.certificate_file import read_certificate
from winnow.engine.jobs.restore import restored_network
from winnow.engine.runs.derived import derived_job, newest_job, read
from winnow.engine.runs.digests import note_digests
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.snapshots import list_snapshots
from winnow.engine.runs.verify import verify
from winnow.engine.specs.train import FORMAT_VERSION
from winnow.engine.training.checkpoint import newest_checkpoint

STORED = Path(__file__).parent / "stored" / "version_1.zip"


@pytest.fixture
def stored(runs_root: Path) -> Run:
    """The stored run, in a root of its own."""
    with zipfile.ZipFile(STORED) as archive:
        archive.extractall(runs_root)
    (run,) = list_runs()
    return run


def test_a_folder_of_version_1_is_read_whole(stored: Run):
    assert [found.file for found in verify(stored) if not found.whole] == []
    assert (stored.spec.name, stored.spec.format_version, stored.status.state) == ("stored", 1, "done")
    events = stored.events()
    assert events.attrs["damaged"] == 0
    assert {"train", "val", "test", "kept", "model", "constant", "removal"} <= set(events["split"])
    assert events[events["split"] == "val"]["epoch"].max() == 3
    assert stored.norms.rows()["epoch"].tolist() == [0, 1, 2, 3]
    assert set(stored.table("groups")["state"]) == {"dead", "alive"}
    assert [known.level for known in list_snapshots(stored.path)] == [80]


def test_a_network_of_version_1_is_restored_and_computes_the_same(stored: Run):
    pruning = newest_job(stored, "prune")
    assert pruning is not None
    images = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8)
    small, dense = load_model(pruning.path / "model").eval(), restored_network(stored, torch.device("cpu")).net.eval()
    for task, found in small(images).items():
        torch.testing.assert_close(found, dense(images)[task], rtol=1e-4, atol=1e-5)
    assert read_certificate(pruning).relative_error_float64 < 1e-12
    exported = newest_job(stored, "export")
    assert exported is not None
    assert (exported.path / "files" / "README.md").read_text().startswith("# stored, pruned")


def test_a_run_of_version_1_is_worked_on_and_goes_on(stored: Run, worker_settings):
    job = derived_job(stored, read({"kind": "prune", "threads": 1, "batches": [1], "rounds": 3, "onnx": False}))
    with worker_settings():
        assert worker.main([str(job.path)]) == 0, job.status.message
        assert worker.main([str(stored.path)]) == 0, stored.status.message  # from its last checkpoint to its end
    assert stored.status.state == "done"


def changed(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize(
    ("file", "read_it"),
    [
        ("spec.json", lambda run: run.spec),
        ("weights/00000036.json", lambda run: newest_checkpoint(run.path / "weights")),
        ("prune/*/spec.json", lambda run: newest_job(run, "prune").spec),
        ("prune/*/certificate.json", lambda run: read_certificate(newest_job(run, "prune"))),
        ("prune/*/model/architecture.json", lambda run: load_model(newest_job(run, "prune").path / "model")),
    ],
)
def test_a_file_of_another_version_is_refused_by_name(stored: Run, file: str, read_it: Any):
    (found,) = stored.path.glob(file)
    changed(found, format_version=FORMAT_VERSION + 1)
    with pytest.raises(ValueError, match="format_version"):
        read_it(Run(stored.path))


def test_a_copy_of_a_copy_is_whole(stored: Run, tmp_path: Path):
    again = tmp_path / stored.id
    shutil.copytree(stored.path, again)
    note_digests(again)
    assert all(found.whole for found in verify(Run(again)))
