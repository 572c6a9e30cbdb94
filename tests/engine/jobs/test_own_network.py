"""A network of the user's own, from the command line: trained, pruned, explained, exported; or refused by name."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.commanding import winnow_here
from tests.engine.own_nets import QUICK, at_home, project
from winnow.dashboard.frames.summaries import summary
from winnow.engine.cli.main import train_command
from winnow.engine.cli.options import spec_of
from winnow.engine.cli.own import confirmed
from winnow.engine.jobs.restore import restored_network
from winnow.engine.jobs.run_data import batches, fields
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.networks.multitask import build_network
from winnow.engine.runs.derived import DerivedJob, derived_job, read
from winnow.engine.runs.run import Run, create, list_runs
from winnow.engine.specs.jobs import JOBS
from winnow.engine.specs.study import parse_many
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.studies.plan import plan
from winnow.engine.studies.spec_hash import KnownRuns, document_hash, spec_hash
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.forward import forward
from winnow.engine.training.loop import begin

ASKED = ["train", *QUICK, "--network", "mypkg.nets:build", "--network-option", "width=4", "--groups", "coupled"]


def asked_for(*arguments: str) -> TrainSpec:
    """Return the spec that a command describes."""
    context = train_command.make_context("train", list(arguments[1:]))
    elsewhere = ("as_json", "before_removal", "replay", "resume")
    return spec_of({name: value for name, value in context.params.items() if name not in elsewhere})


def trained(run: Run) -> str:
    """Train a run in this process, up to its end or a stop; return its state."""
    writer = ResultWriter(run)
    state: str = JOBS["train"].run.load()(run, writer, StopRequest(run))
    writer.finish(state)
    return state


def derived(run: Run, **asked: Any) -> DerivedJob:
    """Do a job on the result of a run in this process."""
    work = derived_job(run, read(asked))
    writer = ResultWriter(work)
    writer.finish(JOBS[work.kind].run.load()(run, work.spec, writer, False))
    assert work.recorded_status().state == "done"
    return work


def validation_images(spec: TrainSpec) -> Batches:
    tasks = build_tasks(fields(spec), spec.tasks)
    return batches(spec, tasks, "val", torch.device("cpu"), lambda phase: None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project and one trained run of it."""
    folder = tmp_path_factory.mktemp("own")
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypkg"]:
        del sys.modules[name]  # of another test's folder
    with pytest.MonkeyPatch.context() as patch:
        at_home(patch, folder, project(folder))
        done = winnow_here(*ASKED, "--strength", "0.05", "--name", "own", "--json")
        assert done.returncode == 0, done.stderr
    return folder


def test_it_is_recorded_with_its_folder_options_and_digest(home: Path) -> None:
    run = list_runs(home / "runs")[-1]
    document = json.loads((run.path / "spec.json").read_text())
    assert document["network"]["code"] == "mypkg.nets:build"
    assert document["network"]["path"] == str(home / "project")
    assert document["network"]["options"] == {"width": 4}
    made = document["made_with"]["network"]
    assert made["code"] == "mypkg.nets:build"
    assert len(made["digest"]) == 16
    groups = run.groups()
    assert list(dict.fromkeys(groups["layer"])) == ["first.0", "second"]  # what all tasks read
    assert set(run.table("components")["component"]) == {
        "first",
        "second",
        "out.digit",
        "out.parity",
        "out.ink",
        "total",
    }


def test_its_result_needs_neither_the_code_nor_its_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = home / "elsewhere"
    (elsewhere / "runs").mkdir(parents=True)
    run = next(found for found in list_runs(home / "runs") if found.spec.name == "own")
    shutil.copytree(run.path, elsewhere / "runs" / run.id)
    at_home(monkeypatch, elsewhere, elsewhere)
    monkeypatch.setenv("WINNOW_TRUSTED", str(elsewhere / "none.json"))
    (home / "project").rename(home / "away")
    try:
        found = Run(elsewhere / "runs" / run.id)
        assert found.spec.network.network == "own"
        pruned = derived(found, kind="prune", threads=1, rounds=3)
        assert pruned.table("metrics")["model"].nunique() == 2
        explained = derived(found, kind="explain", threads=1, images=8, maps=2, ablations=2)
        assert set(explained.table("heads")["layer"]) == {"out.digit", "out.parity", "out.ink"}
        assert not explained.table("faithfulness").empty
        exported = derived(found, kind="export", pruning=pruned.id, formats=["safetensors", "card"])
        assert len(exported.table("files")) == 3
        resumed = winnow_here("train", "--replay", "own", "--json")
        assert resumed.returncode == 2
        assert "`network` must name a module in" in resumed.stderr
    finally:
        (home / "away").rename(home / "project")


def test_no_reader_runs_the_code(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(monkeypatch, home, home / "project")
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypkg"]:
        monkeypatch.delitem(sys.modules, name)
    assert winnow_here("runs", "list", "--json").returncode == 0
    run = next(found for found in list_runs(home / "runs") if found.spec.name == "own")
    assert winnow_here("runs", "show", run.id).returncode == 0
    assert summary(run).spec == run.spec
    assert KnownRuns(home / "runs").done(run.spec) is not None
    study = {"kind": "path", "name": "p", "base": run.spec.model_dump(), "targets": (50.0,)}
    assert len(plan(parse_many(study))) == 2
    assert not [name for name in sys.modules if name.partition(".")[0] == "mypkg"]
    gone = run.spec.model_copy(update={"network": run.spec.network.model_copy(update={"path": str(home / "gone")})})
    assert KnownRuns(home / "runs").done(gone) is None


def test_code_named_by_a_run_folder_alone_is_not_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(monkeypatch, home, home)
    monkeypatch.setenv("WINNOW_TRUSTED", str(home / "another.json"))
    spec = next(found for found in list_runs(home / "runs") if found.spec.name == "own").spec
    tasks = build_tasks(fields(spec), spec.tasks)
    with pytest.raises(ValueError, match="`network` must be code that you confirmed on this machine"):
        build_network(spec.network, tasks, 1)
    confirmed = winnow_here("trust", "own", "--yes")
    assert confirmed.returncode == 0, confirmed.stderr
    assert "mypkg/blocks.py" in confirmed.stdout
    assert "first.0.weight" in build_network(spec.network, tasks, 1).state_dict()


def test_a_change_of_any_file_that_it_imports_is_another_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(monkeypatch, home, home)
    run = next(found for found in list_runs(home / "runs") if found.spec.name == "own")
    document = json.loads((run.path / "spec.json").read_text())
    assert document_hash(document) == spec_hash(run.spec)
    moved = run.spec.model_copy(update={"network": run.spec.network.model_copy(update={"path": "/nowhere"})})
    assert document_hash({**document, **moved.model_dump(mode="json")}) == document_hash(document)
    blocks = home / "project" / "mypkg" / "blocks.py"
    before = blocks.read_text()
    try:
        blocks.write_text(before + "\n# another\n")
        assert document_hash(document) != spec_hash(run.spec)
    finally:
        blocks.write_text(before)


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        ("wrong_shape", {}, r"`digit` must be an output of shape \(B, 10\), for classification, got \(B, 3\)"),
        ("missing", {}, "`network` must return an output for each task, got none for ink beside digit, parity"),
        ("extra", {}, "`network` must return outputs of the tasks digit, parity, ink alone, got aux too"),
        ("nothing", {}, "`ink` must be an output of floating-point numbers, got NoneType"),
        ("double", {}, "`network` must hold float32 numbers, as its images are, got float64. Build it in float32"),
        ("no_module", {}, "`network` must be a function that returns a torch module, got dict"),
        ("gone", {}, "`network` must name something in mypkg.nets, got gone"),
        ("build", {"options": {"depth": 3}}, "`network_option` must suit mypkg.nets:build"),
        (
            "build",
            {"trunk": ["body"]},
            "`trunk` must name modules of the network, such as first, second, out, got body",
        ),
        ("build", {"tasks": ["digit"]}, "`trunk` must be named for scope trunk with the single task digit"),
    ],
)
def test_what_does_not_fit_is_said_before_the_first_step(
    home: Path, monkeypatch: pytest.MonkeyPatch, function: str, options: dict[str, Any], said: str
) -> None:
    at_home(monkeypatch, home, home)
    tasks = {"tasks": options.pop("tasks")} if "tasks" in options else {}
    network = {"network": "own", "code": f"mypkg.nets:{function}", "path": str(home / "project"), **options}
    spec = parse({"data": {"dataset": "digits"}, "network": network, "balancing": {"gradients": "parameters"}, **tasks})
    confirmed(spec)
    images = validation_images(spec)
    with pytest.raises(ValueError, match=said):
        begin(spec, build_network(spec.network, images.tasks, images.channels), images.tasks, images)


def test_it_is_resumed_with_the_same_bits_also_with_rates_of_its_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_home(monkeypatch, home, home / "project")
    asked = ["--network", "mypkg.nets:build", "--rate", "first.*=0.5", "--strength", "0.01"]
    spec = asked_for("train", *QUICK, *asked)
    whole, parted = create(spec, home / "resumed"), create(spec, home / "resumed")
    assert trained(whole) == "done"
    parted.ask(stop=True)
    assert (trained(parted), parted.status.step) == ("stopped", 1)
    parted.ask(stop=False)
    assert trained(parted) == "done"
    states = [restored_network(run, torch.device("cpu")).net.state_dict() for run in (whole, parted)]
    assert all(torch.equal(one, other) for one, other in zip(*(state.values() for state in states), strict=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--network", "mypkg.gone:build"], "`network` must name a module in"),
        (["--network", "os:system"], "`network` must name a module in"),
        (["--network", "mypkg.nets:build", "--widths", "8"], "`widths` is not an option of a network of your own"),
        (["--network-option", "width=4"], "`network-option` must come with --network MODULE:FUNCTION"),
        (["--network", "mypkg.nets:build", "--network-option", "4"], "an option must be written as width=64"),
        (["--network", "mypkg.nets:build", "--balancing", "mgda"], "`balancing` must be one of equal, static"),
        (["--network", "mypkg.nets:build", "--gradients", "features"], "`gradients` must be parameters"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_and_nothing_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    at_home(monkeypatch, home, home / "project")
    before = len(list_runs(home / "runs"))
    done = winnow_here("train", *QUICK, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(list_runs(home / "runs")) == before


def test_data_of_ones_own_is_described_in_the_command_and_loaded_in_the_worker(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_home(monkeypatch, home, home / "project")
    asked = ["--dataset", "mypkg.halves:load", "--dataset-option", "length=32", "--network", "mypkg.nets:plain"]
    spec = asked_for("train", *asked, "--batch-size", "16", "--epochs", "1", "--threads", "1")
    assert spec.tasks == ("side", "light")
    assert spec.data.fields["side"].weights == (1.0, 2.0)
    assert spec.data.length("train") == 32
    run = create(spec, home / "halves")
    assert trained(run) == "done"
    assert run.spec.data.given == {"length": 32}
    pruned = derived(run, kind="prune", threads=1, rounds=3, onnx=False, batches=[1], refit_epochs=1)
    assert "refitted" in set(pruned.table("metrics")["model"])
    changed = spec.data.model_copy(update={"content": "33 of 8"})
    with pytest.raises(ValueError, match="`dataset` must be the data that the run was created with"):
        changed.load("train")
    with pytest.raises(ValueError, match="`dataset` must have the fields that the run was created with"):
        spec.data.model_copy(update={"described": {}}).load("val")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dataset", "mypkg.halves:listed"], "`dataset` must give an object with name, fields, a length and sample"),
        (["--dataset", "mypkg.halves:unnamed"], "`fields` must map names to winnow.data.sample.Field"),
        (["--dataset", "mypkg.halves:load", "--dataset-option", "a=3"], "`dataset_option` must suit mypkg.halves:load"),
        (["--dataset", "mypkg.halves:load", "--size", "8"], "`size` is not an option of a dataset of your own"),
        (["--dataset-option", "length=4"], "`dataset-option` must come with --dataset MODULE:FUNCTION"),
    ],
)  # fmt: skip
def test_wrong_data_is_refused_in_the_command(
    home: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    at_home(monkeypatch, home, home / "project")
    before = len(list_runs(home / "runs"))
    done = winnow_here("train", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(list_runs(home / "runs")) == before


def test_a_network_that_only_its_code_can_hold_says_so_and_needs_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_home(monkeypatch, home, home / "project")
    spec = asked_for("train", *QUICK, "--network", "mypkg.nets:odd")
    run = create(spec, home / "odd")
    assert trained(run) == "done"
    document = json.loads((run.path / "weights" / "network.json").read_text())
    assert "its network cannot be stored without your code" in document["code"]
    cpu = torch.device("cpu")
    assert type(restored_network(run, cpu).net).__name__ == "Odd"
    monkeypatch.setenv("WINNOW_TRUSTED", str(home / "others.json"))
    with pytest.raises(ValueError, match="`network` must be code that you confirmed on this machine"):
        restored_network(run, cpu)


def test_another_form_in_training_mode_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(monkeypatch, home, home)
    network = {"network": "own", "code": "mypkg.nets:trainer", "path": str(home / "project")}
    spec = parse({"data": {"dataset": "digits"}, "network": network, "balancing": {"gradients": "parameters"}})
    confirmed(spec)
    images = validation_images(spec)
    training = begin(spec, build_network(spec.network, images.tasks, images.channels), images.tasks, images)
    training.net.train()
    with pytest.raises(ValueError, match="in training mode as in evaluation mode, got tuple"):
        forward(training, next(iter(images.in_order())))


def test_a_network_without_gradients_is_refused_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(monkeypatch, home, home / "project")
    run = create(
        asked_for("train", *QUICK, "--network", "mypkg.nets:detached", "--strength", "0.01"), home / "detached"
    )
    with pytest.raises(ValueError, match="got no gradient for any of them. Take out detach"):
        trained(run)
