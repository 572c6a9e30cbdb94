"""The paper's tables as text, the path's marks by hand, and the commands as a user meets them."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from winnow.data.sample import Field
from winnow.engine.cli.main import main
from winnow.engine.runs.run import list_runs
from winnow.engine.specs.study import parse_many
from winnow.engine.studies.reporting_tables import csv_text, latex, markdown, paper_table
from winnow.engine.studies.rows import FIGURES
from winnow.engine.studies.scheduling.cluster import batch_cluster
from winnow.engine.studies.tables import comparisons_table, elbow, path_table, summary_table

SMALL = ["--dataset", "digits", "--tasks", "digit,ink", "--widths", "8,8", "--blocks", "1,1", "--epochs", "2"]


@pytest.fixture
def winnow(runs_root: Path, capsys: pytest.CaptureFixture[str]):
    """Return the command in this process: its exit code, standard output and standard error."""

    def command(*arguments: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not runs_root.exists()
        return ended.value.code, *capsys.readouterr()

    return command


def quantities() -> pd.DataFrame:
    """Two arms over three seeds: the sparse one is better by 1, 2 and 3."""
    arms = (("dense", "", 0.0, 0.0), ("sparse", "target", 70.0, 1.0))
    columns = ["arm", "subset", "balancing", "level_of", "level", "seed", "split", "quantity", "value"]
    rows = [
        [arm, "a+b", "equal", of, level, seed, "test", quantity, 10.0 * seed + better * scale * (seed + 1)]
        for seed in (0, 1, 2)
        for quantity, scale in (("seg.miou", 1.0), ("delta.dense.main", 0.5))
        for arm, of, level, better in arms
    ]
    return pd.DataFrame(rows, columns=columns)


def test_means_and_paired_differences():
    found = summary_table(quantities()).set_index(["arm", "quantity"]).loc["sparse", "seg.miou"]
    assert (found["mean"], found["n"], found["difference"], found["pairs"]) == (12.0, 3, 2.0, 3)
    assert found["std"] == pytest.approx(11.0)
    assert found["difference_low"] == pytest.approx(2 - 4.3026527 / np.sqrt(3))
    assert found["low"] < 0 < found["difference_high"]


def test_comparisons_are_paired_by_seed():
    cell = {"subset": "a+b", "balancing": "equal", "level_of": "target", "level": 70.0, "split": "test"}
    rows = [
        {**cell, "arm": arm, "seed": seed, "against": "dense", "definition": "main", "delta": 100.0 * seed + better}
        for seed in (0, 1)
        for arm, better in (("sparse", 3.0), ("small", 1.0))
    ]
    (found,) = comparisons_table(pd.DataFrame(rows)).to_dict("records")
    assert (found["arm"], found["other"], found["difference"], found["pairs"]) == ("sparse", "small", 2.0, 2)


def test_the_paper_s_table_in_three_languages():
    table = paper_table(summary_table(quantities()), {"seg": Field(kind="segmentation", classes=("a", "b"))}, "main")
    assert table.columns.tolist() == ["arm", "tasks", "balancing", "seg: mean IoU [%] ↑", "Δ_m over dense [%]", "n"]
    assert table["arm"].tolist() == ["dense", "sparse, 70 %"]
    assert table["seg: mean IoU [%] ↑"].tolist() == ["10.0 ± 10.0", "12.0 ± 11.0"]
    assert "to" in table["Δ_m over dense [%]"][1]
    assert markdown(table).splitlines()[2].startswith("| dense | a+b | equal | 10.0 ± 10.0 |")
    text = latex(table)
    assert r"sparse, 70 \% & a+b & equal & 12.0 $\pm$ 11.0" in text
    assert r"$\Delta$\_m over dense [\%]" in text
    assert csv_text(quantities()).splitlines()[1] == "dense,a+b,equal,,0.0,0,test,seg.miou,0.0"


@pytest.mark.parametrize(
    ("field", "title"),
    [
        (Field(kind="classification", classes=("a", "b")), "digit: accuracy [%] ↑"),
        (Field(kind="multilabel", classes=("a", "b")), "digit: mean accuracy over labels [%] ↑"),
    ],
)
def test_a_metric_is_called_what_it_is_for_the_kind_of_its_task(field: Field, title: str):
    summary = summary_table(quantities()).replace({"quantity": {"seg.miou": "digit.accuracy"}})
    assert title in paper_table(summary, {"digit": field}, "main").columns


def test_a_unit_is_that_of_the_field():
    summary = summary_table(quantities()).replace({"quantity": {"seg.miou": "age.mae"}})
    table = paper_table(summary, {"age": Field(kind="regression", unit="years")}, "main")
    assert "age: mean absolute error [years] ↓" in table.columns


def test_an_elbow_is_where_a_curve_bends():
    assert elbow(np.array([0.0, 30, 60, 90]), np.array([0.8, 0.79, 0.78, 0.2])) == 2
    assert elbow(np.array([0.0, 50, 100]), np.array([1.0, 0.5, 0.0])) == -1
    assert elbow(np.array([0.0, 50]), np.array([1.0, 0.0])) == -1


def path_results(seeds: int) -> pd.DataFrame:
    """A path of three points whose skills are known."""
    skills = {0.0: (0.80, 0.84), 50.0: (0.80, 0.82), 90.0: (0.4, 0.5)}
    judged = {"split": "val", "task": "a", "metric": "m", "value": 1.0}
    rows = [
        {"level_of": "target", "level": level, "seed": seed, "run": f"{level}-{seed}", **judged}
        | dict.fromkeys(FIGURES, level)
        | {"skill": skill[seed]}
        for level, skill in skills.items()
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


def test_one_standard_error_needs_seeds_and_takes_the_sparsest():
    two = path_table(path_results(2))
    assert two.loc[two["one_standard_error"], "level"].tolist() == [50.0]  # .81 is within .02 of .82, .45 is not
    assert not path_table(path_results(1))["one_standard_error"].any()
    assert two["val.a.m"].tolist() == [1.0] * 3


def test_the_plan_is_shown_and_nothing_written(winnow):
    code, output, _ = winnow("study", *SMALL, "--targets", "50", "--seeds", "0,1", "--plan", "--json")
    found = json.loads(output)
    assert (code, found["runs"], found["to_train"]) == (0, 12, 12)
    code, output, _ = winnow("path", *SMALL, "--targets", "50,70", "--warm", "--plan")
    assert output.splitlines()[1] == "sparse-target-50/digit+ink/equal/0  after dense/digit+ink/equal/0"
    assert output.splitlines()[-1] == "3 runs, 3 to train, 2 epochs each at most"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["path", *SMALL], "`targets`"),
        (["study", *SMALL, "--subsets", "digit+colour"], "`subsets`"),
        (["study", *SMALL, "--scheduler", "nowhere"], "scheduler"),
        (["study", *SMALL, "--removal", "2"], "`removal`"),
        (["study", *SMALL, "--seed", "2"], "--seed"),
        (["study", "--resume", "../x"], "`study`"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(winnow, arguments: list[str], says: str):
    code, _, errors = winnow(*arguments)
    assert code == 2
    assert says in errors
    assert len(errors.strip().splitlines()) == 1


def test_a_batch_system_is_asked_for_one_run_per_job(tmp_path: Path):
    settings = {"cluster": "slurm", "jobs": 3, "memory": "2GB", "queue": "short", "log_directory": str(tmp_path)}
    with batch_cluster(settings) as cluster:
        script = cluster.job_script()
    assert "#SBATCH -p short" in script
    assert "--nthreads 1" in script
    assert f"{sys.executable} -P -m " in script


def test_a_job_has_the_cores_of_a_run_and_trains_one_at_a_time(tmp_path: Path):
    asked = {"cluster": "slurm", "memory": "2GB", "job_extra_directives": ["--gres=gpu:2"], "cores": 2}
    settings = parse_many({"kind": "study", "base": {}, "cluster": asked}).cluster
    own = {name: value for name, value in settings.items() if name != "cores"}
    with batch_cluster(own, cores=4) as cluster:
        script = cluster.job_script()
    assert "#SBATCH --cpus-per-task=4" in script
    assert "#SBATCH --gres=gpu:2" in script
    assert script.rindex("--nthreads 1") > script.index("--nthreads 4")  # the last one counts
    with batch_cluster(settings, cores=4) as cluster:
        assert "--nthreads 2" in cluster.job_script()  # what is asked for is done


def test_a_list_of_runs_leaves_studies_out_and_reads_little(tmp_path: Path):
    for number in range(500):
        folder = tmp_path / f"20260101-000000-run-{number}"
        folder.mkdir()
        kind = "study" if number % 2 else "train"
        (folder / "spec.json").write_text(json.dumps({"kind": kind, "name": "x" * 10_000}))
    assert len(list_runs(tmp_path)) == 250
