"""A model held in a state for a while, and given back as it was, however the work ends.

with evaluating(model):              every module in evaluation mode
with in_mode(model, training):        the mode asked for, by the model's own `train` or `eval`
with undisturbed(model):             the same, and the state of torch's random numbers kept
with statistics_kept(model):         batch norms in training mode leave their running statistics alone
with requiring_grad(parameters, wanted):  parameters that ask for gradients, or that do not
with calling(module, function):      a module that calls a function in the place of its forward
with modules_called():               attention layers run their modules, not torch's one kernel for all of them
with told_of_gradients(note):        `note` is called where somebody asks `torch.is_grad_enabled`
with ModeReads(model) as reads:      who asks for the mode while the model runs
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

NORMS = ("torch.nn.modules.batchnorm", "torch.nn.modules.instancenorm")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module in evaluation mode, and each back into the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    if any(training or _has_own_modes(module) for module, training in modes):
        model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            if module.training is not training:
                module.training = training


def _has_own_modes(module: nn.Module) -> bool:
    """Whether a module does more than note its mode where it is put into one."""
    kind = type(module)
    return kind.train is not nn.Module.train or kind.eval is not nn.Module.eval or "eval" in vars(module)


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Hold a model in a mode for a while, by its own `train` or `eval`; give every module its mode back."""
    with evaluating(model):
        if training:
            model.train()
        yield


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode; give it back its modes, and torch its random state."""
    devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
    with evaluating(model), torch.random.fork_rng(devices=sorted(devices, key=str)):
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


class ModeReads:
    """Notes who asks for the mode (`module.training`) while a model runs, so that a second pass may be spared.

    Norms of torch hand the mode to one function, which does the same to the same tensors in both. Whoever else asks
    may take another way. Nothing is noted, and `elsewhere` is true, where somebody could learn the mode unseen: by a
    `train` or an attribute of his own, or while another trace watches.
    """

    def __init__(self, model: nn.Module) -> None:
        self.norms: set[nn.Module] = set()
        self.elsewhere = any(_has_own_modes(module) or _hides_mode(type(module)) for module in model.modules())
        self._watches = False

    @property
    def same(self) -> bool:
        """Whether both modes compute the same: no norm that keeps statistics was run, and nobody else asked."""
        return not self.elsewhere and not any(norm.track_running_stats for norm in self.norms)

    def __enter__(self) -> "ModeReads":
        """Begin to note."""
        module: Any = nn.Module
        self._watches = not self.elsewhere and "training" not in vars(module)
        self.elsewhere = not self._watches
        if self._watches:
            module.training = property(self._asked, _set_mode)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave torch as it was."""
        module: Any = nn.Module
        if self._watches:
            del module.training

    def _asked(self, module: nn.Module) -> bool:
        home = sys._getframe(1).f_globals.get("__name__")
        if home in NORMS and isinstance(module, _NormBase) and not isinstance(module, nn.SyncBatchNorm):
            self.norms.add(module)
        else:
            self.elsewhere = True
        try:
            return bool(vars(module)["training"])
        except KeyError:
            raise AttributeError("training") from None


def _set_mode(module: nn.Module, training: bool) -> None:
    vars(module)["training"] = training


def _hides_mode(kind: type) -> bool:
    return any("training" in vars(base) for base in kind.__mro__ if base is not nn.Module)
