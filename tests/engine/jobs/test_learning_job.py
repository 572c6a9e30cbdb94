"""A run whose strength is learned: what its folder says, and where it was stopped it goes on."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import pytest
from safetensors.numpy import load_file

from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.training_job import run_training
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.digests import manifests
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse

VALUES = {
    "data": {"dataset": "digits"},
    "network": {"widths": (8, 8), "blocks": (1, 1), "head_width": 8},
    "threads": 1,
    "batch_size": 64,
    "epochs": 2,
    "penalty": {"strength": "auto", "learned": "layer", "learn_every": 2},
}


def trained(root: Path, stopped: bool = False, **changes: object) -> Run:
    run = create(parse({**VALUES, **changes}), root)
    for stops in (True, False) if stopped else (False,):
        run.ask(stop=stops)
        writer = ResultWriter(run)
        writer.finish(run_training(run, writer, StopRequest(run)))
        assert run.recorded_status().state == ("stopped" if stops else "done")
    return run


@pytest.fixture(scope="module", autouse=True)
def settings(worker_settings: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Let jobs set up the process as a worker does; afterwards it is as before."""
    with worker_settings():
        yield


@pytest.fixture(scope="module")
def straight(settings: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("straight"))


def test_the_log_tells_the_strength_and_what_moved_it(straight: Run):
    events = straight.events().query("split == 'train'")
    named = {name: own["value"].to_numpy() for name, own in events[events["task"].isna()].groupby("quantity")}
    assert len(named["strength"]) > 10
    assert len(set(named["strength"])) > 5
    assert {"held_out_cost", "held_out_regret", "held_out_error"} <= set(named)
    assert (named["held_out_error"][5:] > 0).all()
    assert (named["strength_least"] <= named["strength_most"]).all()
    assert straight.events().query("quantity == 'strength_max'")["value"].item() > 0


def test_the_steps_are_those_of_the_images_that_are_left(straight: Run):
    images = straight.spec.data.length("train") or 0
    assert straight.events()["step"].max() == 2 * ((images - round(0.1 * images)) // 64)


def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_weights_and_strengths(straight: Run, tmp_path: Path):
    resumed = trained(tmp_path, stopped=True)
    one, other = (
        load_file(manifests(run.path / "weights")[-1].with_suffix(".safetensors")) for run in (straight, resumed)
    )
    assert all((one[name] == other[name]).all() for name in one if name.startswith("net."))
    strengths = [
        run.events().query("split == 'train' and quantity == 'strength'")[["step", "value"]].reset_index(drop=True)
        for run in (straight, resumed)
    ]
    pd.testing.assert_frame_equal(*strengths)


def test_few_measurements_are_said(tmp_path: Path):
    run = create(parse({**VALUES, "epochs": 1, "penalty": {"strength": "auto", "learn_every": 8}}), tmp_path)
    run_training(run, ResultWriter(run), StopRequest(run))
    assert "learned from 1 measurement only" in run.recorded_status().message


def test_images_that_do_not_suffice_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match="`held_out` must give both parts a full batch of 64"):
        trained(tmp_path, penalty={"strength": "auto", "held_out": 0.01})
