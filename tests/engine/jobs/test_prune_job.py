"""A real run is pruned: every table is there, and the run is as it was."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.engine.trained_digits import SMALL, untrained
from winnow.engine.export import load_model
from winnow.engine.jobs.prune_job import run_prune
from winnow.engine.jobs.restore import restored_network
from winnow.engine.jobs.sensitivity_job import run_sensitivity
from winnow.engine.jobs.session import TrainingSession
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.derived import derived_job
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.specs.sensitivity import SensitivitySpec
from winnow.engine.specs.train import parse
from winnow.engine.studies.layer_budgets import COLUMNS

PENALTY = {"target": 40.0}
SPEC = {"data": {"dataset": "digits"}, "network": SMALL, "threads": 1, "epochs": 2, "batch_size": 64}
SPEC |= {"name": "cut", "penalty": PENALTY}


class Pen:
    """Keeps what is written where a test can look."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.phases, self.progress, self.said = folder, [], [0.0], []
        folder.mkdir()

    def status(self, **changes: object) -> None:
        self.phases += [changes["phase"]] if "phase" in changes else []
        self.progress += [changes["progress"]] if "progress" in changes else []

    tick = status

    def remark(self, sentence: str) -> None:
        self.status(message=sentence)

    def table(self, name: str, frame: pd.DataFrame) -> None:
        frame.to_parquet(self.folder / f"{name}.parquet", index=False)

    def events(self, place: tuple[int, int], split: str, values: dict) -> None:
        self.said.append((place, split, values))

    def read(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / f"{name}.parquet")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = create(parse(SPEC), tmp_path_factory.mktemp("runs"))
    training, images, validation = untrained(run.spec)
    writer = ResultWriter(run)
    session = TrainingSession(training, images, validation, writer, [])
    session.begin()
    writer.finish(session.train())
    assert run.status.state == "done"
    return run


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(False)


def asked(**changes: object) -> PruneSpec:
    return PruneSpec(**{"threads": 1, "batches": (1, 4), "rounds": 3, "onnx": False, **changes})


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file() and file.name != "lock"}


def parameters(measures: pd.DataFrame) -> pd.Series:
    return measures[measures.quantity == "parameters"].set_index("model")["value"]


def test_what_the_penalty_zeroed_goes_and_nothing_else_changes(run: Run, tmp_path: Path):
    before = contents(run.path)
    pen = Pen(tmp_path / "prune")
    assert run_prune(run, asked(gather="always"), pen, []) == "done"
    metrics = pen.read("metrics").pivot_table(index=["task", "metric"], columns="model", values="value")
    pd.testing.assert_series_equal(metrics["dense"], metrics["pruned"], check_names=False, rtol=1e-3, atol=1e-3)
    measures = pen.read("measures")
    count = parameters(measures)
    assert count["pruned"] < count["dense"] == count["masked"]
    assert set(measures[measures.quantity == "latency"].batch) == {1, 4}
    removed = pen.read("removed")
    assert (removed.parameters_before - removed.parameters_after).sum() == count["dense"] - count["pruned"]
    certificate = json.loads((pen.folder / "certificate.json").read_text())
    assert certificate["relative_error_float64"] <= 1e-10
    images = torch.rand(3, 1, 8, 8)
    same = load_model(pen.folder / "model")(images)["digit"]
    torch.testing.assert_close(same, restored_network(run, images.device).net(images)["digit"])
    assert run.id in certificate["compared_with"]
    assert "gathered" in set(pen.read("reasons")["kind"])
    assert not (pen.folder / "sweep.parquet").exists()
    assert pen.progress == sorted(pen.progress)
    assert contents(run.path) == before


def test_a_budget_is_met_and_the_refit_makes_up_for_it(run: Run, tmp_path: Path):
    pen = Pen(tmp_path / "prune")
    spec = asked(criterion="norm", budget=60, budget_of="parameter", refit_epochs=2, tasks=("digit", "ink"))
    assert run_prune(run, spec, pen, []) == "done"
    saved = pen.read("saved").set_index("of")["value"]
    count = parameters(pen.read("measures"))
    assert saved["parameter"] >= 60
    assert 100 * (1 - count["pruned"] / count["dense"]) >= 60
    metrics = pen.read("metrics")
    assert set(metrics[metrics.model == "refitted"].task) == {"digit", "ink"}
    losses = metrics[(metrics.metric == "loss") & (metrics.task == "digit")].set_index("model")["value"]
    assert losses["refitted"] < losses["pruned"]
    assert metrics.set_index("metric").loc["accuracy", "higher_is_better"].all()
    assert set(pen.read("sweep").share) == set(range(0, 100, 10))
    table = pen.read("units")
    assert table["gone"].sum() > table["idle"].sum()
    assert (~table["gone"]).groupby(table["layer"]).any()["trunk.stages.1.0.add"]
    assert [(place[0], split) for place, split, _ in pen.said] == [(1, "val"), (2, "val")]
    assert pen.progress == sorted(pen.progress)
    assert "refit: epoch 2 of 2" in pen.phases


def test_a_pruning_in_blocks_keeps_whole_ones(run: Run, tmp_path: Path):
    pen = Pen(tmp_path / "prune")
    assert run_prune(run, asked(criterion="norm", budget=40, blocks="4"), pen, []) == "done"
    assert pen.read("saved").set_index("of").loc["mac", "value"] >= 40
    units = pen.read("units")
    left = (~units["gone"]).groupby(units["layer"]).agg(["sum", "size"])
    assert ((left["sum"] % 4 == 0) | (left["sum"] == left["size"])).all()
    assert (left["sum"] < left["size"]).any()


def test_a_pruning_ends_when_asked(run: Run, tmp_path: Path):
    pen = Pen(tmp_path / "prune")
    assert run_prune(run, asked(), pen, [True]) == "stopped"
    assert not (pen.folder / "certificate.json").exists()


def test_a_pruning_by_relevance_is_repaired_and_refitted_with_a_teacher(run: Run, tmp_path: Path):
    pen = Pen(tmp_path / "prune")
    recovery = {"repair": "both", "repair_images": 64, "refit_epochs": 1, "distillation": 0.5}
    assert run_prune(run, asked(criterion="relevance", budget=30, relevance_images=32, **recovery), pen, []) == "done"
    metrics = pen.read("metrics")
    assert list(metrics["model"].unique()) == ["dense", "pruned", "repaired", "refitted"]
    losses = metrics[metrics.metric == "loss"].groupby("model")["value"].sum()
    assert losses["refitted"] < losses["pruned"]
    assert losses["repaired"] < losses["pruned"]
    assert pen.read("repair")["layer"].is_unique
    compared = json.loads((pen.folder / "certificate.json").read_text())["compared_with"]
    assert compared.endswith("repaired on 64 images")
    assert pen.progress == sorted(pen.progress)
    table = pen.read("units")
    heads = table["layer"].str.startswith("heads")
    assert not table[heads]["gone"].any()
    assert table[~heads]["gone"].any()


def test_tasks_and_budgets_that_cannot_be_are_refused(run: Run, tmp_path: Path):
    with pytest.raises(ValueError, match="`tasks` must be tasks of the run"):
        run_prune(run, asked(tasks=("taste",)), Pen(tmp_path / "one"), [])
    with pytest.raises(ValueError, match="`budget` must be at most"):
        run_prune(run, asked(criterion="norm", budget=99.9), Pen(tmp_path / "two"), [])


def test_the_network_comes_back_as_it_was_left(run: Run):
    found = restored_network(run, torch.device("cpu"))
    assert (found.epoch, list(found.tasks)) == (2, list(run.spec.tasks))
    assert not found.net.training
    optimizer = found.optimizer(run.spec.optimiser, found.net)
    assert all("exp_avg" in optimizer.state[parameter] for parameter in found.net.parameters())


def test_a_damaged_checkpoint_is_passed_over_and_none_is_refused(run: Run, tmp_path: Path):
    copied = create(run.spec, tmp_path)
    with pytest.raises(ValueError, match="`run` must hold an intact checkpoint, got none"):
        restored_network(copied, torch.device("cpu"))
    (copied.path / "weights").mkdir()
    for file in (run.path / "weights").iterdir():
        (copied.path / "weights" / file.name).write_bytes(file.read_bytes())
    *_, newest = sorted((copied.path / "weights").glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    found = restored_network(copied, torch.device("cpu"))
    assert found.skipped == [newest.stem]
    assert found.epoch == 1


def test_run_sensitivity(run: Run, tmp_path: Path):
    before = contents(run.path)
    pen = Pen(tmp_path / "sensitivity")
    asked_for = SensitivitySpec(shares=(50, 90), images=64, threads=1)
    assert run_sensitivity(run, asked_for, pen, stop_requested=[]) == "done"
    assert contents(run.path) == before
    table = pen.read("sensitivity")
    assert tuple(table.columns) == COLUMNS
    assert table["task"].unique().tolist() == list(run.spec.tasks)
    assert (
        table.groupby("layer", sort=False)["share"].unique().map(list).tolist() == [[50, 90]] * table["layer"].nunique()
    )
    assert pen.read("judged_on").to_dict("records") == [
        {"step": restored_network(run, torch.device("cpu")).step, "images": 64}
    ]
    whole = table[(table["cut"] == table["unused"])]
    assert (whole["value"] == whole["dense"]).all()  # nothing new was removed
    assert pen.read("suggested")["layer"].tolist() == table["layer"].unique().tolist()
    assert pen.progress[-1] == 1
    assert run_sensitivity(run, asked_for, Pen(tmp_path / "ended"), stop_requested=[1]) == "stopped"


def test_a_pruning_follows_a_sensitivity(run: Run, tmp_path: Path):
    work = derived_job(run, SensitivitySpec(shares=(25, 75), images=64, tolerance=20, threads=1))
    writer = ResultWriter(work)
    writer.finish(run_sensitivity(run, work.spec, writer, stop_requested=[]))
    try:
        pen = Pen(tmp_path / "pruning")
        spec = asked(criterion="norm", sensitivity=work.id, tolerance=20.0)
        assert run_prune(run, spec, pen, stop_requested=[]) == "done"
        gone, suggested = pen.read("units").groupby("layer")["gone"].sum(), work.table("suggested").set_index("layer")
        assert (gone.reindex(suggested.index) == suggested["cut"]).all()
        budget = Pen(tmp_path / "budget")
        assert (
            run_prune(run, asked(criterion="norm", sensitivity=work.id, budget=30.0), budget, stop_requested=[])
            == "done"
        )
        assert budget.read("saved").set_index("of")["value"]["mac"] >= 30
        with pytest.raises(ValueError, match="`criterion` must be that of sensitivity"):
            run_prune(run, asked(criterion="relevance", sensitivity=work.id, budget=30.0), Pen(tmp_path / "a"), [])
        writer.table("judged_on", work.table("judged_on").assign(step=1))
        with pytest.raises(ValueError, match="newest checkpoint"):
            run_prune(run, asked(criterion="norm", sensitivity=work.id, budget=30.0), Pen(tmp_path / "b"), [])
        writer.status(state="stopped")
        with pytest.raises(ValueError, match="one that is done"):
            run_prune(run, asked(criterion="norm", sensitivity=work.id, budget=30.0), Pen(tmp_path / "c"), [])
        with pytest.raises(FileNotFoundError, match="`sensitivity` must be one of those"):
            run_prune(run, asked(criterion="norm", sensitivity="../x", budget=30.0), Pen(tmp_path / "d"), [])
    finally:
        work.remove()
