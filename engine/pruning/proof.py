"""Two models compared on every trial: outputs and updated buffers, in float64, and in float32 in evaluation mode.

Nothing of either model is touched: copies with buffers of their own are run (`engine.pruning.precision`), and what is
drawn at random in training mode is the same for both (`engine.pruning.chance`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from winnow.engine.graph.calls import Call, outputs, run
from winnow.engine.graph.copies import Apart
from winnow.engine.graph.modes import in_mode
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.pruning.chance import drawing_alike, random_state, run_placed
from winnow.engine.pruning.precision import full_precision, in_precision, in_type, is_in_type, private
from winnow.engine.pruning.trials import SEED, Trial

FLOAT32, FLOAT64 = 1e-4, 1e-10  # the largest relative error of a certificate
TRAINING = 1e-7  # the same in training mode, in float64: a batch norm divides by deviations that may be small
ROUNDED = "the model is in float64 and rounds to a smaller type inside ({:.0e} of the output): compared without that"
BEHIND = " (in evaluation mode behind it)"


class NotExact(ArithmeticError):  # noqa: N818 - the published name
    """A smaller model does not give the outputs of the original, so it is not returned."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A model and its smaller form, and what is known of how they differ.

    exact: values of parameters of the smaller one before they were rounded to its type. tasks: the outputs to compare;
    None: all.
    """

    model: nn.Module
    small: nn.Module
    exact: Mapping[str, Tensor] = field(default_factory=dict)
    tasks: Sequence[str] | None = None


@dataclass
class Errors:
    """The largest differences, as they are and by the scale (the largest entry) of the tensor expected."""

    absolute: float = 0.0
    relative: float = 0.0
    tensors: int = 0
    elements: int = 0

    def add(self, expected: Tensor, found: Tensor) -> None:
        """Take in one pair of tensors of the same shape."""
        absolute = _difference(expected, found)
        scale = float(expected.abs().nan_to_num(0.0, 0.0).max()) if expected.numel() else 0.0
        self.merge(Errors(absolute, absolute / scale if scale else absolute, 1, expected.numel()))

    def merge(self, other: "Errors") -> None:
        """Take in the errors of another trial."""
        self.absolute, self.relative = max(self.absolute, other.absolute), max(self.relative, other.relative)
        self.tensors, self.elements = self.tensors + other.tensors, self.elements + other.elements


@dataclass
class Proof:
    """What was compared, and how far apart the two were: in float32, in float64, and in training mode (float64).

    `took` are the trials that the model itself takes; `open` says what could not be compared, and why.
    """

    single: Errors = field(default_factory=Errors)
    double: Errors = field(default_factory=Errors)
    training: Errors | None = None
    took: list[Trial] = field(default_factory=list)
    open: dict[str, str] = field(default_factory=dict)

    @property
    def tensors(self) -> int:
        """The output tensors that were compared in float64."""
        return self.double.tensors + (self.training.tensors if self.training else 0)

    @property
    def elements(self) -> int:
        """Their elements."""
        return self.double.elements + (self.training.elements if self.training else 0)


def proved(pair: Pair, trials: Iterable[Trial], modes_alike: bool = False, gradients: bool = False) -> Proof:
    """Return the proof that a smaller model gives what the model gives.

    Args:
        pair: the two models.
        trials: what they are run on.
        modes_alike: whether the model computes the same in both modes (`engine.graph.graph`): then what it gave in
            evaluation mode is what the smaller model must give in training mode.
        gradients: whether gradients are on throughout, for a model that asks; else they are once in each mode.

    Raises:
        NotExact: it does not, or there was nothing to compare; the message names the first trial that failed.

    """
    found, done, double = Proof(), set[str](), _Both(pair, torch.float64, modes_alike, gradients)
    for trial in trials:
        if done.isdisjoint(trial.instead) and _take(found, double, trial):
            done.add(trial.words)
    if not gradients:
        _with_gradients(found, double)
    del double
    single = _Both(pair, torch.float32, gradients=gradients)
    for trial in found.took:
        if trial.single:
            found.single.merge(_judged(single.errors(trial), FLOAT32, torch.float32, trial))
    if not found.elements:
        raise NotExact("`model` must return tensors with elements to be compared, got none. Give a larger example.")
    return found


def _with_gradients(found: Proof, both: "_Both") -> None:
    """Compare with gradients on, on the smallest trial of each mode; what the model does not take so is left out."""
    both.gradients, both.modes_alike = True, False
    ordered = sorted(found.took, key=lambda trial: sum(leaf.numel() for _, leaf in trial.call.tensors()), reverse=True)
    for trial in {bool(trial.call.training): trial for trial in ordered}.values():
        _take(Proof(), both, replace(trial, words=f"{trial.words}, with gradients on", required=False, inputs=-1))


def _take(found: Proof, both: "_Both", trial: Trial) -> bool:
    """Compare on one trial in float64, and note what came of it; return whether the model took it."""
    training = bool(trial.call.training)
    try:
        errors = both.errors(trial)
    except _NotTakenError as error:
        if training and not trial.size:
            found.open["training mode"] = f"the model does not run in it: {error}"
        return False
    if training and both.unanswered and not errors.relative <= TRAINING:
        found.open["training mode"] = f"{', '.join(sorted(both.unanswered))} draws other random numbers"
        return True
    bound = TRAINING if training else FLOAT64
    if not errors.relative <= bound and both.own and is_in_type(both.pair.model, torch.float64):
        both.own, rounded = False, errors.relative
        errors = both.errors(trial)
        found.open["rounding inside"] = ROUNDED.format(rounded)
    _judged(errors, bound, torch.float64, trial)
    found.took.append(trial)
    if training:
        found.training = found.training or Errors()
    (found.training if training and found.training else found.double).merge(errors)
    return True


def _judged(errors: Errors, bound: float, dtype: torch.dtype, trial: Trial) -> Errors:
    if errors.relative <= bound:
        return errors
    raise NotExact(
        f"`model` must give the same outputs when it is compacted, within {bound:g} of their scale in {dtype}, got a "
        f"difference of {errors.relative:.2g} on {trial.words}. Keep the model as it is."
    )


class _NotTakenError(Exception):
    """The model itself does not run on a trial."""


@dataclass(frozen=True, eq=False)
class _Result:
    kind: type
    tensors: list[tuple[str, Tensor]]


class _Both:
    """A model and its smaller form in one precision, run on the same trials in the same order."""

    def __init__(self, pair: Pair, dtype: torch.dtype, modes_alike: bool = False, gradients: bool = False) -> None:
        self.pair, self.dtype, self.modes_alike, self.gradients = pair, dtype, modes_alike, gradients
        self._evaluated: dict[int, _Result] = {}
        self.own = True  # whether a model in this type runs as it is, even if its code asks for another one
        self.draws = False  # whether the model draws at random in evaluation mode
        self.unanswered: set[str] = set()
        self.statistics = any(True for _ in pair.model.buffers())
        self._begin()

    def _begin(self) -> None:
        self._apart = set[int]()  # the ids of the copies that have run
        self.dense = private(self.pair.model, self.dtype)
        self.small = private(self.pair.small, self.dtype, self.pair.exact)

    def errors(self, trial: Trial) -> Errors:
        """Return how far apart the two are on one trial.

        Raises:
            _NotTakenError: the model itself does not run on it.
            NotExact: the smaller one does not, or its outputs have another structure.

        """
        call = trial.call.changed(lambda leaf: in_type(leaf, self.dtype).clone())  # it may be a buffer of the model
        if trial.call.training and (alike := self._as_evaluated(trial, call)) is not None:
            return alike
        with self._precisely():
            try:
                expected = self._run(self.dense, call)
            except Exception as error:
                if trial.required or isinstance(error, NotTraceable):
                    raise
                self._begin()  # the pass may have written into the model before it failed
                raise _NotTakenError(f"{type(error).__name__}: {_line(error)}") from error
            try:
                found = self._run(self.small, call)
            except Exception as error:
                raise NotExact(
                    f"`model` must run when it is compacted, got {type(error).__name__} ({_line(error)}) on "
                    f"{trial.words}. Keep the model as it is."
                ) from error
        if trial.inputs >= 0 and self.modes_alike and not trial.call.training:
            self._evaluated[trial.inputs] = expected
        return self._compared(expected, found, trial)

    @contextmanager
    def _precisely(self) -> Iterator[None]:
        makers, model = not isinstance(self.pair.small, fx.GraphModule), self.pair.model
        gradients = torch.set_grad_enabled(self.gradients)
        with in_precision(model, self.dtype, makers, self.own), full_precision(model), gradients:
            yield

    def _as_evaluated(self, trial: Trial, call: Call) -> Errors | None:
        """Return how far the smaller model in training mode is from the model in evaluation mode, None if too far."""
        expected = self._evaluated.pop(trial.inputs, None)
        if expected is None:
            return None
        try:
            with self._precisely():
                found = self._run(self.small, call, behind=False)
            errors = self._compared(expected, found, trial)
        except Exception:  # noqa: BLE001 - whatever it is, the comparison in full says it
            return None
        return errors if errors.relative <= TRAINING else None

    def _run(self, model: nn.Module, call: Call, behind: bool = True) -> _Result:
        """Run one model; behind a pass in training mode, also in evaluation mode with the statistics of that pass."""
        before = {name: buffer.clone() for name, buffer in model.named_buffers()} if call.training else {}
        try:
            result, tensors = self._passed(model, call)
            if call.training and self.statistics and behind and not self.gradients:
                _, after = self._passed(model, call.in_mode(False))
                tensors += [(f"{path}{BEHIND}", tensor) for path, tensor in after]
        finally:
            for name, buffer in model.named_buffers():
                if name in before:
                    buffer.copy_(before[name])
        of_fx = type(result).__module__.startswith("torch.fx")  # a container that it keeps in a program
        kind = next((base for base in (dict, list) if isinstance(result, base) and of_fx), type(result))
        return _Result(kind, tensors)

    def _passed(self, model: nn.Module, call: Call) -> tuple[Any, list[tuple[str, Tensor]]]:
        apart = nullcontext() if id(model) in self._apart else Apart(self.pair.model, self.pair.small)
        self._apart.add(id(model))
        with apart, in_mode(model, bool(call.training)), drawing_alike(model, call, SEED, self.draws) as chance:
            before = random_state(model)
            result = run(model, call) if chance is None else run_placed(model, call, chance)
            drew = chance is None and not all(map(torch.equal, random_state(model), before))
        if drew and model is self.dense:  # in evaluation mode too, as dropout that is never off: again, drawing alike
            self.draws = True
            return self._passed(model, call)
        if chance is not None:
            self.unanswered |= chance.unanswered
        return result, [(path, tensor.detach()) for path, tensor in outputs(model, result)]

    def _compared(self, expected: _Result, found: _Result, trial: Trial) -> Errors:
        """Compare what the two gave of the outputs asked for."""
        tasks, errors = self.pair.tasks, Errors()
        tops = [path.removesuffix(BEHIND).partition(".")[0] for path, _ in expected.tensors]
        wanted = [pair for top, pair in zip(tops, expected.tensors, strict=True) if tasks is None or top in tasks]
        if tasks is None and expected.kind is not found.kind:
            raise _unlike(f"{expected.kind.__name__} when it is compacted", found.kind.__name__, trial)
        if [path for path, _ in wanted] != [path for path, _ in found.tensors]:
            raise _unlike(f"outputs {[p for p, _ in wanted]}", f"{[p for p, _ in found.tensors]}", trial)
        for (path, one), (_, two) in zip(wanted, found.tensors, strict=True):
            if (one.shape, one.dtype) != (two.shape, two.dtype):
                words = [f"{tuple(part.shape)} of {part.dtype}" for part in (one, two)]
                raise _unlike(f"`{path or 'output'}` as {words[0]}", words[1], trial)
            errors.add(one, two)
        return errors


def _unlike(should: str, found: str, trial: Trial) -> NotExact:
    return NotExact(f"`model` must give {should}, got {found} on {trial.words}. Keep the model as it is.")


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _difference(expected: Tensor, found: Tensor) -> float:
    if not expected.numel() or not (expected.is_floating_point() or expected.is_complex()):
        return float((expected != found).any())
    same = (expected == found) | (expected.isnan() & found.isnan())
    return float(torch.where(same, 0.0, (expected - found).abs()).nan_to_num(nan=float("inf")).max())
