"""What a loop of the user's own hands over, checked before it is used: losses, metrics, images and targets.

Whatever cannot be right is refused by name: a loss that was not reduced, a target whose shape would be stretched
against the output, a class that there is not.
"""

import math
import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from winnow.data.blame import error_line, users_line
from winnow.data.kinds import KINDS
from winnow.data.sample import Field
from winnow.engine.graph.calls import numbers
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.tasks.task import Task
from winnow.engine.training.divergence import NonFiniteLossError, refuse_diverged

Losses = Tensor | float | Mapping[str, Tensor | float]
Metrics = Mapping[str, Mapping[str, float | Tensor]]
LoopState = Literal["new", "open", "ended"]
LONGEST_NAME = 80  # characters of a metric's name
UNKNOWN = "Where it is not known, give float('nan') or leave it out."


class RunStopped(BaseException):
    """The page asked the run to stop: `run.step` raises it, and the `with` block ends there."""


def how_ended(error: BaseException | None) -> Literal["done", "stopped", "failed"]:
    """Return what has become of a loop that was left with this error, or without one."""
    if error is None:
        return "done"
    plain = isinstance(error, RunStopped | KeyboardInterrupt | GeneratorExit)
    return "stopped" if plain or (isinstance(error, SystemExit) and not error.code) else "failed"


def told_losses(losses: Any, tasks: Mapping[str, Task]) -> dict[str, Tensor | float]:
    """Return {task: loss}, or {"": loss} where there is one for all; tensors are detached, and not waited for.

    Raises:
        ValueError: a loss of a task that there is not, or one that is no single number.

    """
    named = losses if isinstance(losses, Mapping) else {"": losses}
    if unknown := [str(task) for task in named if task and task not in tasks]:
        raise ValueError(
            f"`losses` must name tasks, {', '.join(tasks)}, got {', '.join(unknown)}. Leave out losses that belong to "
            f"no task."
        )
    return {task: _loss(task, loss) for task, loss in named.items()}


def _loss(task: str, loss: Any) -> Tensor | float:
    of = f" of {task}" if task else ""
    if isinstance(loss, Tensor):
        if loss.numel() != 1 or loss.is_complex():
            found = f"{str(loss.dtype).removeprefix('torch.')} of shape {tuple(loss.shape)}"
            raise ValueError(f"`losses` must hold one number{of}, got {found}. Give the mean: loss.mean().")
        return loss.detach().reshape(())
    return _number(
        loss, f"`losses` must hold a number or a tensor of one number{of}", "Where there is none, leave it out."
    )


def told_metrics(metrics: Any, tasks: Mapping[str, Task]) -> dict[str, dict[str, float]]:
    """Return {task: {name: number}}.

    Raises:
        ValueError: another form, a task that there is not, a name that cannot be written, a value that is no number.

    """
    form = "`metrics` must be {task: {name: number}}"
    if not isinstance(metrics, Mapping):
        raise ValueError(f"{form}, got {type(metrics).__name__}.")
    if unknown := [str(task) for task in metrics if task not in tasks]:
        raise ValueError(f"`metrics` must name tasks, {', '.join(tasks)}, got {', '.join(unknown)}.")
    for task, own in metrics.items():
        if not isinstance(own, Mapping):
            raise ValueError(f'{form}, got {type(own).__name__} for {task}. Give its name: {{"{task}": {{"…": …}}}}.')
    return {
        task: {
            _name(name): _number(value, f"`metrics` must hold a number for {name}", UNKNOWN)
            for name, value in own.items()
        }
        for task, own in metrics.items()
    }


def _name(name: Any) -> str:
    if isinstance(name, str) and name.isprintable() and 0 < len(name) <= LONGEST_NAME:
        return name
    raise ValueError(
        f"`metrics` must have names of 1 to {LONGEST_NAME} printable characters, got {str(name)[:LONGEST_NAME]!r}."
    )


def _number(value: Any, must: str, otherwise: str) -> float:
    single = np.size(value) == 1 and not np.iscomplexobj(value) if isinstance(value, np.ndarray | np.number) else True
    if isinstance(value, Tensor):
        single = value.numel() == 1 and not value.is_complex()
    if not isinstance(value, Tensor | np.ndarray | np.number | np.bool_ | int | float) or not single:
        found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor | np.ndarray) else type(value).__name__
        raise ValueError(f"{must}, got {found}. {otherwise}")
    try:
        return float(value.item() if isinstance(value, Tensor | np.ndarray) else value)
    except OverflowError as error:
        raise ValueError(f"{must}, got one that is too large for a float. {otherwise}") from error


def fitting_images(images: Tensor, like: Tensor) -> Tensor:
    """Return images (B, C, H, W) if the network can take them as it takes the example `like`.

    Raises:
        ValueError: another number of dimensions or channels, or another type.

    """
    fits = images.dim() == 4 and images.shape[1] == like.shape[1] and images.dtype == like.dtype
    if not fits:
        expected = f"{_kind(like)} (B, {like.shape[1]}, H, W), as `example` is"
        raise ValueError(f"`loader` must give images in {expected}, got {_kind(images)} {tuple(images.shape)}.")
    return images


def fitting_target(name: str, field: Field, target: Tensor, images: Tensor, values: bool) -> Tensor:
    """Return the target of a task as its loss takes it, whole numbers in int64; `values`: look at each value, too.

    Raises:
        ValueError: another shape or type than that of the field's kind, or a value that it cannot have.

    """
    kind = KINDS[field.kind]
    shape = (len(images), *kind.shape((images.shape[2], images.shape[3]), len(field.classes)))
    if tuple(target.shape) != shape:
        raise ValueError(f"`loader` must give targets of shape {shape} for {name}, got {tuple(target.shape)}.")
    if target.is_complex() or (kind.whole and target.is_floating_point()):
        expected = kind.expected(len(field.classes)) if kind.whole else "real numbers"
        raise ValueError(f"`loader` must give {expected} for {name} ({field.kind}), got {_kind(target)}.")
    if field.kind == "depth" and not target.is_floating_point():
        raise ValueError(
            f"`loader` must give floating-point depth in {field.unit} for {name}, got {_kind(target)}. Where it is in "
            "millimetres: target.float() / 1000."
        )
    found = target.long() if kind.whole else target if target.is_floating_point() else target.float()
    for verdict in kind.verdicts(found.float().cpu().numpy(), len(field.classes), field.unit) if values else []:
        if not verdict.right.all():
            first = verdict.values[~verdict.right].flat[0]
            missing = f" Mark what is not labelled as {kind.missing:g}."
            raise ValueError(f"`loader` must give {verdict.expected} for {name}, got {first:g}.{missing}")
    return found


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


class Watch:
    """Whether a loop trains what is recorded: the network keeps its parameters, Proximal steps, weights are numbers."""

    def __init__(self, net: nn.Module, proximal: Proximal) -> None:
        self._net, self._proximal = net, proximal
        self.state: LoopState = "new"
        self._pid = os.getpid()
        self._numbers, self._layers = numbers(net.parameters()), _layers(net)
        self._moved = False
        proximal.register_step_post_hook(self._step)
        self._losses = ""  # the first one that was no number
        self._told = False

    def refuse_unless(self, wanted: LoopState) -> None:
        """Raise where a recorder is used before, after or twice in its `with` block.

        Raises:
            RuntimeError: it is in another state than the one that is wanted.

        """
        if self.state != wanted:
            found = {"new": "a call outside of it", "open": "another one within it", "ended": "a call after it"}
            raise RuntimeError(
                f"`run` must be used in its one `with` block, got {found[self.state]}. Call record() for another run."
            )

    def refuse_epoch(self) -> None:
        """Raise where an epoch cannot be recorded now.

        Raises:
            RuntimeError: it is not within the `with` block.
            ValueError: the network was moved to another type or device, or its layers were changed, meanwhile.

        """
        self.refuse_unless("open")
        if other := self._other_numbers():
            raise ValueError(
                f"`net` must stay as it was when the recording began, {self._numbers}, got {other}. Move it back "
                "before `run.epoch`, take torch.autocast for half precision, or move a copy: copy.deepcopy(net). To "
                "train in another type or on another device, move it before record()."
            )
        self.refuse_layers()

    def refuse_layers(self) -> None:
        """Raise where the network consists of other layers than when the recording began."""
        now = _layers(self._net)
        if changed := [name for name in {**self._layers, **now} if now.get(name) != self._layers.get(name)]:
            before, after = (own.get(changed[0], "nothing") for own in (self._layers, now))
            raise ValueError(
                f"`net` must keep its layers while it is recorded, got {after} instead of {before} in {changed[0]}. "
                "End the `with` block, make groups and optimiser from the changed network, and call record() again."
            )

    def _other_numbers(self) -> str:
        now = numbers(self._net.parameters())
        return now if now != self._numbers else ""

    def leave(self) -> bool:
        """End the `with` block; return False where it has ended, or in a process that the loop forked."""
        if self.state == "ended" or os.getpid() != self._pid:
            return False
        self.state = "ended"
        return True

    def _step(self, *_: Any) -> None:
        self._moved = True

    def losses(self, values: Mapping[str, float], step: int) -> None:
        """Remember the first mean loss that is no number."""
        self._told |= bool(values)
        odd = [task for task, value in values.items() if not math.isfinite(value)]
        if odd and not self._losses:
            self._losses = f"a loss{f' of {odd[0]}' if odd[0] else ''} was NaN or infinite before step {step + 1}"

    @staticmethod
    def images(images: Any, otherwise: int | None) -> float:
        """Return how many images a step saw, NaN where that is not told; raise where it is no whole number."""
        given = otherwise if images is None else images
        if given is None:
            return math.nan
        if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < 0:
            raise ValueError(f"`images` must be a whole number of images, got {given!r}. Give len(images).")
        return float(given)

    @torch.no_grad()
    def norms(self) -> bool:
        """Take the norms of the weights as they are now, whoever set them; return whether they were others."""
        found = [bank.norms() for bank in self._proximal.banks]
        same = all(
            torch.allclose(own, old, equal_nan=True) for own, old in zip(found, self._proximal.norms, strict=True)
        )
        if not same:
            self._proximal.norms = found
        return not same

    def diverged(self) -> str:
        """Return which weight is no number, in words, or ""."""
        try:
            refuse_diverged(self._net, {}, "the end")
        except NonFiniteLossError as error:
            return str(error)
        return ""

    @staticmethod
    def failure(error: BaseException | None) -> str:
        """Say in one line what ended a loop, and in which line of the user's own."""
        if error is None:
            return ""
        line = users_line(error)
        return error_line(error) + (f" ({line})" if line else "")

    def said(self, steps: int, since: int) -> list[str]:
        """Return what a reader must know of a loop of so many steps, `since` of them after the last epoch."""
        found = [self._losses] if self._losses else []
        if steps and not self._moved:
            found.append("Proximal.step was never called, so nothing was penalised")
        if steps and not self._told:
            found.append("no loss was told, so there is no curve of it")
        if since:
            found.append(f"{since} steps came after the last `run.epoch`: their metrics and norms are not known")
        if other := self._other_numbers():
            found.append(f"the network was moved from {self._numbers} to {other} after its last epoch")
        if self.norms():
            found.append("the weights changed after the last step: tables and checkpoint are those of the end")
        return found


def _layers(net: nn.Module) -> dict[str, str]:
    """Return what a network consists of: the type of each module, and the shape of each parameter."""
    modules = {name or "the network": type(module).__name__ for name, module in net.named_modules()}
    shapes = {name: f"shape {tuple(own.shape)}" for name, own in net.named_parameters(remove_duplicate=False)}
    return modules | shapes


def unlike_float32(net: nn.Module) -> str:
    """Return the type of a network's numbers where it is not float32, else ""."""
    kinds = {_kind(own) for own in net.parameters() if own.is_floating_point() and own.dtype != torch.float32}
    return ", ".join(sorted(kinds))
