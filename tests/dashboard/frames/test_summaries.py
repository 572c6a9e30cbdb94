import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.timing import standard_seconds
from winnow.dashboard.frames.summaries import TAIL, Summary, image_sets, summaries, summary
from winnow.data.recorded import RecordedData
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.train import parse

MakeRun = Callable[..., Run]


def test_a_summary_tells_the_newest_values(make_run: MakeRun) -> None:
    known = summary(make_run(epochs=3))
    assert known.sparsity("mac_sparsity") == 30.0
    metric, value = known.main_metrics()["depth"]
    assert (metric.name, metric.unit, value) == ("abs_error", "m", 0.25)
    assert known.alive == pytest.approx((100.0, 85.7, 71.4, 57.1))


def test_the_end_of_a_long_log_is_enough_and_its_start_is_found_where_it_is_not(make_run: MakeRun) -> None:
    run = make_run(epochs=3)
    many = [Event(0.0, 4, 31, "depth", "train", "loss", 1.0)] * (2 * TAIL // 80)
    write_events(run.path / "events.jsonl", many)
    assert summary(run).sparsity("group_sparsity") == 30.0
    write_events(run.path / "events.jsonl", [Event(0.0, 4, 40, None, "model", "group_sparsity", 44.0)])
    assert summary(run).sparsity("group_sparsity") == 44.0


def test_a_status_that_is_replaced_is_seen(make_run: MakeRun) -> None:
    run = make_run()
    assert summary(run).status.state == "done"
    status = run.recorded_status().model_copy(update={"state": "failed", "message": "full disk"})
    replace(run.path / "status.json", status.model_dump_json().encode())
    assert summary(run).status.message == "full disk"


def test_a_worker_that_died_leaves_a_lost_run(make_run: MakeRun) -> None:
    assert summary(make_run(state="running")).status.state == "lost"


def test_a_spec_that_cannot_be_read_leaves_the_run_in_the_list(make_run: MakeRun) -> None:
    run = make_run()
    (run.path / "spec.json").write_text(json.dumps({"epochs": -1}))
    (known,) = summaries()
    assert (known.spec, known.name, known.main_metrics()) == (None, run.id, {})


def test_a_run_that_has_not_started_has_no_numbers(runs_root: object) -> None:
    known = summary(create(parse({})))
    assert np.isnan(known.sparsity("group_sparsity"))
    assert known.alive == ()


def test_a_hundred_runs_take_a_fifth_of_a_second_of_processor_time(make_run: MakeRun) -> None:
    run = make_run(epochs=5)
    for place in range(100):
        shutil.copytree(run.path, run.path.with_name(f"{run.id}-{place}"))
    assert standard_seconds(summaries) < 0.2
    known = summaries()
    assert len(known) == 101
    assert {one.sparsity("group_sparsity") for one in known} == {50.0}
    assert standard_seconds(summaries) < 0.06


def test_runs_of_the_same_images_have_the_same_words_and_others_what_differs(make_run: Callable[..., Run]) -> None:
    a, b = make_run(seed=1), make_run(seed=2, data={"train_length": 40})
    c = make_run(data={"data_seed": 3, "val_length": 9})
    digits = make_run(data={"dataset": "digits"}, tasks=["digit"])
    found = image_sets(summaries())
    assert found[a.id] == found[b.id] == f"scenes, val_length {a.spec.data.val_length}, data_seed 0"
    assert found[c.id] == "scenes, val_length 9, data_seed 3"
    assert found[digits.id] == "digits"


def test_the_images_of_a_loop_of_ones_own_are_told_by_what_is_stored_of_them(runs_root: Path) -> None:
    spec = SimpleNamespace(data=RecordedData(images=2))
    for name, digest in (("a", "1" * 64), ("b", "1" * 64), ("c", "2" * 64)):
        (runs_root / name / "sample").mkdir(parents=True)
        replace_json(runs_root / name / "sample" / "val.json", {"sha256": digest})
    known = [Summary(name, spec, Status(), {}, ()) for name in ("a", "b", "c", "without", "another without")]
    found = list(image_sets(known).values())
    assert found[0] == found[1] == "recorded, stored images 11111111"
    assert len(set(found)) == 4
