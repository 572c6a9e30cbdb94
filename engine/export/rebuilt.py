"""A model made from a document: a tree of layers, and a program that is carried out step by step.

No code is made or evaluated. A result is let go of as soon as the last step that uses it is done, so a pass needs no
more memory than the original's. On inputs of new shapes the program is first carried out without memory
(`engine.export.bounds`).
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.export.arguments import filled
from winnow.engine.export.bounds import Held, elements, signature, without_memory
from winnow.engine.export.refusal import NotRebuildable
from winnow.engine.export.script import Script
from winnow.engine.graph.copies import deep_copy

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
REMEMBERED = 256  # signatures of inputs that were admitted


class Holder(nn.Module):
    """A branch of the tree: it has parts, and runs nothing."""


class Rebuilt(nn.Module):
    """A model from a document; it trains, moves and exports as any module does."""

    _script: Script
    _in_training: Script | None

    def __init__(self) -> None:
        super().__init__()
        self._script, self._in_training = Script(), None
        self._admitted: dict[Any, None] = {}

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Take the original's inputs, by place or by name, and return what the original returns."""
        return self.carry_out(_bound(self._script, inputs, named))

    def carry_out(self, values: dict[str, Any]) -> Any:
        """Run the program of the mode on inputs by their names as results."""
        script = self._in_training if self.training and self._in_training is not None else self._script
        self._admit(script, values)
        return self._run(script, values, None)

    def _run(self, script: Script, values: dict[str, Any], held: Held | None) -> Any:
        for step in script.instructions:
            args = [get(values) for get in step.args]
            kwargs = {name: get(values) for name, get in step.kwargs.items()}
            if step.frozen:
                with torch.no_grad():
                    result = step.call(self, *args, **kwargs)
            else:
                result = step.call(self, *args, **kwargs)
            values[step.name] = result
            if held is not None:
                held.take(step.name, result)
            for name in step.done:
                del values[name]
                if held is not None:
                    held.drop(name)
        return filled(script.result, values)

    def _admit(self, script: Script, values: Mapping[str, Any]) -> None:
        """Carry the program out without memory, once for inputs of these shapes.

        Raises:
            NotRebuildable: it would hold too much, or does not run without memory.

        """
        shapes = signature(values)
        if shapes is None or (key := (self.training, shapes)) in self._admitted:
            return
        with without_memory() as shaped:  # counted in it too: a trace must not see that sizes are used as numbers
            own = sum(tensor.numel() for tensor in [*self.parameters(), *self.buffers()])
            held = Held(own + elements(values))
            try:
                twin = self._without_memory(shaped)
                twin._run(script, {name: shaped(value) for name, value in values.items()}, held)
            except ValueError:  # a refusal, or an argument or size that the program does not hold for
                raise
            except Exception as error:
                raise NotRebuildable(
                    f"`inputs` must be such that the program runs on them, got {type(error).__name__}: "
                    f"{str(error).partition(chr(10))[0][:200]}. Give inputs as the original model takes them."
                ) from error
        if len(self._admitted) >= REMEMBERED:
            self._admitted.clear()
        self._admitted[key] = None

    def _without_memory(self, shaped: Callable[[Any], Any]) -> "Rebuilt":
        """Return a copy whose tensors are shapes and that calls no hooks: nobody sees it, and nothing is written to."""
        kept = [self._script, self._in_training, self._admitted]
        memo: dict[int, Any] = {id(part): part for part in kept}
        memo |= {id(tensor): shaped(tensor.detach()) for tensor in [*self.parameters(), *self.buffers()]}
        twin = deep_copy(self, memo)
        for module in twin.modules():
            for hooks in HOOKS:
                getattr(module, hooks).clear()
            if isinstance(module, nn.modules.batchnorm._NormBase) and module.momentum is None:
                module.momentum = 0.5  # else it reads the number of batches so far, and shapes have no numbers
        return twin


class RebuiltOnImages(Rebuilt):
    """A model with one input; torch.fx can draw it again, so it can be compacted again."""

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Return what the original returns; its input may go by the name that it has there."""
        if not inputs and list(named) == [self._script.inputs[0].argument]:
            inputs, named = tuple(named.values()), {}
        return super().__call__(*inputs, **named)

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
