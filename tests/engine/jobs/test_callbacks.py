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
    for parameter in net.parameters():  # for tests that take a step without a backward pass
        parameter.grad = torch.zeros_like(parameter)
    return net, Proximal(optimizer, coupled_groups(net, example, within=("body",)), GroupLasso(0.02)), images


def told(runs: Path, **more: Any) -> dict[str, Any]:
    return {"example": torch.zeros(1, 1, 8, 8), "tasks": TASKS, "epochs": 2, "runs": runs, **more}


def lightning_trainer(optimizer: Any, *callbacks: Any) -> Any:
    wrapped = SimpleNamespace(optimizer=optimizer)
    return SimpleNamespace(
        is_global_zero=True, optimizers=[wrapped], should_stop=False, callback_metrics={}, callbacks=list(callbacks)
    )


def holding(net: nn.Module) -> nn.Module:
    module = nn.Module()
    module.net = net
    return module


def fit(callback: Any, net: Net, proximal: Proximal, images: Images, **logged: float) -> Any:
    """Call the hooks as Lightning's fit does; metrics are logged in the first epoch, and shown in the next one too."""
    module, trainer = holding(net), lightning_trainer(proximal, callback)
    callback.on_train_start(trainer, module)
    for epoch in range(2):
        for number, (batch, targets) in enumerate(images):
            losses = losses_of(net, batch, targets)
            proximal.zero_grad()
            sum(losses.values()).backward()  # type: ignore[union-attr]
            proximal.step()
            callback.on_train_batch_end(
                trainer, module, {"loss": sum(losses.values()), "losses": losses}, batch, number
            )
            callback.on_train_batch_end(trainer, module, {"losses": losses}, batch, number)  # accumulates
            if trainer.should_stop:
                callback.on_train_end(trainer, module)
                return trainer
        trainer.callback_metrics |= {name: torch.tensor(value) for name, value in logged.items() if epoch == 0}
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
    fit(callback, *started(), **{"side/accuracy": 81.5, "train_side/accuracy": 99.0, "sky/depth": 1.0})
    events = only(tmp_path).events()
    told_of = events[(events["split"] == "val") & (events["task"] == "side")]
    found = told_of[["epoch", "quantity", "value"]].values.tolist()
    assert found == [[1, "accuracy", 81.5]]  # not again in the epoch that measured nothing, and not that of training


@pytest.mark.usefixtures("libraries")
def test_metrics_that_name_no_task_are_said(tmp_path: Path) -> None:
    callback = lightning_callback("lit", net="net", **told(tmp_path))
    with pytest.warns(UserWarning, match='No metric names a task, so none is recorded: accuracy. Log it as "<task>/'):
        fit(callback, *started(), accuracy=81.5)


@pytest.mark.usefixtures("libraries")
def test_averages_that_another_callback_sets_at_the_end_are_recorded(tmp_path: Path) -> None:
    callback, other = lightning_callback("lit", net="net", **told(tmp_path)), Base()
    net, proximal, _ = started()
    trainer = lightning_trainer(proximal, callback, other)
    callback.on_train_start(trainer, holding(net))
    assert trainer.callbacks == [other, callback]
    callback.on_train_end(trainer, net)


@pytest.mark.usefixtures("libraries")
def test_a_loss_that_lightning_has_divided_is_the_one_that_the_user_returned(tmp_path: Path) -> None:
    """With accumulate_grad_batches, `outputs["loss"]` is normalised by it: so says `Callback.on_train_batch_end`."""
    callback = lightning_callback("lit", net="net", **told(tmp_path))
    net, proximal, _ = started()
    module, trainer = holding(net), lightning_trainer(proximal)
    trainer.accumulate_grad_batches = 4
    callback.on_train_start(trainer, module)
    for loss in (0.25, 0.75):
        callback.on_train_batch_end(trainer, module, {"loss": torch.tensor(loss)}, None, 3)
    proximal.step()
    proximal.step()  # a loop of the user's own may take two steps on a batch
    callback.on_train_batch_end(trainer, module, {}, None, 4)
    callback.on_train_end(trainer, module)
    events = only(tmp_path).events()
    assert events[(events["split"] == "train") & (events["quantity"] == "loss")]["value"].tolist() == [2.0]
    assert only(tmp_path).status.step == 2


@pytest.mark.usefixtures("libraries")
def test_a_stop_on_the_page_ends_the_fit(tmp_path: Path) -> None:
    callback = lightning_callback("lit", net="net", **told(tmp_path))
    steps = callback._recorded.steps

    def asked() -> bool:
        ask(only(tmp_path).path / "control.json", stop=True)
        return bool(steps())

    callback._recorded.steps = asked
    assert fit(callback, *started()).should_stop
    assert only(tmp_path).status.state == "stopped"


@pytest.mark.usefixtures("libraries")
def test_an_exception_of_the_fit_marks_the_run_failed(tmp_path: Path) -> None:
    callback = lightning_callback("lit", **told(tmp_path))
    net, proximal, _ = started()
    trainer = lightning_trainer(proximal, callback)
    callback.on_train_start(trainer, net)
    callback.on_exception(trainer, net, RuntimeError("no more memory"))
    assert only(tmp_path).status.message == "RuntimeError: no more memory"


@pytest.mark.usefixtures("libraries")
def test_a_training_of_hugging_face_is_recorded(tmp_path: Path) -> None:
    callback = huggingface_callback("hf", **told(tmp_path))
    net, proximal, images = started()
    args, state, control = SimpleNamespace(), SimpleNamespace(is_world_process_zero=True), SimpleNamespace()
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


def begun(callback: Any, net: nn.Module, proximal: Proximal) -> None:
    state = SimpleNamespace(is_world_process_zero=True)
    callback.on_train_begin(None, state, None, model=net, optimizer=SimpleNamespace(optimizer=proximal))


@pytest.mark.usefixtures("libraries")
def test_a_loss_that_is_logged_after_its_epoch_belongs_to_it(tmp_path: Path) -> None:
    """With logging_strategy="epoch" the Trainer logs after `on_epoch_end`; else after a step, if it was skipped too."""
    callback, (net, proximal, _) = huggingface_callback("hf", batch_size=4, **told(tmp_path)), started()
    begun(callback, net, proximal)
    for loss in (1.0, 2.0, 3.0):
        proximal.step()
        callback.on_step_end(None, None, SimpleNamespace())
        callback.on_epoch_end(None, None, None)
        callback.on_log(None, None, None, logs={"loss": loss})
    callback.on_step_end(None, None, SimpleNamespace())  # the gradients were not finite
    callback.on_log(None, None, None, logs={"loss": 4.0})
    proximal.step()
    callback.on_step_end(None, None, SimpleNamespace())
    callback.on_epoch_end(None, None, None)
    callback.on_train_end(None, None, None)
    train = only(tmp_path).events().query("split == 'train'")
    losses = train[train["quantity"] == "loss"][["epoch", "step", "value"]].values.tolist()
    assert losses == [[1, 1, 1.0], [2, 2, 2.0], [3, 3, 3.0], [4, 4, 4.0]]
    assert (train[train["quantity"] == "images_per_second"]["value"] > 0).all()  # no pace of no steps


@pytest.mark.usefixtures("libraries")
def test_evaluations_in_the_middle_and_of_several_sets_belong_to_one_epoch(tmp_path: Path) -> None:
    callback = huggingface_callback("hf", **told(tmp_path))
    net, proximal, _ = started()
    begun(callback, net, proximal)
    for value in (1.0, 2.0):
        proximal.step()
        callback.on_step_end(None, None, SimpleNamespace())
        callback.on_evaluate(None, None, None, metrics={"eval_side/accuracy": value})
    callback.on_epoch_end(None, None, None)
    for name in "ab":  # eval_dataset={"a": …, "b": …}
        callback.on_evaluate(None, None, None, metrics={f"eval_{name}_side/accuracy": 3.0})
    callback.on_train_end(None, None, None)
    run = only(tmp_path)
    found = run.events().query("split == 'val'")[["epoch", "step", "quantity", "value"]].values.tolist()
    assert found == [[1, 2, "accuracy", 2.0], [1, 2, "accuracy (a)", 3.0], [1, 2, "accuracy (b)", 3.0]]
    assert (run.status.epoch, run.status.step) == (1, 2)
    assert run.status.message == "no loss was told, so there is no curve of it"


@pytest.mark.usefixtures("libraries")
def test_a_training_that_ended_without_a_word_has_failed_when_the_next_one_begins(tmp_path: Path) -> None:
    callback = huggingface_callback("hf", **told(tmp_path))
    net, proximal, _ = started()
    for _ in range(2):
        begun(callback, net, proximal)
    callback.on_train_end(None, None, None)
    assert sorted(run.status.state for run in list_runs(tmp_path)) == ["done", "failed"]


@pytest.mark.usefixtures("libraries")
def test_an_example_follows_the_network_into_its_type(tmp_path: Path) -> None:
    callback = huggingface_callback("hf", **told(tmp_path))
    net, _, _ = started()
    net.double()
    groups = coupled_groups(net, torch.zeros(1, 1, 8, 8).double(), within=("body",))
    begun(callback, net, Proximal(torch.optim.SGD(net.parameters(), 0.1), groups, GroupLasso(0.02)))
    callback.on_train_end(None, None, None)
    assert only(tmp_path).status.state == "done"


@pytest.mark.usefixtures("libraries")
def test_a_trainer_without_a_proximal_step_is_refused_by_name(tmp_path: Path) -> None:
    callback = lightning_callback("lit", **told(tmp_path))
    net, _, _ = started()
    trainer = lightning_trainer(torch.optim.SGD(net.parameters(), 0.1), callback)
    with pytest.raises(ValueError, match="`optimizers` must hold one winnow.engine.Proximal, got 0"):
        callback.on_train_start(trainer, net)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lightning", "lightning.pytorch", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"pip install 'winnow-mtl\[lightning\]'"):
        lightning_callback("lit", torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"pip install 'winnow-mtl\[huggingface\]'"):
        huggingface_callback("hf", torch.zeros(1, 1, 8, 8))
