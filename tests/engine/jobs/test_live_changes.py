"""What a user changes of a live run is obeyed once and recorded, or refused with the reason."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tests.engine.own_loop import own_loop
from winnow.engine import GroupLasso, Proximal, input_groups, record
from winnow.engine.jobs.live_changes import HeldStrength, LiveChanges, cannot_be_met, missed
from winnow.engine.measure.counts import layer_macs
from winnow.engine.runs.control import Control, ask
from winnow.engine.sparsity.counts import Counts
from winnow.engine.sparsity.strength import Targeted


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": self.body(x)}


def net() -> Small:
    return Small()


def targeted(model: nn.Module) -> Targeted:
    proximal = Proximal(torch.optim.SGD(model.parameters(), lr=0.1), input_groups(model), GroupLasso(0.0))
    counts = Counts(model, proximal.banks, layer_macs(model, torch.ones(1, 8)))
    return Targeted(proximal, 1e-3, counts, "group", 50.0, warm_up=0, refit_from=300)


class Notes:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.events_written: list[Any] = []

    def tell(self, sentence: str) -> None:
        self.said.append(sentence)

    def events(self, place: tuple[int, int], split: str, values: dict) -> None:
        self.events_written += [(place, split, name[1], value) for name, value in values.items()]


def changes(controller: Any) -> tuple[LiveChanges, Notes]:
    notes = Notes()
    training = SimpleNamespace(controller=controller, spec=SimpleNamespace(penalty=SimpleNamespace(floor=0.05)))
    return LiveChanges(training, notes), notes


def test_each_target_is_recorded_and_the_newest_holds(tmp_path: Path):
    controller = targeted(net())
    live, notes = changes(controller)
    for target in (60, 60, 70.5):
        ask(tmp_path / "control.json", target=target)
    control = ask(tmp_path / "control.json", strength=0.5)
    for place in ((1, 7), (1, 8)):
        live.obey(control, place)
    assert (controller.percent, controller.base) == (70.5, 0.5)
    place, split = (1, 7), "control"
    wanted = [(place, split, "strength", 0.5), (place, split, "target", 60.0), (place, split, "target", 70.5)]
    assert notes.events_written == wanted
    resumed, again = changes(controller)
    resumed.resumed(control)
    resumed.obey(control, (2, 20))
    assert again.events_written == []  # the newest holds already


def test_a_target_that_cannot_be_met_is_said_and_taken_back(monkeypatch: pytest.MonkeyPatch):
    controller = targeted(net())
    monkeypatch.setattr(controller, "most", lambda: 87.5)
    live, notes = changes(controller)
    live.obey(Control(target=99.9, targets=(99.9,), targets_asked=1), (1, 1))
    assert notes.said == [cannot_be_met(controller, 0.05)]
    assert "at most 87.5 % of the groups" in notes.said[0]
    live.obey(Control(target=60, targets=(99.9, 60), targets_asked=2), (1, 2))
    assert notes.said[-1] == ""


def test_a_target_that_comes_too_late_or_to_none_changes_nothing():
    controller = targeted(net())
    asked = Control(target=60, targets=(60,), targets_asked=1)
    live, notes = changes(controller)
    live.obey(asked, (4, 300))
    assert controller.percent == 50
    assert "came too late" in notes.said[0]
    held, others = changes(HeldStrength(controller.proximal))
    held.obey(asked, (1, 1))
    assert "this run has none" in others.said[0]
    assert notes.events_written == others.events_written == []


@pytest.mark.parametrize("target", [0, 100, -5, float("nan"), float("inf"), "much"])
def test_a_target_that_is_none_is_refused(tmp_path: Path, target: object):
    with pytest.raises(ValueError, match="`target` must be"):
        ask(tmp_path / "control.json", target=target)
    assert not (tmp_path / "control.json").exists()


def test_a_loop_of_the_users_own_obeys_a_target(tmp_path: Path):
    model = net()
    control = targeted(model)
    loop = record("mine", model, torch.ones(1, 8), control.proximal, controller=control, epochs=1, runs=tmp_path)
    with loop as run:
        for step in range(4):
            control.before(step)
            control.proximal.zero_grad()
            loss = model(torch.ones(2, 8))["y"].square().mean()
            loss.backward()
            control.proximal.step()
            if step == 2:
                run.run.ask(target=40.0)
            run.step({"y": loss})
        run.epoch()
    assert run.run.spec.penalty.target == 50
    assert control.percent == run.run.target_now() == 40
    assert [(change.step, change.target) for change in run.run.replay().target_changes] == [(3, 40.0)]
    plain, _, _ = own_loop(tmp_path / "plain", epochs=1)
    assert plain.target_now() is None
    with pytest.raises(ValueError, match="`target` must be changed only in a run that began with one"):
        plain.ask(target=40.0)


def test_a_run_says_at_its_end_that_more_is_zero_than_its_target():
    model = net()
    controller = targeted(model)
    controller.percent = 20.0
    training = SimpleNamespace(controller=controller)
    assert missed(training).startswith("not met: 0.0 of 20 %")
    with torch.no_grad():
        model.body[0].weight.zero_()
    controller.proximal.norms = [bank.norms() for bank in controller.proximal.banks]
    assert missed(training) == (
        "more than the target: 50.0 instead of 20 % of the groups are zero. What was zero before λ fell does not all "
        "come back"
    )
