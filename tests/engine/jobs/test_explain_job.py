"""A run of digits explained: every table is there, and an interrupted job goes on."""

from pathlib import Path

import pandas as pd
import pytest

from winnow.engine.explain.checks.badges import badge
from winnow.engine.explain.maps.store import SpatialStore
from winnow.engine.jobs.explain_job import run_explain
from winnow.engine.jobs.training_job import run_training
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.derived import derived_job
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.explain import ExplainSpec
from winnow.engine.specs.train import parse

TABLES = {
    "relevance", "usage", "layers", "overlaps", "heads", "affinity", "ablation", "deletion", "faithfulness", "images",
    "classes",
}  # fmt: skip
QUICK = {"images": 24, "ablation_images": 16, "ablations": 3, "bootstrap": 20, "threads": 1, "steps": 4, "maps": 0}


class Pen:
    """Writes tables into a folder; asks the job to end after the table `last` was written `times`."""

    def __init__(self, folder: Path, ending: list[bool], last: str = "", times: int = 1) -> None:
        self.folder, self.ending, self.last, self.times = folder, ending, last, times
        self.said: list[dict[str, object]] = []
        self.written: list[str] = []
        (folder / "tables").mkdir(parents=True, exist_ok=True)

    def status(self, **changes: object) -> None:
        self.said.append(changes)

    tick = status

    def remark(self, sentence: str) -> None:
        self.status(message=sentence)

    def table(self, name: str, frame: pd.DataFrame) -> None:
        self.written.append(name)
        replace(self.folder / "tables" / f"{name}.parquet", frame.to_parquet(index=False))
        if self.written.count(self.last) == self.times:
            self.ending.append(True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four epochs on the digits."""
    values = {"data": {"dataset": "digits"}, "epochs": 4, "batch_size": 64, "threads": 1}
    network = {"widths": (6, 8), "blocks": (1, 1), "head_width": 8}
    made = create(parse({**values, "network": network, "penalty": {"target": 30.0}}), tmp_path_factory.mktemp("runs"))
    writer = ResultWriter(made)
    writer.finish(run_training(made, writer, []))
    return made


def spec(**values: object) -> ExplainSpec:
    return ExplainSpec(**{**QUICK, **values})


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "tables" / f"{name}.parquet")


def test_every_table_is_written_relevance_first(run: Run, tmp_path: Path):
    pen = Pen(tmp_path, [])
    methods = ("taylor", "gradient_x_activation", "feature_ablation")
    assert run_explain(run, spec(methods=methods, layers=("trunk.stages.1.0.conv1.0", "trunk")), pen, []) == "done"
    assert {file.stem for file in (tmp_path / "tables").iterdir()} == TABLES
    assert pen.written[0] == "relevance"
    relevance, figures = read(tmp_path, "relevance"), read(tmp_path, "faithfulness")
    assert tuple(dict.fromkeys(relevance["method"])) == methods
    assert set(figures["method"]) == set(methods)
    assert {"head_randomisation", "deletion_auc", "rank_correlation"} <= set(figures["figure"])
    assert badge(figures[figures["method"] == "taylor"])[0] != "grey"
    progress = [said["progress"] for said in pen.said if "progress" in said]
    assert progress == sorted(progress)


def test_dead_groups_of_the_run_are_dead_cells(run: Run, tmp_path: Path):
    run_explain(run, spec(ablations=0, randomisations=False), Pen(tmp_path, []), [])
    norms = run.groups().assign(layer=lambda frame: frame["layer"].astype(str))
    both = read(tmp_path, "usage").merge(norms, on=["layer", "channel"])
    assert len(both) == len(norms)
    assert (both["norm"] == 0).any()
    assert (both.loc[both["norm"] == 0, "label"] == "dead").all()


def test_a_stopped_job_goes_on_with_the_ablations_it_finds(run: Run, tmp_path: Path):
    ending: list[bool] = []
    assert run_explain(run, spec(), Pen(tmp_path, ending, "ablation"), ending) == "stopped"
    first = read(tmp_path, "ablation")
    assert len(first) > 0
    first["loss"] = 7.0
    replace(tmp_path / "tables" / "ablation.parquet", first.to_parquet(index=False))
    assert run_explain(run, spec(), Pen(tmp_path, []), []) == "done"
    whole = read(tmp_path, "ablation")
    assert (whole["loss"] == 7.0).sum() == len(first)
    assert len(whole) > len(first)
    assert not whole.duplicated(["layer", "channel", "group", "task"]).any()


def test_what_a_method_refuses_is_told_and_the_rest_goes_on(run: Run, tmp_path: Path):
    pen = Pen(tmp_path, [])
    wanted = spec(methods=("taylor", "deep_lift"), of="output", ablations=2, randomisations=False, layers=("trunk",))
    assert run_explain(run, wanted, pen, []) == "done"
    assert any("`method` must not be deep_lift here" in str(said.get("message")) for said in pen.said)
    assert set(read(tmp_path, "relevance")["method"]) == {"taylor"}


def test_maps_of_the_most_relevant_channels_lie_beside_the_tables(run: Run, tmp_path: Path):
    wanted = spec(ablations=0, randomisations=False, maps=2, map_channels=1)
    assert run_explain(run, wanted, Pen(tmp_path, []), []) == "done"
    store, relevance = SpatialStore(tmp_path), read(tmp_path, "relevance")
    last = relevance[relevance["layer"] == "trunk"]
    best = {int(own.loc[own["relevance"].idxmax(), "channel"]) for _, own in last.groupby("task")}
    assert set(store.cells()["channel"]) == best
    assert store.images().shape == (2, 8, 8, 1)
    assert store.index["looked_at"] == QUICK["images"]


def test_channels_with_maps_are_asked_what_they_separate(run: Run, tmp_path: Path):
    run_explain(run, ExplainSpec(**{**QUICK, "maps": 2, "map_channels": 2}), Pen(tmp_path, []), [])
    table = pd.read_parquet(tmp_path / "tables" / "separation.parquet")
    mapped = SpatialStore(tmp_path).cells()
    assert set(zip(table["layer"], table["channel"], strict=True)) == set(mapped.itertuples(index=False, name=None))
    assert table["auroc"].between(0, 1).all()
    assert (table["low"].isna() | (table["low"] <= table["auroc"])).all()
    assert set(table["task"]) <= set(run.spec.tasks)


def test_any_channel_is_mapped_on_request(run: Run, tmp_path: Path):
    asked = {"layers": ("trunk.stages.1.0.conv1.0",), "channels": (0, 4), "maps": 1}
    run_explain(run, spec(ablations=0, randomisations=False, **asked), Pen(tmp_path, []), [])
    assert SpatialStore(tmp_path).cells().to_numpy().tolist() == [[asked["layers"][0], 0], [asked["layers"][0], 4]]
    with pytest.raises(ValueError, match="must name channels 0 to 5"):
        run_explain(run, spec(**{**asked, "channels": (6,)}), Pen(tmp_path, []), [])


def test_circuits_are_written_where_they_are_asked_for(run: Run, tmp_path: Path):
    quick = {"ablations": 0, "randomisations": False, "circuits": True, "circuit_steps": 10}
    pen = Pen(tmp_path, [])
    assert run_explain(run, spec(**quick), pen, []) == "done"
    edges, figures = read(tmp_path, "circuits"), read(tmp_path, "circuit_figures")
    tasks = list(figures["task"].unique())
    refused = set(read(tmp_path, "relevance")["task"]) - set(tasks)
    assert set(edges["task"]) == set(tasks)
    remarks = " ".join(str(one.get("message")) for one in pen.said)
    assert all(f"got {task}: its loss is" in remarks for task in refused)  # four epochs are few
    heads = edges[edges["layer"].str.startswith("heads.")]
    assert all(layer.startswith(f"heads.{task}.") for task, layer in zip(heads["task"], heads["layer"], strict=True))
    counted = edges.groupby("task", sort=False)[["kept_90", "kept_95"]].sum()
    assert figures.pivot(index="task", columns="level", values="kept").loc[tasks].to_numpy().tolist() == (
        counted.loc[tasks].to_numpy().tolist()
    )
    norms = run.groups()
    zero = norms[norms["norm"] == 0]
    dead = set(zip(zero["layer"].astype(str), zero["channel"], strict=True))
    assert dead
    assert not dead & set(zip(edges["layer"], edges["source"], strict=True))  # what is zero carries nothing


def test_circuits_that_cannot_be_are_told_and_the_rest_is_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise ValueError("`circuits` must be good.")

    monkeypatch.setattr("winnow.engine.jobs.explain_job.probe_circuits", refuse)
    pen = Pen(tmp_path, [])
    assert run_explain(run, spec(ablations=0, randomisations=False, circuits=True), pen, []) == "done"
    assert pen.said[-1]["message"] == "The circuits are missing: `circuits` must be good."
    assert not (tmp_path / "tables" / "circuits.parquet").exists()
    work = derived_job(run, spec(ablations=0, randomisations=False, circuits=True))
    writer = ResultWriter(work)
    writer.finish(run_explain(run, work.spec, writer, []))
    assert work.recorded_status().message == "The circuits are missing: `circuits` must be good."


def test_a_run_without_a_checkpoint_is_refused(tmp_path: Path):
    bare = create(parse({"data": {"dataset": "digits"}}), tmp_path)
    with pytest.raises(ValueError, match="`run` must hold an intact checkpoint"):
        run_explain(bare, spec(), Pen(tmp_path / "job", []), [])
