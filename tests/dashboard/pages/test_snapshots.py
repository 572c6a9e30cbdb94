"""The networks kept on the way, as the Path page lists them."""

from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making_studies import write_path
from tests.dashboard.reading import said
from winnow.dashboard.frames.snapshots import snapshot_metric_columns, snapshots
from winnow.engine.runs import snapshots as kept
from winnow.engine.runs.run import Run
from winnow.engine.runs.snapshots import DESCRIPTION, Snapshot, folder_of
from winnow.engine.runs.study import Study


def _keep(run: Run, *levels: int) -> None:
    """Write networks as the worker describes them, but for the networks themselves."""
    shares = {"group_sparsity": 41.5, "parameter_sparsity": 30.0, "mac_sparsity": 20.0}
    counted = {"parameters": 412_345, "macs": 2.5e7, "bytes": 1_700_000}
    rows = []
    for level in levels:
        metrics = {task: {"loss": 1.0, "miou": 45.6, "abs_error": 0.321} for task in run.spec.tasks}
        where = {"level": level, "of": "group", "epoch": level // 10, "step": level}
        place = folder_of(run.path, level)
        place.mkdir(parents=True)
        found = Snapshot.model_validate({**where, **shares, **counted, "metrics": metrics})
        (place / DESCRIPTION).write_text(found.model_dump_json())
        rows += [(level, task, name, value) for task, own in metrics.items() for name, value in own.items()]
    kept.snapshots_table(run.path).to_parquet(run.path / "tables" / "snapshots.parquet")
    metrics_of = pd.DataFrame(rows, columns=pd.Index(["level", "task", "metric", "value"]))
    metrics_of.to_parquet(run.path / "tables" / "snapshot_metrics.parquet")


@pytest.fixture
def path(runs_root: Path) -> Study:
    """A path of two sparse runs: the first kept two networks, the second three."""
    study = write_path(runs_root, targets=[20, 40])
    runs = study.members().set_index("level")["run"]
    _keep(Run(study.root / runs[20]), 10, 20)
    _keep(Run(study.root / runs[40]), 30, 35, 40)
    return study


def _page(study: Study) -> AppTest:
    def script() -> None:
        from winnow.dashboard.pages.path.page import page

        page()

    page = AppTest.from_function(script, default_timeout=60)
    page.query_params["study"], page.query_params["along"] = study.id, "Snapshots"
    return page.run()


def test_networks_stand_in_the_order_of_the_plan_with_what_they_reached(path: Study) -> None:
    frame = snapshots(path)
    assert frame["run"].tolist() == ["20 %", "20 %", "40 %", "40 %", "40 %"]
    assert frame["level"].tolist() == [10, 20, 30, 35, 40]
    assert frame["of"].unique().tolist() == ["groups"]
    names = list(snapshot_metric_columns(path))
    assert frame[names].iloc[0].tolist() == [45.6, 0.321]
    assert all((Path(folder) / DESCRIPTION).is_file() for folder in frame["folder"])


def test_the_page_lists_them(path: Study) -> None:
    page = _page(path)
    assert not page.exception
    table = page.dataframe[0].value
    assert len(table) == 5
    assert table["parameters"].iloc[0] == "412 k"
    assert "its zeros removed" in said(page)
    assert "Tick a row" in page.info[0].value


def test_a_path_that_kept_none_says_why(runs_root: Path) -> None:
    page = _page(write_path(runs_root, targets=[20]))
    assert not page.exception
    assert "There are no snapshots" in page.info[0].value
    assert not len(page.dataframe)


def test_a_run_that_is_gone_is_left_out(path: Study) -> None:
    runs = path.members().set_index("level")["run"]
    Run(path.root / runs[40]).remove()
    assert snapshots(path)["run"].tolist() == ["20 %", "20 %"]
