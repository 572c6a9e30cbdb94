"""A model made from a document: a tree of layers, and a program that is carried out step by step.

No code is made or evaluated. A result is let go of as soon as the last step that uses it is done, so a pass needs no
more memory than the original's.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from winnow.engine.export.arguments import filled
from winnow.engine.export.script import Script


class Holder(nn.Module):
    """A branch of the tree: it has parts, and runs nothing."""


class Rebuilt(nn.Module):
    """A model from a document; it trains, moves and exports as any module does."""

    _script: Script

    def __init__(self) -> None:
        super().__init__()
        self._script = Script()

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Take the original's inputs, by place or by name, and return what the original returns."""
        return self.carry_out(_bound(self._script, inputs, named))

    def carry_out(self, values: dict[str, Any]) -> Any:
        """Run the program on inputs by their names as results."""
        for step in self._script.instructions:
            args = [get(values) for get in step.args]
            values[step.name] = step.call(self, *args, **{name: get(values) for name, get in step.kwargs.items()})
            for name in step.done:
                del values[name]
        return filled(self._script.result, values)


class RebuiltOnImages(Rebuilt):
    """A model with one input; torch.fx can draw it again, so it can be compacted again."""

    def forward(self, images: Tensor) -> Any:
        """Return what the original returns for these images."""
        return self.carry_out({self._script.inputs[0].name: images})


def _bound(script: Script, inputs: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    empty, kind = inspect.Parameter.empty, inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults = script.defaults or {}
    parameters = [
        inspect.Parameter(one.argument, kind, default=defaults.get(one.argument, empty)) for one in script.inputs
    ]
    bound = inspect.Signature(parameters).bind(*inputs, **named)
    bound.apply_defaults()
    return {one.name: bound.arguments[one.argument] for one in script.inputs}
