"""`record` for the trainers of Lightning and of Hugging Face: a callback that makes a run folder of their loop.

    Trainer(callbacks=[lightning_callback("my run", example, net="net", tasks=fields, loader=validation)])
    Trainer(model, arguments, optimizers=(proximal, None), callbacks=[huggingface_callback("my run", example)])

Both find the `Proximal` among the trainer's optimisers, and tell `engine.jobs.recording` of each of its steps, however
many batches one takes, and of each epoch. Stop, pause and strength of the page are obeyed; a stop ends the training as
the trainer does it itself. Of several processes, the first one records.

Lightning: `training_step` may return {"loss": …, "losses": {task: loss}}; otherwise the loss of all tasks is noted.
Hugging Face: the losses are those that the trainer logs. It tells a callback of no exception: such a
run goes on until its process ends, and is lost then, or until the next training, and has failed then.
`example` follows the network to its device and type.
Without `loader`, metrics are those that are logged under "<task>/<name>" (Lightning) or "eval_<task>/<name>", each in
the epoch in which it was measured, and the last one where there are several. Those of several evaluation sets of
Hugging Face, "eval_<set>_<task>/<name>", are named "<name> (<set>)".
"""

import warnings
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Unpack

from torch import Tensor, nn

from winnow.engine.graph.calls import calls
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
        self._taken = 0  # steps of the optimiser that are not recorded yet
        self._open = False  # whether a batch was seen since the last epoch
        self._measured: dict[str, dict[str, float]] = {}
        self._warned = False

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
        self.end(RuntimeError("the training ended without a word before another one began"))
        net = module.get_submodule(self._net)
        self._recorder = record(self._name, net, _beside(net, self._example), found[0], **self._more)
        self._recorder.__enter__()
        self._taken, self._open, self._measured = 0, False, {}
        self._hook = found[0].register_step_post_hook(self._step_taken)

    def _step_taken(self, *_: Any) -> None:
        self._taken += 1

    def note(self, losses: Losses) -> None:
        """Note losses that belong to no step of their own, before their steps."""
        if self._recorder is not None:
            self._recorder.note(losses)

    def logged(self, losses: Losses) -> None:
        """Note losses after their steps: for the epoch that goes on, or the one that has just been written."""
        if self._recorder is not None:
            self._recorder.note(losses, late=not self._open)

    def steps(self) -> bool:
        """Record the steps that the optimiser has taken meanwhile; return whether the run is to stop."""
        taken, self._taken = self._taken, 0
        self._open = True
        if self._recorder is None:
            return False
        try:
            for _ in range(taken):
                self._recorder.step({})
        except RunStopped as stop:
            self.end(stop)
            return True
        return False

    def evaluated(self, metrics: Metrics) -> None:
        """Keep metrics for the epoch that goes on, or add them to the one that has just been written."""
        if self._recorder is None or self.judges:
            return
        if not self._open:
            self._recorder.add(metrics)
            return
        for task, own in metrics.items():
            self._measured.setdefault(task, {}).update({name: float(value) for name, value in own.items()})

    def epoch(self) -> None:
        """Write what is known after an epoch."""
        measured, self._measured, self._open = self._measured, {}, False
        if self._recorder is not None:
            self._recorder.epoch(None if self.judges else measured)

    def end(self, error: BaseException | None = None) -> None:
        """Write how it ended; nothing where that is written."""
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            self._hook.remove()
            recorder.__exit__(None if error is None else type(error), error, None)

    def named(self, found: Mapping[str, Any], prefix: str = "") -> Metrics:
        """Return {task: {name: value}} of what is logged under "<prefix><task>/<name>"; warn once where all is not."""
        named: dict[str, dict[str, float]] = {}
        for name, value in found.items():
            place, slash, metric = name.removeprefix(prefix).partition("/")
            sets = bool(prefix)  # without one, train_<task> is no set to evaluate on
            task = next((own for own in self.tasks if place == own or (sets and place.endswith(f"_{own}"))), None)
            if task and slash and name.startswith(prefix):
                of = place.removesuffix(task).rstrip("_")
                named.setdefault(task, {})[f"{metric} ({of})" if of else metric] = float(value)
        if found and not named and not self.judges and not self._warned:
            self._warned = True
            warnings.warn(
                f"No metric names a task, so none is recorded: {', '.join(list(found)[:5])}. Log it as "
                f'"{prefix}<task>/<name>" with a task of `tasks`, or give the callback a `loader`.',
                stacklevel=2,
            )
        return named


def _beside(net: nn.Module, example: Any) -> Any:
    """Return an example on the device and in the floating-point type of a network, which its trainer has moved."""
    like = next((own for own in net.parameters() if own.is_floating_point()), None)

    def moved(tensor: Tensor) -> Tensor:
        return tensor if like is None else tensor.to(like.device, like.dtype if tensor.is_floating_point() else None)

    return moved(example) if isinstance(example, Tensor) else [own.changed(moved) for own in calls(net, example)]


def _unwrapped(optimizer: Any) -> Any:
    """Return what Lightning's and Accelerate's wrappers hold."""
    while not isinstance(optimizer, Proximal) and hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


class _Lightning:
    """The hooks of `lightning.pytorch.Callback`."""

    def __init__(self, recorded: Recorded) -> None:
        super().__init__()
        self._recorded = recorded
        self._logged: dict[str, Any] = {}

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Begin, with optimisers and devices in place; from now on after callbacks that set weights, as averages do."""
        if trainer.is_global_zero:
            trainer.callbacks = [own for own in trainer.callbacks if own is not self] + [self]
            self._logged = dict(trainer.callback_metrics)
            self._recorded.begin(module, trainer.optimizers)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the losses of a batch, and the steps that the optimiser took on it: none while batches accumulate."""
        found = outputs if isinstance(outputs, Mapping) else {} if outputs is None else {"loss": outputs}
        parts = getattr(trainer, "accumulate_grad_batches", 1)  # Lightning has divided the loss by it
        losses: Losses = found.get("losses") or ({"": parts * found["loss"]} if "loss" in found else {})
        self._recorded.note(losses)
        if self._recorded.steps():
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Write what is known after an epoch, its validation included.

        Lightning goes on showing what an earlier epoch has logged: a metric is new if it is another tensor.
        """
        logged = dict(trainer.callback_metrics)
        new = {name: value for name, value in logged.items() if value is not self._logged.get(name)}
        self._logged = logged
        self._recorded.evaluated(self._recorded.named(new))
        self._recorded.epoch()

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
        self._recorded = recorded

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begin."""
        if state.is_world_process_zero:
            self._recorded.begin(given["model"], [given["optimizer"]])

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
        """Record a step, unless it was skipped as the gradients were not finite."""
        if self._recorded.steps():
            control.should_training_stop = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **given: Any) -> None:
        """Note the loss, the mean since it was logged before; once an epoch it is logged after the epoch's end."""
        if "loss" in (logs or {}):
            self._recorded.logged({"": float(logs["loss"])})

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Write what is known after an epoch; its evaluation may be to come."""
        self._recorded.epoch()

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **given: Any) -> None:
        """Take the metrics of an evaluation, in the middle of an epoch or after it."""
        self._recorded.evaluated(self._recorded.named(metrics or {}, "eval_"))

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """End."""
        self._recorded.end()
