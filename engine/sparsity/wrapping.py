"""An optimiser around another one, with the other's param_groups and state.

Learning-rate schedulers, `GradScaler`, trainers and checkpoint libraries ask for a `torch.optim.Optimizer`, read and
set `param_groups`, `state` and `defaults`, register hooks, copy and pickle. All of it works here as on the optimiser
inside.
"""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

Attributes = dict[str, Any]


class Wrapping(Optimizer):
    """Passes everything on to `optimizer`, whose own `step` is refused while something is around it."""

    optimizer: Optimizer

    def __init__(self, optimizer: Optimizer) -> None:
        self.adopt(optimizer)
        super().__setstate__(
            {}
        )  # what torch gives to an optimiser made without its constructor: hooks, a step with them

    def adopt(self, optimizer: Optimizer) -> None:
        """Be around another optimiser from now on; what was around it before may not step it any more."""
        self.optimizer = optimizer
        optimizer.__dict__[_AROUND] = weakref.ref(self)
        optimizer.register_step_pre_hook(_refuse_alone)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The param_groups of the optimiser inside."""
        return self.optimizer.param_groups

    @param_groups.setter
    def param_groups(self, value: list[dict[str, Any]]) -> None:
        self.optimizer.param_groups = value

    @property
    def state(self) -> Any:
        """The state of the optimiser inside."""
        return self.optimizer.state

    @state.setter
    def state(self, value: Any) -> None:
        self.optimizer.state = value

    @property
    def defaults(self) -> dict[str, Any]:
        """The defaults of the optimiser inside."""
        return self.optimizer.defaults

    @defaults.setter
    def defaults(self, value: dict[str, Any]) -> None:
        self.optimizer.defaults = value

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad(set_to_none=set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Let the optimiser inside move more parameters; they are in no group."""
        self.optimizer.add_param_group(param_group)

    @contextmanager
    def hooked(self, closure: Callable[[], Any] | None) -> Iterator[Any]:
        """Run the hooks of the optimiser inside around the whole step: they see all gradients and the final weights.

        Gives what the closure returns, None without one.

        Raises:
            RuntimeError: another one is around the optimiser now.

        """
        inner = self.optimizer
        if inner.__dict__[_AROUND]() is not self:
            raise RuntimeError(
                f"`optimizer` must be in one Proximal, got a {type(inner).__name__} that was given to another one "
                "later: both would take its step. Step the later one; for two penalties, give each an optimiser with "
                "the parameters of its own groups."
            )
        args: tuple[Any, ...] = () if closure is None else (closure,)
        more: dict[str, Any] = {}
        before, after = inner._optimizer_step_pre_hooks, inner._optimizer_step_post_hooks
        for hook in [own for own in before.values() if own is not _refuse_alone]:
            args, more = hook(inner, args, more) or (args, more)
        inner._optimizer_step_pre_hooks, inner._optimizer_step_post_hooks = OrderedDict(), OrderedDict()
        asked = args[0] if args else more.get("closure")
        try:
            with torch.enable_grad():
                loss = asked() if asked is not None else None
            yield loss
        finally:
            inner._optimizer_step_pre_hooks, inner._optimizer_step_post_hooks = before, after
        for hook in list(after.values()):
            hook(inner, args, more)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Within it, the optimiser inside may take a step."""
        self.optimizer.__dict__[_INSIDE] = True
        try:
            yield
        finally:
            del self.optimizer.__dict__[_INSIDE]

    def __getstate__(self) -> Attributes:
        """Return what a copy needs; as with torch's optimisers, hooks and schedulers stay behind."""
        return {
            name: value
            for name, value in self.__dict__.items()
            if name != "step" and not name.startswith(("_optimizer_", "_zero_grad_", "_opt_called"))
        }

    def __setstate__(self, state: Attributes) -> None:
        """Take what `__getstate__` returned, or, from `load_state_dict`, state and param_groups."""
        if "optimizer" not in state:
            self.optimizer.__setstate__(state)
            return
        self.__dict__.update(state)
        self.adopt(self.optimizer)
        super().__setstate__({})


_INSIDE, _AROUND = "_step_of_proximal", "_proximal_around"


def _refuse_alone(optimizer: Optimizer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    if not optimizer.__dict__.get(_INSIDE):
        raise RuntimeError(
            f"`step` must be that of Proximal, got that of the {type(optimizer).__name__} inside it, which would leave "
            "the penalty out. Call `step` of Proximal; GradScaler, schedulers and trainers take Proximal too."
        )


@contextmanager
def set_aside(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Hide the gradients of some parameters, so that an optimiser's step moves the others alone."""
    hidden = {parameter: parameter.grad for parameter in parameters}
    for parameter in hidden:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in hidden.items():
            parameter.grad = gradient
