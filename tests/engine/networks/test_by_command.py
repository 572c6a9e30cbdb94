"""Every network of ours by its name in the command: trained for an epoch, pruned exactly, explained."""

from pathlib import Path

import pytest

from tests.engine.commanding import winnow_here
from tests.engine.own_nets import at_home
from winnow.engine.runs.run import Run, list_runs

TINY = [
    "--size",
    "32",
    "--train-length",
    "8",
    "--val-length",
    "4",
    "--batch-size",
    "4",
    "--epochs",
    "1",
    "--threads",
    "1",
    "--head-width",
    "8",
]
STITCHES = "residual --widths 8,12 --blocks 1,1 --coupling cross-stitch --head-stage depth=1"
WHOLE = {
    "masks": "residual --widths 8,12 --blocks 1,1 --coupling mtan --head unet",
    "resnet18 with a decoder": "resnet18 --head unet --output-stride 16",
    "heads at stages, D, frozen": "resnet34 --variant d --head-stage depth=3,seg=4 --frozen-norms",
    "resnet50, stitches": "resnet50 --coupling cross-stitch",
    "resnet101": "resnet101 --head aspp --output-stride 8",
    "vit-s": "vit-s --patch 8 --head unet",
    "vit-b": "vit-b --patch 8",
    "swin-t": "swin-t --coupling mtan",
}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    at_home(monkeypatch, tmp_path, tmp_path)
    return tmp_path / "runs"


def trained(runs: Path, *asked: str) -> Run:
    done = winnow_here("train", *TINY, *asked, "--strength", "0.03", "--optimiser", "sgd")
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = list_runs(runs)
    assert run.status.state == "done", run.status
    return run


def test_a_network_without_a_seam_trains_and_is_pruned(runs: Path) -> None:
    run = trained(runs, "--dataset", "scenes", "--tasks", "seg,depth", "--network", *STITCHES.split())
    pruned = winnow_here("prune", run.id, "--rounds", "3", "--batches", "1", "--relevance-images", "2")
    assert pruned.returncode == 0, pruned.stderr[-2000:]


@pytest.mark.study
@pytest.mark.parametrize("asked", WHOLE)
def test_a_whole_network_trains_and_is_pruned_and_explained(asked: str, runs: Path) -> None:
    run = trained(runs, "--dataset", "scenes", "--tasks", "seg,depth", "--network", *WHOLE[asked].split())
    assert len(run.groups()) > 0
    for job in (
        "prune --relevance-images 2 --rounds 3 --batches 1",
        "explain --images 2 --ablations 1 --ablation-images 2 --maps 0",
    ):
        name, *options = job.split()
        done = winnow_here(name, run.id, *options)
        assert done.returncode == 0, done.stderr[-2000:]
