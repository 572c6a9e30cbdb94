"""`winnow prune`, `explain` and `export` on a run that was really trained; a real worker does the pruning."""

import json
import shutil
from pathlib import Path

import onnxruntime
import pytest
import torch

from tests.engine.commanding import Trained, winnow, winnow_here
from winnow.engine.export import load_model, model_card
from winnow.engine.jobs.certificate_file import read_certificate
from winnow.engine.jobs.export_job import card_facts
from winnow.engine.runs.derived import find_derived_job, newest_job
from winnow.engine.runs.digests import changed_files
from winnow.engine.runs.run import Run, find

QUICK = ("--no-onnx", "--rounds", "3", "--batches", "1,4", "--threads", "1", "--json")


@pytest.fixture(scope="module")
def pruned(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Return a folder of runs with one that was trained and pruned, and what the command said."""
    root = tmp_path_factory.mktemp("pruned") / "runs"
    shutil.copytree(trained.root, root)
    done = winnow(root, "prune", "tiny", *QUICK)
    assert done.returncode == 0, done.stderr
    return root, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def run(pruned: tuple[Path, dict], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("WINNOW_RUNS", str(pruned[0]))
    return find("tiny")


def test_prune_says_what_it_removed(pruned: tuple[Path, dict], run: Run):
    said = pruned[1]
    assert (said["state"], said["run"]) == ("done", run.id)
    parameters = {row["model"]: row["value"] for row in said["measures"] if row["quantity"] == "parameters"}
    assert parameters["pruned"] < parameters["dense"]
    work = find_derived_job(run, "prune", said["prune"])
    model = load_model(work.path / "model")
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters["pruned"]
    assert set(model(torch.rand(2, 1, 8, 8))) == {"digit", "parity", "ink"}


def test_read_certificate(run: Run):
    work = newest_job(run, "prune")
    assert work is not None
    certificate = read_certificate(work)
    assert certificate.relative_error_float64 <= 1e-10
    assert len(certificate.removed) > 0
    (work.path / "certificate.json").rename(work.path / "kept.json")
    with pytest.raises(OSError, match=r"certificate\.json"):
        read_certificate(work)
    (work.path / "kept.json").rename(work.path / "certificate.json")


def test_card_facts(run: Run):
    work = newest_job(run, "prune")
    assert work is not None
    facts = card_facts(work, (1, 1, 8, 8), None, ())
    assert facts.run == run.id
    assert set(facts.metrics["task"]) == {"digit", "parity", "ink"}
    assert "data seed 0" in model_card(facts)


def test_export_writes_files_that_agree_and_overwrites_nothing(run: Run, tmp_path: Path, works_here: None):
    out = tmp_path / "out"
    done = winnow_here("export", "tiny", "--format", "safetensors,onnx,card", "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    files = {row["file"]: row for row in said["files"]}
    assert set(files) == {"architecture.json", "network.safetensors", "model.onnx", "README.md"}
    assert files["model.onnx"]["max_error"] <= 1e-4
    images = torch.rand(3, 1, 8, 8)
    session = onnxruntime.InferenceSession(out / "model.onnx")
    found = session.run(["digit"], {session.get_inputs()[0].name: images.numpy()})[0]
    with torch.no_grad():
        expected = load_model(out).eval()(images)["digit"]
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)
    assert run.id in (out / "README.md").read_text()
    shown = winnow_here("export", "tiny", "--format", "model-explorer", "-o", str(tmp_path / "shown"))
    assert shown.returncode == 0, shown.stderr
    assert "Run winnow explain" in shown.stdout
    assert "trunk" in (tmp_path / "shown" / "model_explorer_alive.json").read_text()
    assert newest_job(run, "export").spec.pruning == ""
    again = winnow_here("export", "tiny", "--out", str(out))
    assert again.returncode == 2
    assert "`--out` must be a new or an empty folder" in again.stderr


def test_bench_times_the_newest_pruning_and_says_so_in_a_sentence(run: Run, works_here: None):
    quick = ("--forms", "eager,folded", "--batches", "1,2", "--threads", "1", "--rounds", "3")
    done = winnow_here("bench", "tiny", *quick, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    work = find_derived_job(run, "bench", said["bench"])
    assert work.spec.pruning == newest_job(run, "prune").id
    speeds = work.table("speeds")
    assert set(speeds["model"]) == {"dense", "masked", "compact"}
    assert set(speeds[speeds["model"] == "masked"]["form"]) == {"eager"}
    assert said["said"][0]["sentence"].startswith("Compact runs ")
    assert {row["form"] for row in said["best"]} == {"eager", "folded"}
    assert changed_files(work.path) == {}
    assert "tables/speeds.parquet" in json.loads((work.path / "digests.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bench", "tiny", "--pruning", "../x"), "`prune` must be one of"),
        (("bench", "tiny", "--forms", "openvino"), "`forms.0`"),
        (("bench", "tiny", "--threads", "1,1"), "`threads` must name each one once"),
        (("prune", "tiny", "--criterion", "norm"), "`budget` must be given"),
        (("prune", "tiny", "--budget", "120"), "`budget`"),
        (("prune", "nothing"), "`run` must be"),
        (("export", "tiny", "--pruning", "../x"), "`prune` must be one of"),
        (("export", "tiny", "--format", "pickle"), "`formats.0`"),
        (("explain", "tiny", "--methods", "guessing"), "`methods.0`"),
    ],
)
def test_a_wrong_request_is_one_line(run: Run, arguments: tuple[str, ...], says: str):
    before = sorted(run.path.rglob("*"))
    done = winnow_here(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(run.path.rglob("*")) == before
