"""Whether two forms of a model give the same: bit by bit for a rebuilt one, within 1e-4 for one in another runtime.

Both run on every call in its modes, on the example and on random inputs, with other numbers of images and at other
resolutions and lengths (`engine.pruning.trials`); what the model itself does not take is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from winnow.engine.export.drawing import plain_value
from winnow.engine.export.refusal import NotDescribable
from winnow.engine.graph.calls import Call, calls, run
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.modes import in_mode, modules_called
from winnow.engine.pruning.gradients import same_gradients
from winnow.engine.pruning.precision import private
from winnow.engine.pruning.proof import NotExact
from winnow.engine.pruning.trials import SEED, Trial, trials

FUSED = 1e-5  # the relative error of adding in another order, in float32
FIXED = "and takes other sizes, which the program drawn on the example does not follow"


def alike_calls(model: nn.Module, example_inputs: Any, way: str) -> tuple[Call, ...]:
    """Return the calls of example inputs, of which one program serves all; `way` says what to do where it cannot.

    Raises:
        NotDescribable: they do not agree in what is no tensor.

    """
    found = calls(model, example_inputs)
    facts = [call.options(model) for call in found]
    if other := next((fact for fact in facts if fact != facts[0]), None):
        raise NotDescribable(
            f"`example_inputs` must be calls with the same plain arguments, got {facts[0]} and {other}. {way}"
        )
    return found


def same_everywhere(model: nn.Module, other: nn.Module, given: Sequence[Call]) -> None:
    """Compare a model with its rebuilt form, bit by bit: outputs, and in training mode the buffers that it updates.

    Raises:
        NotDescribable: they differ, the rebuilt one takes fewer sizes, or trains other parameters.

    """
    dense, rebuilt = private(model), private(other)
    for trial in trials(model, given):
        try:
            expected = _given(dense, trial)
        except Exception:
            if trial.required and not trial.call.training:
                raise
            continue
        try:
            found = _given(rebuilt, trial)
        except Exception as error:
            line = str(error).partition("\n")[0][:300]
            raise NotDescribable(
                f"`model` must have one program for all sizes, got one that runs on {trial.words} {FIXED} ({line})."
            ) from error
        if not _equal(expected, found) and not (
            relative_error(expected, found) <= FUSED and _equal_unfused(dense, rebuilt, trial)
        ):
            raise NotDescribable(
                f"`model` must give the outputs of its program, got others on {trial.words}. Look for a hook, or a "
                "`train` of its own, or keep the code and save its state_dict()."
            )
    try:
        same_gradients(model, other, given)
    except NotExact as error:
        raise NotDescribable(str(error)) from error


def _equal_unfused(dense: nn.Module, rebuilt: nn.Module, trial: Trial) -> bool:
    """Whether two models give the same bits where torch runs the parts of attention layers, not one kernel of its own.

    In evaluation mode that kernel adds in another order; where it leaves out what is padding, it gives other numbers.
    """
    with modules_called():
        return _equal(_given(dense, trial), _given(rebuilt, trial))


def _given(model: nn.Module, trial: Trial) -> dict[str, Tensor]:
    """Return the outputs of a model on a trial, and in training mode its buffers behind it."""
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        found = exported_outputs(model, trial.call)
        buffers = dict(model.named_buffers()) if trial.call.training else {}
        return found | {f"buffer {name}": buffer.clone() for name, buffer in buffers.items()}
    finally:
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(before[name])


def exported_outputs(model: nn.Module, call: Call) -> dict[str, Tensor]:
    """Return the tensors that a model gives on a call in its mode, by their path in the result, such as `depth`."""
    devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
    with in_mode(model, bool(call.training)), torch.no_grad(), torch.random.fork_rng(sorted(devices, key=str)):
        torch.manual_seed(SEED)
        # called itself, an fx.GraphModule prints what fails
        result = model.forward(*call.args, **call.kwargs) if isinstance(model, fx.GraphModule) else run(model, call)
    return dict(flatten(plain_value(result)))


def relative_error(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """Return the largest difference of any output, by the scale (the largest entry) of that output."""
    worst = 0.0
    for place, one in expected.items():
        other = found.get(place)
        if other is None or other.shape != one.shape:
            return float("inf")
        if not one.numel():
            continue
        difference = float((one.double() - other.double()).abs().nan_to_num(nan=float("inf")).max())
        scale = float(one.double().abs().max())
        worst = max(worst, difference / scale if scale else difference)
    return worst


def _equal(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> bool:
    """Whether outputs are the same bits in the same order; buffers may stand in another."""
    ours, theirs = ([name for name in part if not name.startswith("buffer ")] for part in (expected, found))
    pairs: list[tuple[Any, Any]] = [(expected.get(name, value), value) for name, value in found.items()]
    return ours == theirs and all(
        one.dtype == other.dtype
        and one.shape == other.shape
        and bool(((one == other) | (one.isnan() & other.isnan())).all())
        for one, other in pairs
    )
