"""A loop of the user's own as a run folder: what it holds, what is obeyed, how it ends, what is refused."""

import math
import re
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.engine.own_loop import TASKS, Images, Net, own_loop
from winnow.engine import (
    Counts,
    GroupLasso,
    Kept,
    Proximal,
    Targeted,
    coupled_groups,
    input_groups,
    output_groups,
    record,
)
from winnow.engine.jobs import recording
from winnow.engine.jobs.restore import restored_network
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs import launch
from winnow.engine.runs.derived import DerivedJob, derived_job, read
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.verify import verify
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.jobs import JOBS
from winnow.engine.specs.study import parse_many


def derived(run: Run, **asked: Any) -> DerivedJob:
    """Do a job on the result of a run in this process."""
    work = derived_job(run, read(asked))
    writer = ResultWriter(work)
    writer.finish(JOBS[work.kind].run.load()(run, work.spec, writer, False))
    return work


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Net, Proximal]:
    return own_loop(tmp_path_factory.mktemp("mine"))


def test_it_is_a_run_folder_like_any_other(mine: tuple[Run, Net, Proximal]) -> None:
    run, _, proximal = mine
    status = run.status
    assert (status.state, status.epoch, status.epochs, status.step, status.progress) == ("done", 3, 3, 12, 1.0)
    assert all(check.whole for check in verify(run))
    events = run.events()
    assert sorted(events[events["split"] == "val"]["quantity"].unique()) == sorted(
        ["accuracy", "balanced_accuracy", "loss", "mae", "rmse", "r2"]
    )
    assert events[events["split"] == "val"]["epoch"].unique().tolist() == [0, 1, 2, 3]
    assert {"group_sparsity", "removable_parameters"} <= set(events[events["split"] == "model"]["quantity"])
    assert {"loss", "alive", "strength", "images_per_second"} <= set(events[events["split"] == "train"]["quantity"])
    groups = run.groups()
    assert groups["norm"].to_numpy() == pytest.approx(torch.cat(proximal.norms).detach().numpy())
    assert len(run.table("groups")) == len(groups)
    assert run.spec.penalty.groups == "coupled"
    assert run.spec.optimiser.optimiser == "adamw"


def test_losses_belong_to_the_epoch_of_their_steps(mine: tuple[Run, Net, Proximal]) -> None:
    rows = mine[0].events().query("split == 'train'")
    assert set(zip(rows["epoch"], rows["step"], strict=True)) >= {(1, 1), (1, 4), (2, 8), (3, 12)}
    assert (rows["epoch"] == (rows["step"] + 3) // 4).all()


def test_its_network_is_there_without_its_code(mine: tuple[Run, Net, Proximal]) -> None:
    run, net, proximal = mine
    restored = restored_network(run, torch.device("cpu"))
    images = torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        for task, output in net.eval()(images).items():
            assert torch.equal(restored.net(images)[task], output)
    assert type(restored.net) is not Net
    moments = restored.optimizer(run.spec.optimiser, restored.net).state_dict()["state"]
    own = proximal.optimizer.state_dict()["state"]
    names = [name for name, _ in net.named_parameters()]
    for index, (name, _) in enumerate(restored.net.named_parameters()):
        assert torch.equal(moments[index]["exp_avg"], own[names.index(name)]["exp_avg"])


def test_it_is_pruned_and_explained_without_the_users_data(mine: tuple[Run, Net, Proximal]) -> None:
    run, _, _ = mine
    pruned = derived(run, kind="prune", threads=1, rounds=3, onnx=False, batches=[1])
    metrics = pruned.table("metrics")
    dense = metrics[(metrics["model"] == "dense") & (metrics["metric"] == "accuracy")]["value"].item()
    events = run.events()
    last = events[(events["split"] == "val") & (events["quantity"] == "accuracy")]["value"].iloc[-1]
    assert dense == pytest.approx(last)  # the 48 validation images are all in the sample
    explained = derived(run, kind="explain", threads=1, images=16, maps=2, ablations=2, bootstrap=10)
    assert set(explained.table("relevance")["task"]) == set(TASKS)
    assert set(explained.table("heads")["layer"]) == {"side", "light"}
    with pytest.raises(ValueError, match="`split` must be val for a recorded run, got train"):
        derived(run, kind="prune", threads=1, refit_epochs=1, onnx=False)


def test_it_is_timed_without_the_form_that_needs_training_images(mine: tuple[Run, Net, Proximal]) -> None:
    run, _, _ = mine
    pruning = derived(run, kind="prune", threads=1, rounds=3, onnx=False, batches=[1])
    work = derived(run, kind="bench", pruning=pruning.id, forms=["eager", "int8"], batches=[1], threads=[1], rounds=3)
    left_out = work.table("left_out").set_index("form")["reason"]
    assert left_out["int8"] == "a recorded run holds no training images, on which the ranges of int8 are measured"
    assert set(work.table("speeds")["form"]) == {"eager"}
    with pytest.raises(ValueError, match="`forms` must hold another one than int8 for this run"):
        derived(run, kind="bench", pruning=pruning.id, forms=["int8"])


def test_without_tasks_and_loader_what_needs_them_says_so(tmp_path: Path) -> None:
    run, _, _ = own_loop(tmp_path, 1, tasks=None, loader=None, batch_size=None)
    assert run.spec.data.fields["side"].kind == "unspecified"
    events = run.events()
    assert events[events["split"] == "val"]["value"].tolist() == [1.0]  # what the loop gave
    pruned = derived(run, kind="prune", threads=1, rounds=3, onnx=False, batches=[1])
    assert pruned.recorded_status().state == "done"
    with pytest.raises(ValueError, match="`of` must be output where a task has no known loss"):
        derived(run, kind="explain", threads=1)


def test_the_page_is_obeyed(tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def resumed(run: Run) -> None:
        end = time.monotonic() + 60
        while not run.status.paused and time.monotonic() < end:
            time.sleep(0.02)
        asked["paused"] = run.status.paused
        run.ask(pause=False)

    def page(run: Any) -> None:
        step = run._training.step
        if step == 2:
            run.run.ask(strength=0.5)
        if step == 4:
            asked["strength"] = run._training.proximal.strength
            run.run.ask(pause=True)
            threading.Thread(target=resumed, args=(run.run,)).start()
        if step == 5:
            asked["waited"] = "paused" in asked
        if step == 6:
            run.run.ask(stop=True)

    run, _, proximal = own_loop(tmp_path, each_step=page)
    assert run.status.state == "stopped"
    assert asked["strength"] == proximal.strength == 0.5
    assert asked["paused"]
    assert asked["waited"]
    events = run.events()
    control = events[events["split"] == "control"]
    assert control["quantity"].tolist() == ["strength", "pause", "resume", "stop"]
    assert control["step"].tolist() == [3, 5, 5, 7]
    assert restored_network(run, torch.device("cpu")).step == 7
    with pytest.raises(launch.JobError, match="recorded in a loop of your own"):
        launch.start(run)


def test_a_network_that_cannot_be_stored_is_recorded_and_says_so(tmp_path: Path) -> None:
    class Odd(Net):
        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return super().forward(torch.special.bessel_j0(images))

    run, _, _ = own_loop(tmp_path, 1, net=Odd())
    assert run.status.state == "done"
    assert "its network cannot be stored without your code" in run.status.message
    assert len(run.groups()) > 0
    with pytest.raises(ValueError, match="`run` must hold its network to be pruned or explained"):
        derived(run, kind="prune", threads=1)


def test_a_study_of_it_is_refused(mine: tuple[Run, Net, Proximal]) -> None:
    values = mine[0].spec.model_dump()
    with pytest.raises(SpecError, match="`base` must be a run that Winnow trains, got one that was recorded"):
        parse_many({"kind": "path", "name": "p", "base": values, "targets": (50.0,)})


def test_losses_are_not_written_so_often_that_it_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "SHARE", 1e-15)  # any record costs too much
    run, _, _ = own_loop(tmp_path)
    events = run.events()
    written = events[(events["split"] == "train") & (events["quantity"] == "penalty")]
    assert written["step"].tolist() == [1, 4, 8, 12]  # the first step, and the end of each epoch


@pytest.mark.parametrize(("error", "state"), [(KeyboardInterrupt(), "stopped"), (ZeroDivisionError("x"), "failed")])
def test_an_exception_goes_on_and_the_folder_says_so(tmp_path: Path, error: BaseException, state: str) -> None:
    def raises(run: Any) -> None:
        if run._training.step == 2:
            raise error

    with pytest.raises(type(error)):
        own_loop(tmp_path, each_step=raises)
    (run,) = list_runs(tmp_path)
    assert run.status.state == state
    assert ("ZeroDivisionError: x" in run.status.message) == (state == "failed")
    assert ("Traceback" in (run.path / "log.txt").read_text()) == (state == "failed")


class OddError(Exception):
    """An error whose own text raises one."""

    def __str__(self) -> str:
        raise KeyError("no text")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OddError(),
            r"OddError: an error whose message cannot be read, because reading it raised KeyError "
            r"\(test_recording.py, line \d+\)",
        ),
        (SystemExit("not \ud800\nwell"), "SystemExit: not \ufffd"),
        (RuntimeError("x" * 10**6), "RuntimeError: x{300}… "),
    ],
)
def test_an_odd_error_is_told_in_a_line(tmp_path: Path, error: BaseException, said: str) -> None:
    def raises(run: Any) -> None:
        raise error

    with pytest.raises(type(error)):
        own_loop(tmp_path, each_step=raises)
    (run,) = list_runs(tmp_path)
    assert run.status.state == "failed"
    assert re.match(said, run.status.message), run.status.message
    assert "Traceback" in (run.path / "log.txt").read_text(errors="replace")


def test_what_does_not_fit_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    net, example = Net(), torch.randn(2, 1, 8, 8)
    proximal = Proximal(torch.optim.SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(0.1))
    other = Net()
    for said, call in {
        "`tasks` must name the outputs of `net`, side, light, got side": {"tasks": {"side": TASKS["side"]}},
        "`light` must be an output of shape \\(B, 2\\)": {"tasks": {"side": TASKS["side"], "light": TASKS["side"]}},
        "`tasks` must be given with `loader`": {"loader": Images(1, 0)},
        "`loader` must be readable again": {"tasks": TASKS, "loader": iter(Images(1, 0))},
        "`loader` must give a target for each task, got none for side": {
            "tasks": TASKS, "loader": [(example, {"light": example.mean((1, 2, 3))})],
        },
        "`loader` must give pairs": {"tasks": TASKS, "loader": [example]},
        "`trunk` must name modules of the network": {"trunk": ("bodies",)},
        "`record` takes tasks, loader": {"loaders": []},
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=said):
            record("mine", net, example, proximal, runs=tmp_path, **call)
    with pytest.raises(ValueError, match="`proximal` must hold groups of `net`"):
        record("mine", other, example, proximal, runs=tmp_path)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    other_proximal = Proximal(torch.optim.SGD(plain.parameters(), 0.1), input_groups(plain), GroupLasso(0.1))
    with pytest.raises(ValueError, match="`net` must return a dict"):
        record("mine", plain, example, other_proximal, runs=tmp_path)
    assert not list_runs(tmp_path)


class Chance:
    """Validation images of which other ones have labels at each reading."""

    def __init__(self, changes_at: int) -> None:
        self.read, self.changes_at = 0, changes_at

    def __iter__(self) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        self.read += 1
        for images, targets in Images(2, seed=2):
            if self.read >= self.changes_at:
                targets["side"][: self.read] = -1
            yield images, targets


def test_a_loader_that_gives_other_labels_each_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same images each time it is read, got 48 and then 44 labels of side. Leave"):
        own_loop(tmp_path, epochs=1, loader=Chance(2))
    run, *_ = own_loop(tmp_path, epochs=2, loader=Chance(4))
    losses = run.events().query("split == 'val' and quantity == 'loss' and task == 'side'")["value"].tolist()
    assert [math.isnan(loss) for loss in losses] == [False, False, True]


class Words(nn.Module):
    """Tokens by name, as transformers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.rnn, self.head = nn.Embedding(9, 6), nn.LSTM(6, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, words: Tensor) -> dict[str, Tensor]:
        return {"kind": self.head(self.rnn(self.words(words))[0][:, -1])}


@pytest.mark.parametrize("named", [True, False])
def test_a_network_of_words_is_recorded_with_its_network(tmp_path: Path, named: bool) -> None:
    net, words = Words(), torch.randint(0, 9, (2, 4))
    example = {"words": words} if named else words
    sgd = torch.optim.SGD(net.parameters(), 0.1)
    proximal = Proximal(sgd, coupled_groups(net, example), GroupLasso(0.1), Kept(floor=0.3))
    with record("words", net, example, proximal, runs=tmp_path) as run:
        run.epoch({"kind": {"loss": 1.0}})
    assert (run.run.status.state, run.run.status.message) == ("done", "")
    assert run.run.spec.penalty.floor == 0.3  # not that of a form's default
    torch.testing.assert_close(restored_network(run.run, torch.device("cpu")).net(words), net.eval()(words))


class Masked(nn.Module):
    """A network of which two channels are an output."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 8), nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.a(x)
        return {"mask": h[:, :2], "rest": self.c(self.b(h[:, 2:]))}


def test_a_layer_that_only_partly_can_go_is_refused_with_advice_that_helps(tmp_path: Path) -> None:
    net, x = Masked(), torch.rand(2, 3)
    sgd, groups = torch.optim.SGD(net.parameters(), 0.1), output_groups(net, x)
    with pytest.raises(ValueError, match=r"got 6 of 8 of a\. .* own\.layer != 'a'\].* take `coupled_groups`"):
        record("mine", net, x, Proximal(sgd, groups, GroupLasso(0.1)), runs=tmp_path)
    for better in ([own for own in groups if own.layer != "a"], coupled_groups(net, x)):
        record("mine", net, x, Proximal(sgd, better, GroupLasso(0.1)), runs=tmp_path)


def test_a_part_of_a_layer_is_refused_and_a_strength_of_torch_is_a_number(tmp_path: Path) -> None:
    net, example = Net(), torch.rand(1, 1, 8, 8)
    sgd, groups = torch.optim.SGD(net.parameters(), 0.1), input_groups(net)
    part = Proximal(sgd, [group for group in groups if group.channel != 3], GroupLasso(0.1))
    with pytest.raises(ValueError, match=r"all channels of a layer or none to be recorded, got 7 of 8 of body\.3"):
        record("mine", net, example, part, runs=tmp_path)
    whole = Proximal(sgd, groups, GroupLasso(torch.tensor(0.1)))
    with record("mine", net, example, whole, runs=tmp_path) as run:
        run.epoch({})
    assert run.run.status.state == "done"


def test_a_target_that_is_missed_or_cannot_be_met_is_said(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, example = Net(), torch.rand(1, 1, 8, 8)
    proximal = Proximal(torch.optim.SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(0.0), Kept(floor=0.9))
    counts = Counts(net, proximal.banks, {})
    controller = Targeted(proximal, 1e-3, counts, "group", 50.0, warm_up=0, refit_from=9)
    with record("mine", net, example, proximal, runs=tmp_path, controller=controller) as run:
        assert "cannot be met: with a floor of 0.9 at most" in run.run.status.message
    assert "not met: 0.0 of 50 % of the groups are zero" in run.run.status.message


def test_a_disk_that_is_full_at_the_end_is_said(tmp_path: Path) -> None:
    net, example = Net(), torch.rand(1, 1, 8, 8)
    proximal = Proximal(torch.optim.SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(0.1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OSError, match="too large"), record("mine", net, example, proximal, runs=tmp_path) as run:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # bytes: less than the checkpoint has
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert run.run.status.state == "failed"
    assert run.run.status.message.startswith("OSError: [Errno 27] File too large")
