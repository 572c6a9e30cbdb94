import os
import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.dashboard.pruning_making import CERTIFICATE, measures, write_export, write_pruning, write_table
from winnow.dashboard.frames import before_after, before_after_text, exports, prunings, what_if
from winnow.dashboard.frames.before_after import realised
from winnow.dashboard.frames.certificate import certificate
from winnow.dashboard.frames.summaries import tasks
from winnow.engine.runs.derived import DerivedJob, derived_job
from winnow.engine.runs.files import replace_json
from winnow.engine.runs.run import Run
from winnow.engine.specs.prune import PruneSpec

MakeRun = Callable[..., Run]
FRAMES = {
    "metrics": prunings.pruning_metrics,
    "measures": prunings.measures,
    "removed": prunings.removed_by_pruning,
    "reasons": prunings.reasons,
    "sweep": prunings.sweep_frame,
}


@pytest.fixture
def run(make_run: MakeRun) -> Run:
    """A run to prune."""
    return make_run()


@pytest.fixture
def pruning(run: Run) -> DerivedJob:
    """A pruning by norm, refitted."""
    return write_pruning(run, criterion="norm", budget=50, refit_epochs=3)


def test_costs_are_before_and_after_of_every_quantity_batch_and_runtime(pruning: DerivedJob) -> None:
    frame = before_after.costs(pruning)
    assert [before_after_text.title(row) for _, row in frame.iterrows()] == [
        "parameters",
        "MACs per image",
        "file size",
        "latency, eager, batch 1",
        "latency, eager, batch 16",
        "latency, ONNX Runtime, batch 1",
    ]
    assert frame["left"].tolist() == pytest.approx([25, 50, 25, 50, 40, 50])
    assert frame["left_high"].tolist()[3] == pytest.approx(60)
    assert frame["steady"].tolist() == [True] * 5 + [False]


def test_a_batch_of_one_and_torch_where_nothing_runs_are_read_as_none(pruning: DerivedJob) -> None:
    older = measures().assign(batch=lambda frame: frame["batch"].fillna(1))
    older["backend"] = older["backend"].replace({"": "torch", "eager": "torch"})
    before = before_after.costs(pruning)
    write_table(pruning, "measures", older)
    assert before_after.costs(pruning).equals(before)


def test_only_what_the_ratio_compares_decides_whether_it_is_steady(pruning: DerivedJob) -> None:
    frame = measures()
    frame.loc[(frame["model"] == "masked") & (frame["batch"] == 16), "steady"] = False
    write_table(pruning, "measures", frame)
    row = before_after.costs(pruning).iloc[4]
    assert (row["steady"], row["masked_steady"]) == (True, False)


def test_a_change_for_the_worse_is_negative_whichever_way_the_metric_counts(run: Run, pruning: DerivedJob) -> None:
    (row,) = before_after.task_change_frame(pruning, tasks(run.spec)).to_dict("records")
    assert (row["metric"], row["dense"]) == ("abs_error", 0.5)
    assert row["pruned_change"] == pytest.approx(-20)
    assert row["refitted_change"] == pytest.approx(-10)


def test_a_dropped_task_has_no_value_after(run: Run, pruning: DerivedJob) -> None:
    found = prunings.pruning_metrics(pruning)
    write_table(pruning, "metrics", found[found["model"] == "dense"])
    (row,) = before_after.task_change_frame(pruning, tasks(run.spec)).to_dict("records")
    assert np.isnan(row["pruned_change"])
    assert before_after_text.before_after(pruning, tasks(run.spec))["change"].iloc[-1] == "dropped"


def test_before_and_after_in_words(run: Run, pruning: DerivedJob) -> None:
    table = before_after_text.before_after(pruning, tasks(run.spec)).set_index("what")
    assert table.columns.tolist() == ["dense", "pruned", "refitted", "change"]  # it was not repaired
    assert table.loc["parameters"].tolist() == ["1 k", "250", "", "−75 % (4×)"]
    assert table.loc["latency, eager, batch 16"].tolist() == [
        "100 (90–120) ms",
        "40 (36–48) ms",
        "",
        "−60 % (2.5×)",
    ]
    assert table.loc["latency, ONNX Runtime, batch 1", "change"] == "machine was busy"
    assert table.loc["depth: absolute error ↓"].tolist() == ["0.5 m", "0.6 m", "0.55 m", "+0.05 m"]


def test_steps_that_remove_nothing_more_are_left_out(run: Run, pruning: DerivedJob) -> None:
    steps = what_if.steps(pruning, tasks(run.spec))
    assert steps["groups"].tolist() == [40, 50, 85]
    assert steps["depth: absolute error [m] ↓"].tolist() == pytest.approx([0.5, 0.55, 0.725])
    assert what_if.what_if_points(pruning, tasks(run.spec))["task"].unique().tolist() == ["depth"]


def test_where_only_zeros_go_there_is_no_sweep(run: Run) -> None:
    zeros = write_pruning(run)
    assert what_if.what_if_points(zeros, tasks(run.spec)).empty
    assert what_if.steps(zeros, tasks(run.spec)).empty


def test_a_pruning_that_has_found_nothing_yet_has_empty_frames(run: Run) -> None:
    waiting = derived_job(run, PruneSpec())
    assert {*FRAMES, "saved"} == set(prunings.COLUMNS)
    for name, frame in FRAMES.items():
        assert frame(waiting).empty
        assert tuple(frame(waiting)) == prunings.COLUMNS[name]
    assert before_after.costs(waiting).empty
    assert before_after.task_change_frame(waiting, tasks(run.spec)).empty
    assert prunings.saved(waiting) == {}
    assert certificate(waiting) is None


def test_a_table_that_is_replaced_is_read_again(pruning: DerivedJob) -> None:
    before = prunings.pruning_versions(pruning)
    write_table(pruning, "removed", prunings.removed_by_pruning(pruning).iloc[:1])
    assert len(prunings.removed_by_pruning(pruning)) == 1
    assert prunings.pruning_versions(pruning) != before


@pytest.mark.parametrize(
    ("changes", "holds"),
    [({}, True), ({"relative_error_float32": 2e-4}, False), ({"relative_error_float64": 2e-10}, False)],
)
def test_a_certificate_holds_within_the_limits(pruning: DerivedJob, changes: dict[str, float], holds: bool) -> None:
    replace_json(pruning.path / "certificate.json", {**CERTIFICATE, **changes})
    os.utime(pruning.path / "certificate.json", (time.time() + 5, time.time() + 5))
    found = certificate(pruning)
    assert found is not None
    assert found.holds == holds


def test_a_certificate_that_is_none_is_refused(pruning: DerivedJob) -> None:
    (pruning.path / "certificate.json").write_text('{"relative_error_float32": "small"}')
    with pytest.raises(ValueError, match=r"certificate\.json"):
        certificate(pruning)


def test_realised_is_what_the_newest_that_ended_well_saves(run: Run) -> None:
    assert realised(run) is None
    done = write_pruning(run, stem="a")
    write_pruning(run, state="failed", stem="b")
    found = realised(run)
    assert found is not None
    assert (found.pruning, found.parameters, found.macs, found.latency) == (done.id, 75, 50, pytest.approx(50))


def test_a_time_taken_on_a_busy_machine_is_not_realised(run: Run) -> None:
    busy = write_pruning(run)
    write_table(busy, "measures", measures().assign(steady=lambda frame: frame["quantity"] != "latency"))
    found = realised(run)
    assert found is not None
    assert np.isnan(found.latency)
    assert found.macs == 50


def test_the_files_of_an_export_are_those_that_lie_there(run: Run, pruning: DerivedJob) -> None:
    export = write_export(run, pruning)
    (export.path / "files" / "link").symlink_to("/etc/hostname")
    (export.path / "files" / "more.bin").write_bytes(b"12")
    frame = exports.files(export).set_index("file")
    assert sorted(frame.index) == ["README.md", "more.bin", "network.safetensors"]
    assert frame.loc["network.safetensors", "max_error"] == 0
    assert frame.loc["more.bin", "bytes"] == 2


def test_exports_are_those_of_one_pruning(run: Run, pruning: DerivedJob) -> None:
    export = write_export(run, pruning)
    other = write_pruning(run, stem="other")
    (write_export(run, other).path / "spec.json").write_text("{")
    assert [found.id for found in exports.exports(run, pruning.id)] == [export.id]
    assert exports.exports(run, other.id) == []
