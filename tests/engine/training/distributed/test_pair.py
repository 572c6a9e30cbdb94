"""Two processes with half of each batch come to what one comes to with all of it, and to the same bits as one another.

Two slices are summed in another order than one batch, so the last bits differ: by 1e-5 at most in one float32 sum. How
far the steps carry that depends on the case: at a group that is about to become zero, or where |error| has its kink, a
difference in the last bit becomes one of 1e-4 in a few steps, between two single processes as well. The cases are such
that it does not (7e-6 at most was seen, on three sets of instructions), though groups become zero.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.data.disk.making import write
from tests.data.folder.test_shards import TOML, sample_of, tar
from tests.engine.training.distributed.cases import CASES, NORMS, STOPPED, normalised, scored, spec_of, trained
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.training_job import run_on
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse
from winnow.engine.tasks.multilabel import LabelMeter
from winnow.engine.training.distributed.ranks import ALONE

ROOT = Path(__file__).parents[4]
PATIENCE = 840  # s: half a minute of work alone; below the timeout of a test
SUM, STEPS = 1e-5, 1e-4  # relative: one sum of float32 in another order, and many steps after one another

SHARDS = {"train-0.tar": range(3, 8), "train-1.tar": range(8, 9), "train-2.tar": range(9, 13), "val-0.tar": range(2)}
NUMBERS = [round(1 + k / 10, 4) for k in range(3, 13)]  # what sample k of the shards is labelled with

Pair = list[subprocess.Popen[str]]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pair]:
    """Return the folder in which two processes do all that is tested here, and the processes."""
    folder = tmp_path_factory.mktemp("pair")
    for name in ("straight", "stopped"):
        run = create(parse({"threads": 1, **STOPPED, "name": name}), folder)
        run.path.rename(folder / name)
    Run.open(folder / "stopped").ask(stop=True)
    write(folder / "shards" / "dataset.toml", TOML)
    for shard, numbers in SHARDS.items():
        tar(folder / "shards" / shard, {str(k): sample_of(k) for k in numbers})
    command = [sys.executable, "-P", "-W", "error", "-m", "tests.engine.training.distributed.pair"]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    pair = [
        subprocess.Popen([*command, rank, str(folder)], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in ("0", "1")
    ]
    return folder, pair


@pytest.fixture(scope="module")
def alone(started: tuple[Path, Pair]) -> dict[str, dict[str, Tensor]]:
    """Return what this one process comes to, while the two are at work: they often wait for one another."""
    return {case: trained(spec_of(case), ALONE) for case in CASES}


@pytest.fixture(scope="module")
def folder(started: tuple[Path, Pair], alone: dict[str, dict[str, Tensor]]) -> Path:
    """Return the folder once the two processes have done all."""
    folder, pair = started
    errors = [process.communicate(timeout=PATIENCE)[1] for process in pair]
    assert [process.returncode for process in pair] == [0, 9], errors
    return folder


def both(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    one, other = (load_file(folder / f"{name}-{rank}.safetensors") for rank in (0, 1))
    return one, other


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("case", CASES)
def test_the_ranks_end_with_the_same_bits(folder: Path, case: str):
    assert same(*both(folder, case))


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_train_as_one_process_does(folder: Path, alone: dict[str, dict[str, Tensor]], case: str):
    found, expected = both(folder, case)[0], alone[case]
    assert len(found["losses"]) >= 24
    torch.testing.assert_close(found["metrics"], expected["metrics"], rtol=SUM, atol=0)
    torch.testing.assert_close(found["losses"][0], expected["losses"][0], rtol=SUM, atol=0)
    torch.testing.assert_close(found["losses"], expected["losses"], rtol=STEPS, atol=0)
    torch.testing.assert_close(found["weights"], expected["weights"], rtol=1e-3, atol=1e-4)
    scale = float(expected["gramians"].abs().max())
    torch.testing.assert_close(found["gramians"], expected["gramians"], rtol=1e-2, atol=1e-4 * scale)
    largest = float(expected["norms"].max())  # a group may be zero for one and just not zero for the other
    follows = 1e-3 if "learned" in case else STEPS  # a strength that is learned follows the losses' last digits
    torch.testing.assert_close(found["norms"], expected["norms"], rtol=follows, atol=SUM * largest)
    torch.testing.assert_close(found["learned"], expected["learned"], rtol=1e-2, atol=1e-4)
    if "sgd" not in case and "learned" not in case:
        assert 0 < int((found["norms"] == 0).sum()) < len(found["norms"])


def test_a_users_own_loop_over_two_ranks_ends_with_the_same_bits(folder: Path):
    one, other = both(folder, "own loop")
    assert same(one, other)
    assert 0 < int((one["norms"] == 0).sum()) < len(one["norms"])


@pytest.mark.parametrize("name", NORMS())
def test_a_batch_norm_sees_both_slices(folder: Path, name: str):
    one, other = (
        {key.removeprefix(f"{name}."): value for key, value in found.items() if key.startswith(f"{name}.")}
        for found in both(folder, "norms")
    )
    norm, x = NORMS()[name]
    expected = normalised(norm.double(), x.double())  # torch's own float32 is farther from it
    error = 5e-2 if name == "bfloat16" else 1e-4
    for key, value in expected.items():
        if key in ("y", "gradient.x"):
            found = torch.cat([one[key], other[key]])
        else:
            found = one[key] + other[key] if key.startswith("gradient") else one[key]
        scale = float(value.detach().abs().max())
        torch.testing.assert_close(found.double(), value.double(), rtol=1e-3, atol=error * scale)


def test_weights_that_are_drawn_are_those_of_rank_0(folder: Path):
    one, other = both(folder, "drawn")
    assert torch.equal(one["weights"], other["weights"])
    assert not torch.equal(one["next"], other["next"])


def test_labels_are_judged_over_the_images_of_both(folder: Path):
    meter = LabelMeter(3)
    meter.update(*scored())
    expected = {name: torch.tensor(value) for name, value in meter.compute().items()}
    for found in both(folder, "labels"):
        assert found == expected


def test_samples_of_shards_are_read_once_by_either_process(folder: Path):
    """Ten samples in batches of four: two batches an epoch, other ones each time; validation takes all of them."""
    one, other = both(folder, "streamed")
    numbers = {name: [round(v, 4) for v in torch.cat([one[name], other[name]]).tolist()] for name in one}
    assert {name: len(one[name]) for name in one} == {"epoch 0": 4, "epoch 1": 4, "in order": 6}
    assert sorted(numbers["in order"]) == NUMBERS
    for epoch in ("epoch 0", "epoch 1"):
        assert len(numbers[epoch]) == len(set(numbers[epoch])) == 8
        assert set(numbers[epoch]) < set(NUMBERS)
    assert numbers["epoch 0"] != numbers["epoch 1"]


def test_other_weights_are_noticed(folder: Path):
    assert all(result["found"] for result in both(folder, "differing"))


def test_a_stopped_run_of_two_ends_with_the_bits_of_one_never_stopped(folder: Path):
    straight, stopped = (
        load_file(sorted((folder / name / "weights").glob("*.safetensors"))[-1]) for name in ("straight", "stopped")
    )
    assert same(straight, stopped)
    events = Run.open(folder / "stopped").events()
    assert events.query("split == 'control'")["step"].tolist() == [1]
    losses = [Run.open(folder / name).events().query("split == 'val'") for name in ("straight", "stopped")]
    assert losses[0]["value"].tolist() == losses[1]["value"].tolist()


def test_a_process_that_dies_is_noticed(folder: Path):
    assert (folder / "noticed").exists()


def test_a_run_of_two_goes_on_with_one(folder: Path):
    run = Run.open(folder / "straight")
    stem = sorted((run.path / "weights").glob("0*.json"))[-1].stem
    for file in (run.path / "weights").glob(f"{stem}.*"):
        file.unlink()  # back to the end of the first epoch
    state = run_on(run, ResultWriter(run), StopRequest(run), torch.device("cpu"), ALONE)
    assert state == "done"
    assert (run.path / "weights" / f"{stem}.json").exists()
