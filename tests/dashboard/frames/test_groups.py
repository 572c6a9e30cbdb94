from collections.abc import Callable

import numpy as np

from winnow.dashboard.frames import groups
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse

MakeRun = Callable[..., Run]


def test_the_living_are_counted_and_measured_per_layer(make_run: MakeRun) -> None:
    frame = groups.layer_norms(make_run(epochs=2))
    newest = frame[frame["at"] == 2].set_index("layer")
    assert newest.loc["stem", ["alive", "total"]].tolist() == [3, 3]
    assert newest.loc["<b>deep</b>", ["alive", "total"]].tolist() == [2, 4]
    assert newest.loc["stem", "minimum"] == 1.0
    assert newest.loc["stem", "minimum"] <= newest.loc["stem", "median"] <= newest.loc["stem", "maximum"]


def test_a_dead_layer_has_no_norms(make_run: MakeRun) -> None:
    frame = groups.layer_norms(make_run(epochs=5))
    dead = frame[(frame["at"] == 5) & (frame["layer"] == "<b>deep</b>")]
    assert dead["alive"].tolist() == [0]
    assert dead[["minimum", "median", "maximum"]].isna().all(axis=None)


def test_a_channel_ends_where_it_dies(make_run: MakeRun) -> None:
    run = make_run(epochs=2)
    frame = groups.channel_norms(run, "<b>deep</b>")
    last = frame[frame["channel"] == 3]
    assert last["norm"].notna().tolist() == [True, False, False]
    assert groups.channel_record(run, "<b>deep</b>", 3)["norm"].tolist() == [2.0, 0.0, 0.0]


def test_the_layer_that_lost_most_is_named(make_run: MakeRun) -> None:
    assert groups.most_dead(make_run(epochs=0)) == "stem"
    assert groups.most_dead(make_run(epochs=5)) == "<b>deep</b>"


def test_what_does_not_exist_has_no_rows(make_run: MakeRun) -> None:
    run = make_run()
    assert groups.channel_norms(run, "nowhere").empty
    assert groups.channel_record(run, "stem", 3).empty
    assert groups.channel_record(run, "stem", -1).empty


def test_an_epoch_recorded_twice_counts_once_with_its_newest_row(make_run: MakeRun) -> None:
    run = make_run(epochs=2)
    run.norms.append(2, 20, 0.0, np.full(7, 9.0, np.float32))
    norms = groups.norms(run)
    assert norms.at.tolist() == [0, 1, 2]
    assert (norms.values[-1] == 9.0).all()


def test_the_scale_spans_only_the_living(make_run: MakeRun) -> None:
    low, high = groups.norms(make_run(epochs=3)).extent
    assert 0 < low < high == 2.0


def test_a_run_without_norms_has_an_empty_log(runs_root: object) -> None:
    run = create(parse({}))
    assert groups.norms(run).extent == (1.0, 1.0)
    assert groups.layer_norms(run).empty


def test_norms_behind_the_newest_row_are_void(make_run: MakeRun) -> None:
    run = make_run(epochs=3)
    run.norms.append(1, 10, 1e-3, np.ones(7, np.float32))
    known = groups.norms(run)
    assert known.at.tolist() == [0, 1]
    assert known.values[-1].tolist() == [1.0] * 7
