"""A wiring keeps what it promises: everything that is used is reached, nothing else is."""

import numpy as np
import pytest

from tests.engine.explain.planted.wiring import TASKS, truth, wiring
from winnow.data.planted import CAUSES

SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_channel_serves_the_tasks_that_can_be_reached_from_it(seed: int):
    plan = wiring(seed)
    for stage, after, link in zip(plan.stages, plan.stages[1:], plan.links, strict=False):
        reached = (link.astype(int).T @ after.uses.astype(int)) > 0
        assert np.array_equal(reached, stage.uses)


@pytest.mark.parametrize("seed", SEEDS)
def test_links_join_channels_of_one_cause_and_no_dead_ones(seed: int):
    plan = wiring(seed)
    for stage, after, link in zip(plan.stages, plan.stages[1:], plan.links, strict=False):
        readers, read = np.nonzero(link)
        assert np.array_equal(after.cause[readers], stage.cause[read])
        assert np.array_equal(link.any(0), ~stage.dead)
        assert np.array_equal(link.any(1), ~after.dead)


@pytest.mark.parametrize("seed", SEEDS)
def test_in_every_stage_the_channels_of_a_cause_serve_the_tasks_that_need_it(seed: int):
    for stage in wiring(seed).stages:
        for number, tasks in enumerate(CAUSES.values()):
            served = stage.uses[stage.cause == number].any(0)
            assert {task for task, on in zip(TASKS, served, strict=True) if on} == set(tasks)


def test_the_truth_names_every_kind_of_channel():
    plan = wiring(0)
    known = truth(plan.stages[0], "l")
    assert set(known["label"]) == {"shared", "idle", "dead", *TASKS}
    assert (known["label"] == "dead").sum() == 4
    assert known.loc[known["label"] == "idle", "cause"].isin(["k", "l"]).all()
    assert (known["used_by"].str.contains("+", regex=False) == (known["label"] == "shared")).all()


def test_another_seed_is_another_wiring():
    one, same, other = (truth(wiring(seed).stages[0], "l") for seed in (0, 0, 1))
    assert one.equals(same)
    assert not one.equals(other)


def test_no_channel_needs_to_be_dead():
    assert not any(stage.dead.any() for stage in wiring(0, dead=0).stages)
