"""What a loop of one's own hands over: right, or refused by name; and what is said of a loop that went wrong."""

import copy
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from tests.engine.own_loop import TASKS, Images, Net, losses_of, own_loop
from winnow.data.sample import Field
from winnow.engine import GroupLasso, Proximal, coupled_groups, input_groups, record
from winnow.engine.jobs import recording
from winnow.engine.jobs.loop_values import Watch, fitting_target, told_losses, told_metrics
from winnow.engine.jobs.recorded_spec import named_tasks
from winnow.engine.jobs.recording import Recorder
from winnow.engine.jobs.restore import restored_network
from winnow.engine.measure.counts import weight_macs
from winnow.engine.runs.verify import verify
from winnow.engine.sparsity.counts import Counts
from winnow.engine.sparsity.strength import Scheduled, Targeted
from winnow.engine.tasks.build import build_tasks

BUILT = build_tasks(TASKS, tuple(TASKS))


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({"side": torch.ones(24)}, r"one number of side, got float32 of shape \(24,\). Give the mean"),
        (torch.tensor(1j), r"one number, got complex64 of shape \(\)"),
        ([1.0, 2.0], "a number or a tensor of one number, got list"),
        ({"side": None}, "one number of side, got NoneType. Where there is none, leave it out"),
        ({"side": "0.3"}, "one number of side, got str"),
        ({"adversary": 1.0}, "must name tasks, side, light, got adversary. Leave out"),
    ],
)
def test_told_losses_refuses_what_is_no_number(losses: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        told_losses(losses, BUILT)


def test_told_losses_takes_numbers_of_every_kind() -> None:
    found = told_losses({"side": np.float32(2), "light": torch.ones(1, 1, requires_grad=True)}, BUILT)
    assert {name: float(value) for name, value in found.items()} == {"side": 2.0, "light": 1.0}


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"side": 0.9}, "got float for side. Give its name"),
        (0.9, "must be {task: {name: number}}, got float"),
        ({"side": {"accuracy": "high"}}, "a number for accuracy, got str"),
        ({"side": {"accuracy": None}}, r"a number for accuracy, got NoneType. .* float\('nan'\)"),
        ({"side": {"iou": torch.ones(3)}}, r"a number for iou, got shape \(3,\)"),
        ({"side": {"iou": np.complex64(1j)}}, "a number for iou, got complex64"),
        ({"side": {"iou": 10**400}}, "a number for iou, got one that is too large"),
        ({"side": {"two\nlines": 1.0}}, "names of 1 to 80 printable characters"),
    ],
)
def test_told_metrics_refuses_what_cannot_be_written(metrics: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        told_metrics(metrics, BUILT)


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        ("light", torch.zeros(4, 1), r"of shape \(4,\) for light, got \(4, 1\)"),  # would be stretched to (4, 4)
        ("side", torch.zeros(4), "integers from -1 to 1 for side .*, got float32"),
        ("side", functional.one_hot(torch.zeros(4, dtype=torch.int64), 2), r"of shape \(4,\) for side, got \(4, 2\)"),
        ("side", torch.tensor([0, 1, 2, 0]), "integers from -1 to 1 for side, got 2. Mark what is not labelled as -1"),
        ("side", torch.tensor([0, 1, -100, 0]), "integers from -1 to 1 for side, got -100"),
        ("side", torch.zeros(3, dtype=torch.int64), r"of shape \(4,\) for side, got \(3,\)"),
        ("light", torch.tensor([1.0, 2, 3, torch.inf]), "finite, or NaN where it is missing for light, got inf"),
    ],
)
def test_fitting_target_refuses_what_the_loss_would_take_for_something_else(
    name: str, target: Tensor, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        fitting_target(name, TASKS[name], target, torch.zeros(4, 1, 8, 8), values=True)


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.bool, torch.int64])
def test_fitting_target_takes_whole_numbers_of_every_type(kind: torch.dtype) -> None:
    target = torch.tensor([0, 1, 1, 0]).to(kind)
    found = fitting_target("side", TASKS["side"], target, torch.zeros(4, 1, 8, 8), values=True)
    assert found.tolist() == [0, 1, 1, 0]
    assert found.dtype == torch.int64


class Changed:
    """The validation batches, changed."""

    def __init__(self, change: Callable[[Tensor, dict[str, Tensor]], Any]) -> None:
        self.change = change

    def __iter__(self) -> Any:
        return (self.change(images, targets) for images, targets in Images(2, seed=2))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, t: (x.byte(), t), r"images in float32 \(B, 1, H, W\), as `example` is, got uint8"),
        (lambda x, t: (x.permute(0, 2, 3, 1), t), r"got float32 \(24, 8, 8, 1\)"),
        (lambda x, t: (x, {**t, "side": ["left"] * len(x)}), "targets as tensors, got side list"),
        (lambda x, t: (x, tuple(t.values())), r"of tensors, got \(Tensor, tuple\)"),
        (lambda x, t: (x, {"side": t["side"]}), "a target for each task, got none for light"),
    ],
)
def test_a_loader_of_another_form_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        own_loop(tmp_path, 1, loader=Changed(change))
    assert not list(tmp_path.iterdir())


def started(root: Path, optimizer: type[torch.optim.Optimizer] = torch.optim.SGD) -> tuple[Recorder, Net, Proximal]:
    torch.manual_seed(0)
    net, example = Net(), torch.zeros(1, 1, 8, 8)
    proximal = Proximal(
        optimizer(net.parameters(), 1e-2), coupled_groups(net, example, within=("body",)), GroupLasso(0.01)
    )
    return record("mine", net, example, proximal, tasks=TASKS, runs=root), net, proximal


def steps(run: Recorder, net: nn.Module, proximal: Proximal, told: bool = True, moves: bool = True) -> None:
    for images, targets in Images(2, seed=1):
        losses = losses_of(net, images, targets)
        proximal.zero_grad()
        sum(losses.values()).backward()
        if moves:
            proximal.step()
        if told:
            run.step(losses)


def test_a_loop_that_diverged_failed_and_keeps_its_last_good_checkpoint(tmp_path: Path) -> None:
    with started(tmp_path)[0] as run:
        net = run._training.net
        run.epoch()
        with torch.no_grad():
            net.body[3].weight[0] = torch.nan
        run.step({"side": float("nan"), "light": 1.0})
        run.epoch()
    status = run.run.status
    assert status.state == "failed"
    assert "weights became NaN" in status.message
    assert "a loss of side was NaN" in status.message
    assert all(own.isfinite().all() for own in restored_network(run.run, torch.device("cpu")).net.parameters())


@pytest.mark.parametrize(
    ("told", "moves", "epochs", "said"),
    [
        (True, False, True, "Proximal.step was never called, so nothing was penalised"),
        (True, True, False, "2 steps came after the last `run.epoch`"),
        (False, True, True, ""),
    ],
)
def test_what_a_loop_leaves_out_is_said_and_its_weights_are_those_of_the_end(
    tmp_path: Path, told: bool, moves: bool, epochs: bool, said: str
) -> None:
    recorder, net, proximal = started(tmp_path)
    with recorder as run:
        steps(run, net, proximal, told, moves)
        if epochs:
            run.epoch()
    assert run.run.status.message.startswith(said)
    assert bool(run.run.status.message) == bool(said)
    stored = restored_network(run.run, torch.device("cpu")).net.state_dict()
    assert all(torch.equal(stored[name], own) for name, own in net.state_dict().items())


def test_weights_that_the_loop_brings_back_are_those_of_the_tables(tmp_path: Path) -> None:
    recorder, net, proximal = started(tmp_path)
    best = copy.deepcopy(net.state_dict())
    with recorder as run:
        steps(run, net, proximal)
        run.epoch()
        net.load_state_dict(best)
    assert "the weights changed after the last step" in run.run.status.message
    norms = torch.cat([bank.norms() for bank in proximal.banks]).detach()
    assert run.run.table("groups")["norm"].to_numpy() == pytest.approx(norms.numpy())
    assert all(check.whole for check in verify(run.run))


def test_a_recorder_is_for_one_with_block(tmp_path: Path) -> None:
    recorder = started(tmp_path)[0]
    with pytest.raises(RuntimeError, match="got a call outside of it"):
        recorder.step(1.0)
    with recorder as run:
        with pytest.raises(RuntimeError, match="got another one within it"):
            run.__enter__()
        if not os.fork():  # a process that the loop forks and that leaves the block
            run.__exit__(None, None, None)
            os._exit(0)
        os.wait()
        assert run.run.status.state == "running"
    with pytest.raises(RuntimeError, match="got a call after it. Call record"):
        run.epoch()
    with pytest.raises(RuntimeError, match="got a call after it"):
        run.__enter__()


def test_a_network_whose_layers_are_replaced_is_refused(tmp_path: Path) -> None:
    recorder, net, _ = started(tmp_path)
    with recorder as run:
        net.body[3] = nn.Conv2d(8, 8, 3, padding=1)
        with pytest.raises(ValueError, match="where a layer was replaced, make the groups and the optimiser again"):
            run.epoch()


def test_the_loop_may_change_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with started(Path("here"))[0] as run:
        monkeypatch.chdir("/")
        run.epoch()
    assert run.run.path.is_relative_to(tmp_path)
    assert run.run.status.state == "done"


def test_numbers_of_half_precision_are_recorded_and_say_that_they_are_not_pruned(tmp_path: Path) -> None:
    net, example = Net().bfloat16(), torch.zeros(1, 1, 8, 8, dtype=torch.bfloat16)
    optimizer = Proximal(torch.optim.SGD(net.parameters(), 1e-3), coupled_groups(net, example), GroupLasso(0.01))
    with record("half", net, example, optimizer, runs=tmp_path) as run:
        run.epoch()
    assert "its numbers are bfloat16, and images are read as float32" in run.run.status.message


def test_a_shared_weight_is_stored_under_both_names(tmp_path: Path) -> None:
    net = Net()
    net.body[3] = nn.Conv2d(8, 8, 3, padding=1)
    net.body.insert(4, nn.Conv2d(8, 8, 3, padding=1))
    net.body[4].weight = net.body[3].weight
    example = torch.zeros(1, 1, 8, 8)
    optimizer = Proximal(torch.optim.SGD(net.parameters(), 1e-3), coupled_groups(net, example), GroupLasso(0.01))
    with record("tied", net, example, optimizer, runs=tmp_path) as run:
        run.epoch()
    stored = restored_network(run.run, torch.device("cpu")).net.state_dict()
    assert all(torch.equal(stored[name], own) for name, own in net.state_dict().items())


def test_recording_leaves_the_random_numbers_of_the_loop_alone(tmp_path: Path) -> None:
    """A loader that shuffles draws from torch: the loop goes on as one that is not recorded."""
    pairs = [
        (images[k], {name: own[k] for name, own in targets.items()})
        for images, targets in Images(1, 2)
        for k in range(8)
    ]
    loader = DataLoader(pairs, 4, shuffle=True)
    net = Net()
    proximal = Proximal(torch.optim.SGD(net.parameters(), 0.1), coupled_groups(net, pairs[0][0][None]), GroupLasso(0.1))
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    with record("mine", net, pairs[0][0][None], proximal, tasks=TASKS, loader=loader, runs=tmp_path) as run:
        run.epoch()
    assert torch.equal(torch.rand(3), wanted)


def test_whole_numbers_are_no_depth_in_metres() -> None:
    depth = Field(kind="depth", unit="m")
    with pytest.raises(ValueError, match=r"floating-point depth in m for d, got int32. .* target.float\(\) / 1000"):
        fitting_target("d", depth, torch.ones(2, 8, 8, dtype=torch.int32), torch.zeros(2, 3, 8, 8), values=True)


@pytest.mark.parametrize("move", [lambda net: net.double(), lambda net: net.bfloat16()])
def test_a_network_in_another_type_is_refused_before_an_epoch_is_written(tmp_path: Path, move: Callable) -> None:
    net, x = Net(), torch.randn(2, 1, 8, 8)
    proximal = Proximal(torch.optim.SGD(net.parameters(), 0.1), coupled_groups(net, x), GroupLasso(1e-3))
    with record("moved", net, x, proximal, tasks=TASKS, loader=Images(1, 0), runs=tmp_path) as run:
        move(net)
        with pytest.raises(ValueError, match="`net` must stay as it was when the recording began, float32 on cpu, got"):
            run.epoch()
        net.float()
        run.epoch()
    assert (run.run.status.state, run.run.status.epoch, run.run.status.message) == ("done", 1, "")


def test_a_network_that_is_moved_after_its_last_epoch_says_so(tmp_path: Path) -> None:
    net, x = Net(), torch.randn(2, 1, 8, 8)
    proximal = Proximal(torch.optim.SGD(net.parameters(), 0.1), coupled_groups(net, x), GroupLasso(1e-3))
    with record("moved", net, x, proximal, tasks=TASKS, loader=Images(1, 0), runs=tmp_path) as run:
        run.epoch()
        net.half()
    assert run.run.status.state == "done"
    assert "the network was moved from float32 on cpu to float16 on cpu" in run.run.status.message


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.depth, self.seg = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = self.body(x).relu()
        return {"depth": self.depth(found), "seg": self.seg(found)}


@pytest.mark.parametrize(
    ("unit", "scale", "said"),
    [
        ("1", 1.0, "`depth` has no unit, nor have its errors: give Field"),
        ("m", 1000.0, "`depth`: the mean is 1000 m, which is very far. If the values are millimetres"),
        ("m", 1.0, ""),
        ("mm", 1000.0, ""),
    ],
)
def test_a_depth_without_its_unit_is_said(tmp_path: Path, unit: str, scale: float, said: str) -> None:
    net, x = Dense(), torch.randn(2, 1, 8, 8)
    tasks = {"depth": Field(kind="depth", unit=unit), "seg": Field(kind="segmentation", classes=("wall", "floor"))}
    targets = {"depth": torch.full((2, 8, 8), scale), "seg": torch.zeros(2, 8, 8, dtype=torch.long)}
    proximal = Proximal(torch.optim.SGD(net.parameters(), 0.1), coupled_groups(net, x), GroupLasso(1e-3))
    with record("unit", net, x, proximal, tasks=tasks, loader=[(x, targets)], runs=tmp_path) as run:
        assert run.run.status.message.startswith(said)
        assert bool(run.run.status.message) == bool(said)
    known = run.run.spec.fields
    assert (known["depth"].unit, known["seg"].classes) == (unit, ("wall", "floor"))


def test_classes_that_are_not_named_are_asked_for() -> None:
    with pytest.raises(ValueError, match=r"`classes` must name the classes of seg \(segmentation\), got none"):
        named_tasks(("seg",), {"seg": Field(kind="segmentation")})


def gelu(net: Net) -> None:
    net.body[2] = nn.GELU()


def adapter(net: Net) -> None:
    net.side = nn.Sequential(net.side, nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("change", "said"), [(gelu, "got GELU instead of ReLU in body.2"), (adapter, "got Sequential instead of Linear")]
)
def test_layers_of_another_kind_are_refused_at_the_epoch(tmp_path: Path, change: Callable, said: str) -> None:
    """No group is in them, yet the stored network would be another one."""
    net = Net()
    optimizer = Proximal(torch.optim.SGD(net.parameters(), 0.1), input_groups(net.body), GroupLasso(1e-3))
    named = f"must keep its layers while it is recorded, {said}.*call record"
    recorder = record("changed", net, torch.zeros(1, 1, 8, 8), optimizer, runs=tmp_path)

    def loop() -> None:
        with recorder as run:
            run.epoch()
            change(net)
            with pytest.raises(ValueError, match=named):
                run.epoch()

    with pytest.raises(ValueError, match=named):
        loop()  # refused at the end of the block too
    assert recorder.run.status.state == "failed"
    assert "must keep its layers" in recorder.run.status.message


def hooked(net: Net) -> None:
    net.side.register_forward_hook(lambda *given: 2 * given[2])


def another_constant(net: Net) -> None:
    net.body[1].eps = 0.5


@pytest.mark.parametrize("change", [hooked, another_constant])
def test_a_network_that_computes_something_else_at_the_end_is_not_offered(tmp_path: Path, change: Callable) -> None:
    recorder, net, proximal = started(tmp_path)
    with recorder as run:
        change(net)
        steps(run, net, proximal)
        run.epoch()
    assert run.run.status.state == "done"
    assert "its network cannot be pruned or explained: it was changed while it was recorded" in run.run.status.message
    assert all(check.whole for check in verify(run.run))
    with pytest.raises(ValueError, match="changed while it was recorded, .* Do it in your own loop"):
        restored_network(run.run, torch.device("cpu"))


def test_a_controller_or_an_optimiser_of_something_else_is_refused(tmp_path: Path) -> None:
    net, x = Net(), torch.zeros(1, 1, 8, 8)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    proximal = Proximal(optimizer, coupled_groups(net, x), GroupLasso(1e-3))
    control = Scheduled(proximal, 0.1, 0, 0, 10)
    twin, other = copy.deepcopy((net, proximal))
    with pytest.raises(ValueError, match="must set the strength of `proximal`, got one of another optimiser"):
        record("mine", twin, x, other, controller=control, runs=tmp_path)
    with pytest.raises(TypeError, match="must be a Targeted or Scheduled, got function"):
        record("mine", net, x, proximal, controller=lambda step: 0.1, runs=tmp_path)
    with pytest.raises(TypeError, match=r"must be a Proximal, got SGD. Wrap the optimiser: Proximal\("):
        record("mine", net, x, optimizer, runs=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_target_for_which_the_strength_hardly_moves_is_said(tmp_path: Path) -> None:
    net, x = Net(), torch.zeros(1, 1, 8, 8)
    proximal = Proximal(torch.optim.SGD(net.parameters(), 0.1), coupled_groups(net, x), GroupLasso(1e-3))
    counts = Counts(net, proximal.banks, weight_macs(net, x))
    few = "the penalty acts for only 0 steps: the smallest groups are then set to zero"
    for base, warm_up, said in ((1e-3, 50, few), (0.0, 0, "the target starts from a λ of 0, which cannot rise")):
        control = Targeted(proximal, base, counts, "group", 50.0, warm_up=warm_up, refit_from=20)
        with record("mine", net, x, proximal, controller=control, runs=tmp_path) as run:
            run.epoch()
        assert said in run.run.status.message


@pytest.mark.parametrize("name", ["", 0, "two\nlines"])
def test_an_output_whose_name_cannot_be_written_is_refused(tmp_path: Path, name: Any) -> None:
    class Named(nn.Sequential):
        def forward(self, x: Tensor) -> dict[Any, Tensor]:
            return {name: super().forward(x)}

    net, x = Named(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), torch.rand(4, 4)
    proximal = Proximal(torch.optim.SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(1e-3))
    with pytest.raises(ValueError, match="a dict whose names are printable texts, got"):
        record("mine", net, x, proximal, runs=tmp_path)


def test_what_is_alive_is_that_of_the_weights_as_the_loop_left_them(tmp_path: Path) -> None:
    """A loop that prunes by hand, or averages weights, after the step."""
    recorder, net, proximal = started(tmp_path)
    with recorder as run:
        steps(run, net, proximal, told=False)
        for bank in proximal.banks:
            bank.scale_(torch.zeros(bank.channels))
        run.step(1.0)
        run.epoch()
    found = [json.loads(line) for line in (run.run.path / "events.jsonl").read_text().splitlines()]
    alive = [event["value"] for event in found if event["quantity"] == "alive" and event["step"] == 1]
    assert set(alive) == {0.0}


def test_the_pace_counts_the_images_of_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "FIRST_EVERY", float("inf"))
    with started(tmp_path)[0] as run:
        run.step(1.0, images=24)
        for images in (24, np.int64(24), 4):
            run.step(1.0, images)
        assert run._images == 52
    assert math.isnan(Watch.images(None, None))
    for odd in (-1, 2.5, "24", True):
        with pytest.raises(ValueError, match=r"must be a whole number of images, got .*len\(images\)"):
            Watch.images(odd, 24)
