"""Code of the user's own that ends oddly, or changes what all code shares: the run says so by name."""

import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils import deterministic

from tests.engine.jobs.test_worker import ENDED, until
from tests.engine.own_nets import at_home
from winnow.engine.cli.own import confirmed
from winnow.engine.jobs import worker
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs import launch
from winnow.engine.runs.derived import derived_job, read
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.train import TrainSpec, parse

CODE = """
import os, random, signal, sys, warnings
import numpy as np
import torch
from torch import nn
from winnow.data.sample import Field, Sample
{at_import}


class Halves:
    name, fields = "halves", {{"light": Field(kind="regression")}}

    def __len__(self):
        return 16

    def sample(self, index):
        image = np.random.default_rng(index).random((8, 8, 1), np.float32)
        {in_sample}
        return Sample(image, {{"light": np.asarray(image.mean(), np.float32)}})


def load(split):
    return Halves()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1))
        self.light = nn.Linear(4 * 36, 1)

    def forward(self, x):
        {in_forward}
        return {{"light": self.light(self.body(x))}}


def build(fields):
    {in_build}
    return Net()


class Odd(Exception):
    def __str__(self):
        raise KeyError("no text")
"""
PLACES = ("at_import", "in_sample", "in_forward", "in_build")
LIGHT = {"light": {"kind": "regression"}}


def spec_of(folder: Path, module: str, **code: str) -> TrainSpec:
    text = CODE.format(**{place: code.get(place, "pass") for place in PLACES})
    (folder / f"{module}.py").write_text(text)
    data = {"dataset": "own", "code": f"{module}:load", "path": str(folder), "described": LIGHT, "train_length": 16}
    network = {"network": "own", "code": f"{module}:build", "path": str(folder), "trunk": ["body"]}
    asked = {"data": data, "network": network, "epochs": 2, "batch_size": 8, "threads": 1, "tasks": ["light"]}
    return confirmed(parse(asked | {"balancing": {"gradients": "parameters"}, "penalty": {"strength": 1e-3}}))


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """Train in this process with code that does something odd; return how it ended."""
    at_home(monkeypatch, tmp_path, tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = f"odd_{abs(hash(request.node.name))}"

    def train(**code: str) -> Status:
        run = create(spec_of(tmp_path, module, **code), tmp_path / "runs")
        worker._work(run, ResultWriter(run), StopRequest(run))
        return run.status

    yield train
    sys.modules.pop(module, None)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ({"at_import": "raise KeyboardInterrupt"}, r"interrupted by SIGINT .* \(odd_\d+\.py, line 7\)"),
        ({"at_import": "sys.exit(3)"}, r"`dataset` must be code that runs, got sys.exit\(3\) from odd_\d+:load in odd"),
        ({"at_import": "import nothing_of_this_name"}, "got ModuleNotFoundError: No module named 'nothing_of_this_n"),
        ({"at_import": "def broken(:"}, "got SyntaxError: invalid syntax"),
        (
            {"at_import": "torch.set_default_dtype(torch.float64)"},
            "default type of torch at float32, got float64. Take",
        ),
        (
            {"at_import": "torch.set_default_device('meta')"},
            "default device of torch at cpu, got meta. Take torch.set_d",
        ),
        ({"at_import": "torch.set_grad_enabled(False)"}, "gradients of torch at on, got off. Take torch.set_grad_ena"),
        (
            {"in_build": "raise Odd"},
            "Odd: an error whose message cannot be read, because reading it raised KeyError from odd_.*line 38",
        ),
        ({"in_build": "raise ValueError('\\n\\n' + 'x\\ud800' * 10**6)"}, "ValueError: x�x�.*… from odd_"),
        ({"in_build": "raise AssertionError"}, r"got AssertionError from odd_\d+:build in odd_\d+.py, line 38"),
        ({"in_build": "torch.set_default_dtype(torch.float64)"}, "`network` must leave the default type of torch at"),
        ({"in_sample": "image[index == 3] = 1 / (index != 3)"}, r"halves\[3\]: `sample` must be readable, got ZeroDiv"),
        ({"in_sample": "image = image + random.random()"}, "must give the same sample each time, got another image of"),
        (
            {"in_forward": "torch.set_grad_enabled(False)"},
            "`network` or `task` must leave the gradients of torch at on",
        ),
        ({"in_forward": "torch.manual_seed(0)"}, r"leave torch's random numbers alone .* got torch.manual_seed\(0\)"),
        ({"in_forward": "self.training and x @ x[:, :, :3]"}, r"RuntimeError: .* \(odd_\d+.py, line 33\)"),
        ({"in_forward": "class Other(BaseException): pass\n        if self.training: raise Other('x')"}, "Other: x"),
    ],
    ids=range(17),
)
def test_it_ends_with_a_reason_by_name(ended: Any, code: dict[str, str], said: str) -> None:
    known = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_default_device()
    status = ended(**code)
    assert status.state == "failed"
    assert len(status.message) < 2000
    assert pytest.raises(AssertionError, match=said).matches(AssertionError(status.message)), status.message
    assert (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_default_device()) == known


def test_what_changes_no_result_is_put_back(ended: Any) -> None:
    filters, threads, handler = list(warnings.filters), torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    changes = "torch.set_num_threads(3); warnings.simplefilter('error'); signal.signal(signal.SIGTERM, signal.SIG_DFL)"
    status = ended(at_import=changes, in_build="warnings.simplefilter('error'); torch.set_num_threads(2)")
    assert (status.state, status.message) == ("done", "")
    left = [own for own in warnings.filters if own in filters or "sympy" not in str(own)]  # which torch imports late
    assert (left, torch.get_num_threads()) == (filters, 1)
    assert signal.getsignal(signal.SIGTERM) is handler
    torch.set_num_threads(threads)


UNWRITTEN = {
    "in_build": "net = Net(); net.light.weight = nn.Parameter(torch.empty_like(net.light.weight)); return net",
    "in_forward": "x = x + torch.empty_like(x)",
}


@pytest.mark.parametrize("place", UNWRITTEN)
def test_memory_that_nobody_wrote_is_noticed(ended: Any, place: str) -> None:
    status = ended(**{place: UNWRITTEN[place]})
    assert status.state == "failed"
    assert "NaN" in status.message, status.message


@pytest.mark.parametrize("own", [True, False])
def test_memory_is_filled_where_code_of_the_users_own_runs(tmp_path: Path, ended: Any, own: bool) -> None:
    """Filling it takes a fifth of the time of a pass; our own code writes before it reads."""
    if own:
        assert ended().state == "done"
    else:
        run = create(parse({"data": {"dataset": "digits"}, "epochs": 1, "threads": 1}), tmp_path)
        worker._work(run, ResultWriter(run), StopRequest(run))
        assert run.status.state == "done"
    assert torch.get_deterministic_debug_mode() == 1
    assert deterministic.fill_uninitialized_memory is own


def test_a_network_that_seeds_torch_when_it_is_built_is_told(ended: Any) -> None:
    status = ended(in_build="torch.manual_seed(7)")
    assert status.state == "done"
    assert status.message == "the code of the network seeds torch: its first weights are the same whatever --seed says"


CHANGES = {
    "precision of float32 products of torch at .*, got .*mkldnn.matmul bf16": (
        lambda: torch.set_float32_matmul_precision("medium")
    ),
    "default type of torch at float32, got float64": lambda: torch.set_default_dtype(torch.float64),
    "gradients of torch at on, got off": lambda: torch.set_grad_enabled(False),
    "deterministic algorithms of torch at on \\(warn_only\\), got off": lambda: torch.use_deterministic_algorithms(
        False
    ),
}


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("said", CHANGES)
def test_a_later_job_whose_code_changes_torch_fails_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, ends: bool
) -> None:
    """The loss of a task, say, that a pruning or an explanation calls; an error that comes of it is not the cause."""
    run = create(parse({"data": {"dataset": "digits"}, "epochs": 1}), tmp_path)
    job = derived_job(run, read({"kind": "explain"}))
    strict = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()

    def explained(*given: Any) -> str:
        CHANGES[said]()
        if not ends:
            raise RuntimeError("expected Float, got Double")
        return "done"

    monkeypatch.setattr("winnow.engine.jobs.explain_job.run_explain", explained)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        worker._work(job, ResultWriter(job), StopRequest(job))
    finally:
        found = torch.are_deterministic_algorithms_enabled(), torch.get_default_dtype(), torch.is_grad_enabled()
        torch.use_deterministic_algorithms(strict[0], warn_only=strict[1])
    status = job.recorded_status()
    assert status.state == "failed"
    assert re.search(f"`network` or `task` must leave the {said}. Take torch.", status.message), status.message
    assert found == (True, torch.float32, True)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Runs whose code ends the process, each in a worker of its own, all at once."""
    folder = tmp_path_factory.mktemp("crashed")
    with pytest.MonkeyPatch.context() as patch:
        at_home(patch, folder, folder)
        runs = {
            name: create(spec_of(folder, name, **{place: code}), folder / "runs")
            for name, (place, code) in {
                "exits": ("in_build", "print('x' * 10**7); os._exit(3)"),
                "crashes": ("at_import", "os.kill(os.getpid(), signal.SIGSEGV)"),
                "forks": ("in_build", "os.chdir('/'); os.fork() or sys.exit(5)"),
            }.items()
        }
        for run in runs.values():
            launch.start(run)
        for run in runs.values():
            until(
                lambda run=run: (
                    run.status.state in ENDED and (run.status.state != "lost" or run.status.ended_with is not None)
                )
            )
    return runs


@pytest.mark.parametrize(
    ("name", "state", "said"),
    [
        ("exits", "lost", "its process ended with exit code 3, while: building the network. See log.txt"),
        (
            "crashes",
            "lost",
            "its process was ended by signal 11 (SIGSEGV), while: running your code: crashes:build, crashes:load. See",
        ),
        ("forks", "done", ""),
    ],
)
def test_a_process_that_is_gone_is_told(crashed: dict[str, Run], name: str, state: str, said: str) -> None:
    status = crashed[name].status
    assert status.state == state, status.message
    assert status.message.startswith(said)
    if name == "crashes":
        log = (crashed[name].path / "log.txt").read_text()
        assert "Fatal Python error: Segmentation fault" in log
        assert "crashes.py" in log
    if name == "forks":
        events = crashed[name].events()
        assert not events[events["split"] == "val"].duplicated(["epoch", "task", "quantity"]).any()


def test_a_job_starts_without_torchs_compiler() -> None:
    code = """
import sys, torch
from winnow.engine.jobs.run_data import compute_alike
from winnow.engine.tasks.surroundings import surroundings_kept
compute_alike()
with surroundings_kept("network"):
    pass
assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
assert "torch._dynamo" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
