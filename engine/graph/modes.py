"""A model held in a state for a while, and given back as it was, however the work ends.

with evaluating(model):              every module in evaluation mode
with in_mode(model, training):        the mode asked for, by the model's own `train` or `eval`
with undisturbed(model):             the same, and the state of torch's random numbers kept
with while_timed(model, inputs):         evaluation mode while passes are timed; what they store is taken back
with statistics_kept(model):         batch norms in training mode leave their running statistics alone
with requiring_grad(parameters, wanted):  parameters that ask for gradients, or that do not
with calling(module, function):      a module that calls a function in the place of its forward
with modules_called():               attention layers run their modules, not torch's one kernel for all of them
with memory_unfilled():              deterministic algorithms do not fill new memory first, which is not to be timed
with told_of_gradients(note):        `note` is called where somebody asks `torch.is_grad_enabled`
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import deterministic

from winnow.engine.graph.preserving import Changes, Writes, state_kept

_filling: Any = deterministic  # a module with a property, of which its type knows nothing


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module in evaluation mode, and each back into the mode that it was in.

    What a `train` of the model's own does besides, such as merging weights, is taken back too.
    """
    modes = [(module, module.training) for module in model.modules()]
    own = any(has_own_modes(module) for module, _ in modes)
    if not own and any(training for _, training in modes):
        model.eval()
    try:
        with _taken_back(model, model.eval) if own else nullcontext():
            yield
    finally:
        for module, training in modes:
            if module.training is not training:
                module.training = training


def has_own_modes(module: nn.Module) -> bool:
    """Whether a module does more than note its mode where it is put into one; torch's own classes do not."""
    kind = type(module)
    own = not {"train", "eval"}.isdisjoint(vars(module))
    return own or any(getattr(way, "__module__", "").partition(".")[0] != "torch" for way in (kind.train, kind.eval))


@contextmanager
def _taken_back(model: nn.Module, switch: Callable[[], object]) -> Iterator[None]:
    """Put a model into a mode by code of its own; afterwards, take back what that changed besides the modes."""
    changes = Changes(model)
    try:
        switch()
        changes.end()
        yield
    finally:
        changes.restore()


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Hold a model in a mode for a while, by its own `train` or `eval`; give every module its mode back."""
    own = training and any(map(has_own_modes, model.modules()))
    with evaluating(model), _taken_back(model, model.train) if own else nullcontext():
        if training and not own:
            model.train()
        yield


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode; give it back its modes, and torch its random state."""
    devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
    with evaluating(model), torch.random.fork_rng(devices=sorted(devices, key=str)):
        yield


@contextmanager
def while_timed(model: nn.Module, inputs: Mapping[str, Any]) -> Iterator[None]:
    """Hold a model in evaluation mode while its passes are timed; give it back as it was, whatever they store.

    A first pass, which nobody times, tells the parameters that passes write into.
    """
    with evaluating(model), state_kept(model) as state:
        with torch.no_grad(), Writes(state):
            model(**inputs)
        yield


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Within it, batch norms in training mode normalise by the batch and keep their running statistics as they are."""
    tracking = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True


@contextmanager
def requiring_grad(parameters: Iterable[nn.Parameter], wanted: bool) -> Iterator[None]:
    """Let parameters require gradients, or not; those that are changed are changed back afterwards."""
    changed = [parameter for parameter in parameters if parameter.requires_grad != wanted]
    for parameter in changed:
        parameter.requires_grad_(wanted)
    try:
        yield
    finally:
        for parameter in changed:
            parameter.requires_grad_(not wanted)


@contextmanager
def calling(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Let a module call another function instead of its forward."""
    own = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own


@contextmanager
def modules_called() -> Iterator[None]:
    """Let attention layers run module by module: in torch's fast path none is called, and no hook on one is heard."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def memory_unfilled() -> Iterator[None]:
    """Let torch hand out memory as it finds it, also where it computes by deterministic algorithms."""
    before = _filling.fill_uninitialized_memory
    fill_memory(False)
    try:
        yield
    finally:
        fill_memory(before)


def fill_memory(wanted: bool) -> None:
    """Let deterministic algorithms fill new memory with NaN first, or not, for good."""
    _filling.fill_uninitialized_memory = wanted


@contextmanager
def told_of_gradients(note: Callable[[], object]) -> Iterator[None]:
    """Call a function wherever `torch.is_grad_enabled` is asked; no operation shows that."""
    module: Any = torch

    def told() -> bool:
        note()
        return torch._C.is_grad_enabled()

    module.is_grad_enabled = told
    try:
        yield
    finally:
        module.is_grad_enabled = torch._C.is_grad_enabled
