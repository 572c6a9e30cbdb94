from collections.abc import Callable

import numpy as np
import pytest

from winnow.dashboard.frames import events
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.quantities import SPARSITIES
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse

MakeRun = Callable[..., Run]


def test_records_are_placed_at_the_epochs_done(make_run: MakeRun) -> None:
    log = events.events(make_run(epochs=2))
    train = log[(log["split"] == "train") & (log["quantity"] == "loss")]
    np.testing.assert_allclose(train["at"], np.arange(1, 21) / 10)
    assert log.loc[log["split"] == "val", "at"].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_run_in_its_next_epoch_goes_on_at_the_same_pace(make_run: MakeRun) -> None:
    run = make_run(epochs=2)
    write_events(run.path / "events.jsonl", [Event(0.0, 3, 25, "depth", "train", "loss", 1.0)])
    assert events.events(run)["at"].iloc[-1] == pytest.approx(2.5)


def test_a_log_that_has_grown_is_read_again(make_run: MakeRun) -> None:
    run = make_run(epochs=1)
    before = len(events.events(run))
    write_events(run.path / "events.jsonl", [Event(0.0, 2, 11, None, "control", "strength", 0.5)])
    assert len(events.events(run)) == before + 1
    assert events.strength_in_force(run) == 0.5
    assert events.strength_changes(run)["strength"].tolist() == [0.5]


def test_a_window_leaves_out_older_epochs_but_not_the_constant_prediction(make_run: MakeRun) -> None:
    curves = events.curves(make_run(epochs=3), since=2.0)
    assert curves.loc[curves["split"] != "constant", "at"].min() >= 2.0
    assert (curves["split"] == "constant").sum() == 1


def test_the_frames_have_their_documented_columns(make_run: MakeRun) -> None:
    run = make_run()
    assert list(events.curves(run)) == ["at", "task", "split", "quantity", "value"]
    assert list(events.regularity(run)) == ["at", "alive", "strength"]
    assert list(events.strength_changes(run)) == ["at", "step", "strength"]
    assert list(events.sparsities(run)) == ["at", *SPARSITIES]
    assert events.regularity(run)["alive"].between(0, 100).all()


def _record(run: Run, rows: list[tuple[str | None, str, str, float]]) -> None:
    write_events(run.path / "events.jsonl", [Event(0.0, 1, 10, *row) for row in rows])


def test_weights_are_shown_only_where_they_differ_from_one(make_run: MakeRun) -> None:
    run = make_run(epochs=2)
    _record(run, [("depth", "train", "weight", 1.0)])
    assert events.weights(run).empty
    _record(run, [("depth", "train", "weight", 0.5)])
    assert events.weights(run)[["task", "weight"]].to_numpy().tolist() == [["depth", 1.0], ["depth", 0.5]]


def test_a_conflict_has_two_tasks_and_a_cosine(make_run: MakeRun) -> None:
    run = make_run(epochs=2)
    _record(run, [("depth", "conflict", "cosine:seg", -0.25), ("seg", "conflict", "cosine:a:b", 0.5)])
    frame = events.conflict_frame(run)
    assert frame.to_numpy().tolist() == [[1.0, "depth", "seg", -0.25], [1.0, "seg", "a:b", 0.5]]
    assert events.conflict_frame(run, since=1.5).empty


def test_each_layer_that_was_warned_of_is_named_once(make_run: MakeRun) -> None:
    run = make_run(epochs=2)
    _record(run, [(None, "alarm", "stem", 1.0), (None, "alarm", "stem", 1.0)])
    assert events.alarmed(run) == ["stem"]


def test_a_run_without_a_log_has_empty_frames_and_the_strength_of_its_spec(runs_root: object) -> None:
    run = create(parse({"penalty": {"strength": 0.25}}))
    frames = [events.curves(run), events.regularity(run), events.strength_changes(run), events.sparsities(run)]
    frames += [events.weights(run), events.conflict_frame(run)]
    assert [len(frame) for frame in frames] == [0] * 6
    assert events.alarmed(run) == []
    assert events.strength_in_force(run) == 0.25
    assert events.constants(run) == {}


def test_a_removal_stands_until_it_is_undone(make_run: MakeRun) -> None:
    run = make_run(epochs=3)
    log = run.path / "events.jsonl"
    write_events(log, [Event(0.0, 2, 20, None, "removal", name, 5.0) for name in ("parameters_before", "parameters")])
    assert events.removals(run)[["at", "parameters"]].to_numpy().tolist() == [[2.0, 5.0]]
    write_events(log, [Event(0.0, 2, 20, None, "control", "undo", None)])
    assert events.removals(run).empty
    assert events.sparsities(run)["at"].tolist() == [0, 1, 2]  # what came behind it is void
    write_events(log, [Event(0.0, 3, 30, None, "model", name, 7.0) for name in SPARSITIES])
    assert events.sparsities(run)["mac_sparsity"].tolist() == [0, 10, 20, 7]


def test_epochs_count_without_metrics(make_run: MakeRun) -> None:
    """A loop of the user's own may record no metrics; its sparsities say how far it came."""
    run = make_run()
    log = events.events(run)
    kept = log[log["split"] != "val"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(events, "events", lambda run: kept)
        assert events.epochs_done(run) == 3
