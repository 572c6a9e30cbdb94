"""The callbacks for Lightning and Hugging Face, by the documented order of their hooks (real ones: benchmarks)."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tests.engine.own_loop import TASKS, Images, Net, losses_of
from winnow.engine import GroupLasso, Proximal, coupled_groups
from winnow.engine.jobs.callbacks import huggingface_callback, lightning_callback
from winnow.engine.runs.control import ask
from winnow.engine.runs.run import Run, list_runs


class Base:
    """What both libraries give a callback: every hook, doing nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("on_"):
            return lambda *given, **named: None
        raise AttributeError(name)


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, attribute in (("lightning.pytorch", "Callback"), ("transformers", "TrainerCallback")):
        module = ModuleType(name)
        setattr(module, attribute, Base)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))


def started() -> tuple[Net, Proximal, Images]:
    torch.manual_seed(0)
    net, images = Net(), Images(4, seed=1)
    example = next(iter(images))[0][:1]
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    return net, Proximal(optimizer, coupled_groups(net, example, within=("body",)), GroupLasso(0.02)), images


def told(runs: Path, **more: Any) -> dict[str, Any]:
    return {"example": torch.zeros(1, 1, 8, 8), "tasks": TASKS, "epochs": 2, "runs": runs, **more}


def fit(callback: Any, net: Net, proximal: Proximal, images: Images, **logged: float) -> Any:
    """Call the hooks as Lightning's fit does."""
    module = nn.Module()
    module.net = net
    wrapped = SimpleNamespace(optimizer=proximal)
    trainer = SimpleNamespace(
        is_global_zero=True, global_step=0, optimizers=[wrapped], should_stop=False, callback_metrics=logged
    )
    callback.on_train_start(trainer, module)
    for _ in range(2):
        for number, (batch, targets) in enumerate(images):
            losses = losses_of(net, batch, targets)
            proximal.zero_grad()
            sum(losses.values()).backward()  # type: ignore[union-attr]
            proximal.step()
            trainer.global_step += 1
            callback.on_train_batch_end(
                trainer, module, {"loss": sum(losses.values()), "losses": losses}, batch, number
            )
            callback.on_train_batch_end(trainer, module, {"loss": torch.ones(())}, batch, number)  # accumulates
            if trainer.should_stop:
                callback.on_train_end(trainer, module)
                return trainer
        callback.on_train_epoch_end(trainer, module)
    callback.on_train_end(trainer, module)
    return trainer


def only(runs: Path) -> Run:
    (run,) = list_runs(runs)
    return run


@pytest.mark.usefixtures("libraries")
def test_a_fit_of_lightning_is_recorded(tmp_path: Path) -> None:
    callback = lightning_callback("lit", net="net", loader=Images(2, seed=2), **told(tmp_path))
    fit(callback, *started())
    run = only(tmp_path)
    assert (run.status.state, run.status.epoch, run.status.step) == ("done", 2, 8)
    events = run.events()
    assert {"side", "light"} <= set(events[events["split"] == "train"]["task"].dropna())
    assert len(events[(events["quantity"] == "accuracy") & (events["split"] == "val")]) == 3
    assert (run.path / "weights" / "network.json").is_file()


@pytest.mark.usefixtures("libraries")
def test_without_a_loader_the_logged_metrics_count(tmp_path: Path) -> None:
    callback = lightning_callback("lit", net="net", **told(tmp_path))
    fit(callback, *started(), **{"side/accuracy": 81.5, "other": 3.0, "sky/depth": 1.0})
    events = only(tmp_path).events()
    assert set(events[(events["split"] == "val") & (events["task"] == "side")]["value"]) == {81.5}


@pytest.mark.usefixtures("libraries")
def test_a_loss_that_lightning_has_divided_is_the_one_that_the_user_returned(tmp_path: Path) -> None:
    """With accumulate_grad_batches, `outputs["loss"]` is normalised by it: so says `Callback.on_train_batch_end`."""
    callback = lightning_callback("lit", net="net", **told(tmp_path))
    net, proximal, _ = started()
    module = nn.Module()
    module.net = net
    trainer = SimpleNamespace(is_global_zero=True, global_step=0, optimizers=[proximal], accumulate_grad_batches=4)
    callback.on_train_start(trainer, module)
    trainer.global_step = 1
    callback.on_train_batch_end(trainer, module, {"loss": torch.tensor(0.5)}, None, 3)
    callback.on_train_end(trainer, module)
    events = only(tmp_path).events()
    assert events[(events["split"] == "train") & (events["quantity"] == "loss")]["value"].tolist() == [2.0]


@pytest.mark.usefixtures("libraries")
def test_a_stop_on_the_page_ends_the_fit(tmp_path: Path) -> None:
    callback = lightning_callback("lit", net="net", **told(tmp_path))
    step = callback._recorded.step

    def asked(losses: Any) -> bool:
        ask(only(tmp_path).path / "control.json", stop=True)
        return bool(step(losses))

    callback._recorded.step = asked
    assert fit(callback, *started()).should_stop
    assert only(tmp_path).status.state == "stopped"


@pytest.mark.usefixtures("libraries")
def test_an_exception_of_the_fit_marks_the_run_failed(tmp_path: Path) -> None:
    callback = lightning_callback("lit", **told(tmp_path))
    net, proximal, _ = started()
    trainer = SimpleNamespace(is_global_zero=True, global_step=0, optimizers=[proximal], should_stop=False)
    callback.on_train_start(trainer, net)
    callback.on_exception(trainer, net, RuntimeError("no more memory"))
    assert only(tmp_path).status.message == "RuntimeError: no more memory"


@pytest.mark.usefixtures("libraries")
def test_a_training_of_hugging_face_is_recorded(tmp_path: Path) -> None:
    callback = huggingface_callback("hf", **told(tmp_path))
    net, proximal, images = started()
    args, state, control = SimpleNamespace(eval_strategy="epoch"), SimpleNamespace(), SimpleNamespace()
    state.is_world_process_zero, control.should_training_stop = True, False
    callback.on_train_begin(args, state, control, model=net, optimizer=SimpleNamespace(optimizer=proximal))
    for _ in range(2):
        for batch, targets in images:
            proximal.zero_grad()
            sum(losses_of(net, batch, targets).values()).backward()  # type: ignore[union-attr]
            proximal.step()
            callback.on_step_end(args, state, control)
            callback.on_log(args, state, control, logs={"loss": 0.5})
        callback.on_epoch_end(args, state, control)
        callback.on_evaluate(args, state, control, metrics={"eval_side/accuracy": 90.0, "eval_loss": 1.0})
    callback.on_train_end(args, state, control)
    run = only(tmp_path)
    assert (run.status.state, run.status.epoch, run.status.step) == ("done", 2, 8)
    events = run.events()
    assert list(events[(events["quantity"] == "accuracy") & (events["split"] == "val")]["value"]) == [90.0, 90.0]
    assert 0.5 in set(events[(events["quantity"] == "loss") & (events["split"] == "train")]["value"])


@pytest.mark.usefixtures("libraries")
def test_a_trainer_without_a_proximal_step_is_refused_by_name(tmp_path: Path) -> None:
    callback = lightning_callback("lit", **told(tmp_path))
    net, _, _ = started()
    trainer = SimpleNamespace(is_global_zero=True, global_step=0, optimizers=[torch.optim.SGD(net.parameters(), 0.1)])
    with pytest.raises(ValueError, match="`optimizers` must hold one winnow.engine.Proximal, got 0"):
        callback.on_train_start(trainer, net)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lightning", "lightning.pytorch", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"pip install 'winnow-mtl\[lightning\]'"):
        lightning_callback("lit", torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"pip install 'winnow-mtl\[huggingface\]'"):
        huggingface_callback("hf", torch.zeros(1, 1, 8, 8))
