from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from winnow.dashboard.frames import channel_states
from winnow.dashboard.frames.groups import Norms, norms
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse

MakeRun = Callable[..., Run]


def _norms(rows: np.ndarray, *widths: int) -> Norms:
    layers = tuple(Layer(f"layer {i}", width, 9) for i, width in enumerate(widths))
    count = len(rows)
    return Norms(layers, np.arange(count, dtype=np.int32), np.zeros(count, np.float32), rows.astype(np.float32))


MANY = st.integers(1, 4).flatmap(
    lambda rows: arrays.arrays(np.float32, (rows, 7), elements=st.sampled_from([0.0, 0.01, 0.5, 1.0, 2.0]))
)


def test_near_is_measured_against_the_largest_of_the_same_layer() -> None:
    known = _norms(np.array([[1, 1, 0.099, 0, 100, 9.9, 10.1, 50]]), 4, 4)
    assert channel_states.near(known).tolist() == [False, False, True, False, False, True, False, False]
    assert channel_states.near(_norms(np.array([[0, 0, 5]]), 2, 1)).tolist() == [False] * 3


def test_last_alive_is_the_epoch_before_a_death_that_lasted() -> None:
    known = _norms(np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 0, 2], [0, 0, 0, 1]]), 4)
    assert channel_states.last_alive(known).tolist() == [0, 2, -1, 3]


def test_an_order_starts_with_the_survivors() -> None:
    known = _norms(np.array([[1, 1, 1, 9], [0, 1, 1, 9], [0, 0, 3, 4]]), 3, 1)
    assert [part.tolist() for part in channel_states.order(known, "network")] == [[0, 1, 2], [0]]
    assert [part.tolist() for part in channel_states.order(known, "norm")] == [[2, 0, 1], [0]]
    assert [part.tolist() for part in channel_states.order(known, "death")] == [[2, 1, 0], [0]]


@given(MANY, st.sampled_from(["network", "norm", "death"]))
def test_an_order_holds_every_channel_of_its_layer_once(rows: np.ndarray, by: channel_states.Order) -> None:
    parts = channel_states.order(_norms(rows, 3, 4), by)
    assert [sorted(part.tolist()) for part in parts] == [[0, 1, 2], [0, 1, 2, 3]]


@given(MANY)
def test_every_channel_is_dead_near_or_alive(rows: np.ndarray) -> None:
    known = _norms(rows, 3, 4)
    alive, near = channel_states.newest(known) > 0, channel_states.near(known)
    assert not (near & ~alive).any()
    assert (channel_states.last_alive(known)[alive] == known.at[-1]).all()


def test_the_frame_says_what_became_of_each_channel(make_run: MakeRun) -> None:
    run = make_run(epochs=2)
    run.norms.append(3, 30, 0.0, np.array([1, 2, 0.01, 2, 0, 0, 0], np.float32))
    frame = channel_states.channels(run)
    assert frame["state"].tolist() == ["alive", "alive", "near", "alive", "dead", "dead", "dead"]
    assert frame["last_alive"].tolist() == [3, 3, 3, 3, 2, 1, 0]
    assert list(frame.columns) == ["layer", "channel", "size", "norm", "state", "last_alive"]


def test_the_engine_says_what_is_near_and_the_rule_where_its_table_is_older(make_whole_run: MakeRun) -> None:
    run = make_whole_run(epochs=2)
    assert channel_states.STATES[channel_states.states(run)].tolist() == ["near", *["alive"] * 4, "dead", "dead"]
    run.norms.append(3, 30, 0.0, np.array([0, 9, 0.5, 0.5, 0, 0, 7], np.float32))
    assert channel_states.STATES[channel_states.states(run)].tolist() == [
        "dead",
        "alive",
        "near",
        "near",
        "dead",
        "dead",
        "alive",
    ]


def test_layers_are_counted_by_state_and_measured_among_the_living(make_whole_run: MakeRun) -> None:
    frame = channel_states.layers(make_whole_run(epochs=2)).set_index("layer")
    assert frame.loc["stem", ["near", "alive", "dead", "total"]].tolist() == [1, 2, 0, 3]
    assert frame.loc["<b>deep</b>", ["near", "alive", "dead", "total"]].tolist() == [0, 2, 2, 4]
    assert frame.loc["<b>deep</b>", ["minimum", "median", "maximum"]].tolist() == pytest.approx(
        [1.5, 1.5833, 1.6667], 1e-3
    )


def test_an_alarm_holds_as_long_as_hardly_a_group_is_left(make_run: MakeRun) -> None:
    run = make_run(epochs=3)
    assert channel_states.alarms(run).empty  # one of four is left, but the engine has not said so
    write_events(run.path / "events.jsonl", [Event(0.0, 3, 30, None, "alarm", "<b>deep</b>", 1.0)])
    assert channel_states.alarms(run)[["layer", "alive", "total"]].to_numpy().tolist() == [["<b>deep</b>", 1, 4]]
    run.norms.append(4, 40, 0.0, np.ones(7, np.float32))
    assert channel_states.alarms(run).empty


def test_the_layer_that_has_lost_the_largest_share_is_warned_of_first(make_run: MakeRun) -> None:
    run = make_run(epochs=3)
    alarmed = [Event(0.0, 3, 30, None, "alarm", layer, 1.0) for layer in ("stem", "<b>deep</b>")]
    write_events(run.path / "events.jsonl", alarmed)
    run.norms.append(4, 40, 0.0, np.array([1, 0, 0, 1, 0, 0, 0], np.float32))
    assert channel_states.alarms(run)["layer"].tolist() == ["<b>deep</b>", "stem"]  # 1 of 4, 1 of 3


def test_a_dead_layer_is_counted_and_has_no_norms(make_run: MakeRun) -> None:
    frame = channel_states.layers(make_run(epochs=5)).set_index("layer")
    assert frame.loc["<b>deep</b>", "dead"] == 4
    assert np.isnan(frame.loc["<b>deep</b>", "median"])


@pytest.mark.parametrize("by", ["network", "norm", "death"])
def test_a_run_without_norms_has_no_channels(runs_root: object, by: channel_states.Order) -> None:
    run = create(parse({}))
    known = norms(run)
    assert channel_states.channels(run).empty
    assert channel_states.layers(run).empty
    assert channel_states.states(run).size == 0
    assert (
        channel_states.newest(known).size,
        channel_states.near(known).size,
        channel_states.last_alive(known).size,
    ) == (0, 0, 0)
    assert channel_states.order(known, by) == []


def test_below_says_what_would_be_zero_at_another_threshold(make_whole_run: MakeRun) -> None:
    run = make_whole_run(epochs=0)  # norms 1, 1.17, 1.33 in stem; 1.5 … 2 in deep
    now = channel_states.below(run, 0).set_index("of")
    assert now.loc[["groups", "parameters", "MACs"], "then"].tolist() == [0, 0, 0]
    found = channel_states.below(run, 80).set_index("of")["then"]  # 1 of 3 in stem, 1.5 of 4 in deep: 1.5 < 1.6
    assert found["groups"] == pytest.approx(100 * 2 / 7)
    assert found["parameters"] == pytest.approx(100 * (9 + 18) / (27 + 72))
    assert found["MACs"] == pytest.approx(100 * (6000 / 3 + 2000 / 4) / 8000)
    dead = channel_states.below(make_whole_run(), 0).set_index("of")
    assert dead.loc["groups", "now"] == dead.loc["groups", "then"] == pytest.approx(100 * 3 / 7)


def test_below_counts_no_weights_where_each_belongs_to_two_groups(make_whole_run: MakeRun) -> None:
    found = channel_states.below(make_whole_run(penalty={"groups": "coupled"}), 0).set_index("of")["now"]
    assert np.isnan(found[["parameters", "MACs"]]).all()
    assert found["groups"] > 0


def test_below_knows_no_macs_without_the_graph(make_run: MakeRun) -> None:
    found = channel_states.below(make_run(), 10).set_index("of")["then"]
    assert np.isnan(found["MACs"])
    assert found["groups"] > 0
