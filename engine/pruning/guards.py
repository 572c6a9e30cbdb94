"""What a smaller model was proved for is what it takes: another argument or size is refused when it comes.

A plain argument (a task's name, a switch, a mask that was left out) may open a path through the model that no call of
the certificate took, and that needs what was removed. The guard looks at it before the forward pass.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from winnow.engine.graph.calls import Call
from winnow.engine.graph.containers import flatten, plain_values

ADVICE = "Compact the model with that call too: compact(model, [Call(…), Call(…)])."


class OnlyCalls:
    """A hook before the forward pass: plain arguments must be those of one of the calls that were compared."""

    def __init__(self, model: nn.Module, calls: Sequence[Call]) -> None:
        self.facts = [_facts(call.named(model)) for call in calls]

    def __call__(self, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise unless the arguments are those of a call that was compared.

        Raises:
            ValueError: none has these plain arguments; the message names the first that differs.

        """
        found = _facts(Call(args, kwargs).named(model))
        nearest = max(self.facts, key=lambda known: sum(found.get(name) == fact for name, fact in known.items()))
        if found in self.facts:
            return
        name = next(name for name in {**nearest, **found} if nearest.get(name) != found.get(name))
        raise ValueError(
            f"`{name}` must be {nearest.get(name, 'left out')}, as in the calls in which the smaller model was "
            f"compared with the whole one, got {found.get(name, 'nothing')}. {ADVICE}"
        )


def guarded(small: nn.Module, model: nn.Module, calls: Sequence[Call]) -> nn.Module:
    """Make a smaller model refuse plain arguments that no call has; a model that takes none is left as it is."""
    if any(call.options(model) for call in calls):
        small.register_forward_pre_hook(OnlyCalls(model, calls), with_kwargs=True)
    return small


def only_shape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Return a tensor of the one shape that a program holds for.

    Raises:
        ValueError: it has another.

    """
    if tuple(x.shape) != tuple(shape):
        raise ValueError(
            f"`input` must be of shape {tuple(shape)}, got {tuple(x.shape)}. "
            "The smaller program fixes sizes; compact the model with an example of that size."
        )
    return x


def only_value(given: Any, value: Any, name: str) -> Any:
    """Return a plain argument, which must have the value that a program was drawn with.

    Raises:
        ValueError: it has another.

    """
    other = isinstance(given, Tensor) or isinstance(given, bool) is not isinstance(value, bool)
    if other or given != value:
        found = "a tensor" if isinstance(given, Tensor) else repr(given)
        raise ValueError(
            f"`{name}` must be {value!r}, as in the call that the program was drawn on, got {found}. Draw the program "
            "again with a call that has this value."
        )
    return given


def _facts(named: Mapping[str, tuple[str, Any]]) -> dict[str, str]:
    """Return what is known of each argument: its plain values, and that there are tensors where there are."""
    found = {}
    for name, (_, value) in named.items():
        plain, tensors = plain_values(value), flatten(value)
        words = [_said(path, leaf) for path, leaf in plain]
        if tensors or words:
            found[name] = ", ".join(["a tensor"] * bool(tensors) + words)
    return found


def _said(path: str, leaf: Any) -> str:
    simple = isinstance(leaf, bool | int | float | complex | str | bytes | type(None))
    words = repr(leaf) if simple else f"a {type(leaf).__qualname__}"
    return f"{path}={words}" if path else words
