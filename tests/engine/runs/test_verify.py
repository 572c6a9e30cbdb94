"""A damaged file is found, and a whole run has none."""

import json
from pathlib import Path

import numpy as np
import pytest

from winnow.engine.runs.digests import digest
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.verify import verify
from winnow.engine.specs.train import TrainSpec


@pytest.fixture
def run(runs_root: Path) -> Run:
    """A run as its worker leaves it, with one checkpoint."""
    made = create(TrainSpec(name="whole"))
    write_events(made.path / "events.jsonl", [Event(1.0, 0, 0, None, "model", "group_sparsity", 0.0)])
    made.norms.begin([Layer("stem", 3, 9)])
    made.norms.append(0, 0, 1e-3, np.ones(3, np.float32))
    weights = made.path / "weights"
    weights.mkdir()
    replace(weights / "00000010.safetensors", b"tensors")
    replace_json(weights / "00000010.json", {"bytes": 7, "sha256": digest(b"tensors")})
    return made


def test_verify_finds_nothing_wrong_with_a_whole_run(run: Run):
    findings = verify(run)
    assert [finding.file for finding in findings if not finding.whole] == []
    assert [finding.file for finding in findings][-1] == "weights/00000010.safetensors"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("weights/00000010.safetensors", b"tensorz"),
        ("weights/00000010.json", b"[]"),
        ("spec.json", b'{"epochs": -1}'),
        ("status.json", b"{"),
        ("events.jsonl", b'{"epoch": "one"}\n'),
        ("groups/layers.json", b"{"),
    ],
)
def test_verify_names_the_damaged_file(run: Run, file: str, content: bytes):
    (run.path / file).write_bytes(content)
    damaged = [finding.file for finding in verify(Run.open(run.path)) if not finding.whole]
    expected = {"weights/00000010.json": "weights/00000010.safetensors", "groups/layers.json": "groups/norms.bin"}
    assert damaged == [expected.get(file, file)]


def test_verify_wants_the_whole_of_a_table(run: Run):
    (run.path / "tables").mkdir()
    (run.path / "tables" / "groups.parquet").write_bytes(b"PAR1 and no more")
    assert [finding.file for finding in verify(run) if not finding.whole] == ["tables/groups.parquet"]
    assert json.loads((run.path / "spec.json").read_text())["name"] == "whole"


def test_verify_looks_at_what_was_kept_before_a_removal(run: Run):
    kept = run.path / "weights" / "before"
    kept.mkdir()
    replace(kept / "00000005.safetensors", b"tensorz")
    replace_json(kept / "00000005.json", {"bytes": 7, "sha256": digest(b"tensors")})
    assert [finding.file for finding in verify(run) if not finding.whole] == ["weights/before/00000005.safetensors"]
