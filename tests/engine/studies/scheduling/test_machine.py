"""How many runs a machine carries: never more than its cores and GPUs, and what a run takes is what it starts."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.engine.runs.run import create
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.studies.scheduling import machine
from winnow.engine.studies.scheduling.machine import Machine, cores_of, this_machine


def run(**changes: object) -> TrainSpec:
    return parse({"threads": 1, "batch_size": 64, **changes})


@pytest.mark.parametrize(
    ("threads", "devices", "cores"),
    [(1, 1, 1), (4, 1, 4), (1, 4, 4), (4, 2, 4), (5, 2, 4), (6, 4, 4)],
)
def test_a_run_takes_the_threads_of_all_its_processes_together(threads: int, devices: int, cores: int):
    assert cores_of(run(threads=threads, devices=devices)) == cores


@given(
    st.integers(1, 64),
    st.integers(0, 8),
    st.builds(
        run, threads=st.integers(1, 16), devices=st.integers(1, 8), device=st.sampled_from(["auto", "cpu", "cuda"])
    ),
)
def test_as_many_fit_as_the_scarcer_of_cores_and_gpus_carries(cores: int, gpus: int, asked: TrainSpec):
    here = Machine(cores, tuple(map(str, range(gpus))))
    count, each = here.at_a_time(asked), here.gpus_of(asked)
    assert count >= 1
    assert count == 1 or count * cores_of(asked) <= cores
    assert count * each <= gpus
    assert ((count + 1) * cores_of(asked) > cores) or (each and (count + 1) * each > gpus)


def test_gpus_are_taken_where_there_are_enough_and_the_run_may():
    here = Machine(16, ("0", "1", "2", "3"))
    assert [here.gpus_of(run(devices=devices)) for devices in (1, 2, 4, 8)] == [1, 2, 4, 0]
    assert here.gpus_of(run(devices=2, device="cpu")) == 0
    assert [here.at_a_time(run(devices=devices)) for devices in (1, 2, 3, 4)] == [4, 2, 1, 1]


def test_what_is_wanted_is_done_but_gpus_of_several_processes_are_not_shared():
    here = Machine(4, ("0", "1"))
    assert here.at_a_time(run(), 3) == 3
    assert here.at_a_time(run(devices=2), 3) == 1
    assert Machine(4).at_a_time(run(devices=2), 3) == 3


def test_what_a_run_takes_is_said():
    assert Machine(4).in_words(run(), 4) == ""
    assert Machine(4).in_words(run(devices=2), 2) == ", 2 cores each"
    assert Machine(4, ("0", "1")).in_words(run(devices=2), 1) == ", 2 cores and 2 GPUs each"
    assert Machine(2).in_words(run(threads=2), 2) == ", 2 cores each, more than its 2 cores"


def test_this_machine_has_cores_and_no_gpus_for_the_cpu():
    here = this_machine("cpu")
    assert 1 <= here.cores <= (os.cpu_count() or 1)
    assert here.gpus == ()


def test_where_gpus_are_hidden_there_are_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "DEVICES", (__file__,))  # as if there were one
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    machine.gpus.cache_clear()
    assert machine.gpus() == ()
    machine.gpus.cache_clear()


def test_a_run_says_how_many_processes_it_starts(tmp_path: Path):
    assert create(run(devices=3), tmp_path).devices == 3
