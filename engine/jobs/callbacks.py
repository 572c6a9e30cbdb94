"""`record` for the trainers of Lightning and of Hugging Face: a callback that makes a run folder of their loop.

    Trainer(callbacks=[lightning_callback("my run", example, net="net", tasks=fields, loader=validation)])
    Trainer(model, arguments, optimizers=(proximal, None), callbacks=[huggingface_callback("my run", example)])

Both find the `Proximal` among the trainer's optimisers, and tell `engine.jobs.recording` of each step and epoch. Stop,
pause and strength of the page are obeyed; a stop ends the training as the trainer does it itself. Of several processes,
the first one records.

Lightning: `training_step` may return {"loss": …, "losses": {task: loss}}; otherwise the loss of all tasks is noted.
Hugging Face: the losses are those that the trainer logs. It tells a callback of no exception: such a run is lost.
Without `loader`, metrics are those that are logged under "<task>/<name>" (Lightning) or "eval_<task>/<name>".
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Unpack

from torch import nn

from winnow.engine.jobs.loop_values import Losses, Metrics, RunStopped
from winnow.engine.jobs.recorded_spec import Told
from winnow.engine.jobs.recording import Recorder, record
from winnow.engine.sparsity.proximal import Proximal


def lightning_callback(name: str, example: Any, net: str = "", **more: Unpack[Told]) -> Any:
    """Return a Lightning callback that records the fit.

    Args:
        name: the name of the run.
        example: an input of the network.
        net: which attribute of the LightningModule is the network, "" for the module itself.
        more: as for `engine.jobs.recording.record`.

    Raises:
        ValueError: Lightning is not installed.

    """
    base = _base("lightning.pytorch", "lightning").Callback
    return type("WinnowCallback", (_Lightning, base), {})(Recorded(name, example, net, more))


def huggingface_callback(name: str, example: Any, net: str = "", **more: Unpack[Told]) -> Any:
    """Return a Hugging Face `TrainerCallback` that records the training; the arguments of `lightning_callback`.

    Raises:
        ValueError: transformers is not installed.

    """
    base = _base("transformers", "huggingface").TrainerCallback
    return type("WinnowCallback", (_HuggingFace, base), {})(Recorded(name, example, net, more))


def _base(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(
            f"`{extra}` must be installed for its callback, got {error}. Run: pip install 'winnow-mtl[{extra}]'"
        ) from error


class Recorded:
    """A recorder that begins with the training and ends with it, or with the stop that the page asks for."""

    def __init__(self, name: str, example: Any, net: str, more: Told) -> None:
        self._name, self._example, self._net, self._more = name, example, net, more
        self._recorder: Recorder | None = None

    @property
    def tasks(self) -> Iterable[str]:
        """The names of the tasks, longest first."""
        return sorted(self._more.get("tasks", {}), key=len, reverse=True)

    @property
    def judges(self) -> bool:
        """Whether the run itself evaluates the network after an epoch."""
        return "loader" in self._more

    def begin(self, module: nn.Module, optimizers: Iterable[Any]) -> None:
        """Make the run folder.

        Raises:
            ValueError: there is no `Proximal` among the optimisers, or several.

        """
        found = [own for own in map(_unwrapped, optimizers) if isinstance(own, Proximal)]
        if len(found) != 1:
            raise ValueError(
                f"`optimizers` must hold one winnow.engine.Proximal, got {len(found)}. Wrap the optimiser in it."
            )
        net = module.get_submodule(self._net)
        self._recorder = record(self._name, net, self._example, found[0], **self._more)
        self._recorder.__enter__()

    def step(self, losses: Losses) -> bool:
        """Note a step; return whether the run is to stop."""
        if self._recorder is None:
            return False
        try:
            self._recorder.step(losses)
        except RunStopped as stop:
            self.end(stop)
            return True
        return False

    def epoch(self, metrics: Metrics | None) -> None:
        """Write what is known after an epoch."""
        if self._recorder is not None:
            self._recorder.epoch(None if self.judges else metrics)

    def end(self, error: BaseException | None = None) -> None:
        """Write how it ended; nothing where that is written."""
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            recorder.__exit__(None if error is None else type(error), error, None)

    def named(self, found: Mapping[str, Any], prefix: str = "") -> Metrics:
        """Return {task: {name: value}} of what is logged under "<prefix><task>/<name>"."""
        named: dict[str, dict[str, float]] = {}
        for name, value in found.items():
            task, slash, metric = name.removeprefix(prefix).partition("/")
            if slash and name.startswith(prefix) and task in set(self.tasks):
                named.setdefault(task, {})[metric] = float(value)
        return named


def _unwrapped(optimizer: Any) -> Any:
    """Return what Lightning's and Accelerate's wrappers hold."""
    while not isinstance(optimizer, Proximal) and hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


class _Lightning:
    """The hooks of `lightning.pytorch.Callback`."""

    def __init__(self, recorded: Recorded) -> None:
        super().__init__()
        self._recorded, self._seen = recorded, 0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Begin, with optimisers and devices in place."""
        if trainer.is_global_zero:
            self._seen = trainer.global_step
            self._recorded.begin(module, trainer.optimizers)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note a step of the optimiser; batches that accumulate are none."""
        if trainer.global_step == self._seen:
            return
        self._seen = trainer.global_step
        found = outputs if isinstance(outputs, Mapping) else {} if outputs is None else {"loss": outputs}
        parts = getattr(trainer, "accumulate_grad_batches", 1)  # Lightning has divided the loss by it
        losses: Losses = found.get("losses") or ({"": parts * found["loss"]} if "loss" in found else {})
        if self._recorded.step(losses):
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Write what is known after an epoch, its validation included."""
        self._recorded.epoch(self._recorded.named(trainer.callback_metrics))

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """End."""
        self._recorded.end()

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        """End as failed, or as stopped after Ctrl-C."""
        self._recorded.end(exception)


class _HuggingFace:
    """The events of `transformers.TrainerCallback`."""

    def __init__(self, recorded: Recorded) -> None:
        super().__init__()
        self._recorded, self._logged, self._judged = recorded, dict[str, float](), False

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begin."""
        if state.is_world_process_zero:
            self._judged = str(getattr(args.eval_strategy, "value", args.eval_strategy)) == "epoch"
            self._recorded.begin(given["model"], [given["optimizer"]])

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
        """Note a step, with the loss that was logged last."""
        losses, self._logged = self._logged, {}
        if self._recorded.step(losses):
            control.should_training_stop = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **given: Any) -> None:
        """Keep the loss for the next step."""
        if "loss" in (logs or {}):
            self._logged = {"": float(logs["loss"])}

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Write what is known after an epoch, unless its evaluation is to come."""
        if self._recorded.judges or not self._judged:
            self._recorded.epoch({})

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **given: Any) -> None:
        """Write what is known after an epoch with its metrics."""
        if not self._recorded.judges and self._judged:
            self._recorded.epoch(self._recorded.named(metrics or {}, "eval_"))

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """End."""
        self._recorded.end()
