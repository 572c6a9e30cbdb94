"""What the exports to other runtimes share: inputs of two images or more, a batch that may vary, and the comparison.

torch.export takes sizes 0 and 1 of an example for constants, so the example is brought to two images. It is drawn at
random, of the example's mean and deviation: a file keeps its example, and no image of the user is to leave so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from winnow.engine.export.agreement import alike_calls, exported_outputs, relative_error
from winnow.engine.export.refusal import NotDescribable, NotSame
from winnow.engine.graph.calls import Call, calls
from winnow.engine.graph.examples import images, with_images
from winnow.engine.pruning.proof import FLOAT32
from winnow.engine.pruning.trials import random_like

TRACED, OTHER = 2, 3  # images: in the example that is traced, and in one more that is compared


@dataclass(frozen=True)
class Exported:
    """A file for another runtime, which gave what the model gives.

    relative_error: the largest difference of any output by the scale of that output, over all that was compared.
    compared: what that was. notes: the warnings that the exporter gave, in words.
    """

    path: Path
    bytes: int
    sha256: str
    relative_error: float
    compared: tuple[str, ...]
    notes: tuple[str, ...] = ()


def traced_call(model: nn.Module, example_inputs: Any) -> Call:
    """Return a call in evaluation mode on random inputs like the example, of at least two images, by name.

    Raises:
        NotDescribable: there are calls with other plain arguments or in training mode, of which no file holds two.

    """
    found = alike_calls(model, example_inputs, "Export one file for each.")
    if any(call.training for call in found):
        raise NotDescribable("`example_inputs` must be calls in evaluation mode, got training mode. Leave it out.")
    call = random_like(_by_name(model, found[0]).in_mode(False))
    return with_images(call, max(images(call), TRACED))


def _by_name(model: nn.Module, call: Call) -> Call:
    """Return a call with its inputs by name, where the forward pass names them all."""
    named = {name: value for name, (how, value) in call.named(model).items() if how == "given"}
    return call if any("." in name or name.isdigit() for name in named) else replace(call, args=(), kwargs=named)


def varying(call: Call) -> Any:
    """Return, for each input, that its first axis is the batch, where it is."""
    count, batch = images(call), torch.export.Dim("batch", min=1, max=2**20)

    def axes(leaf: Any) -> Any:
        return {0: batch} if isinstance(leaf, Tensor) and leaf.dim() and len(leaf) == count else None

    args, kwargs = _pytree.tree_map(axes, call.args), {n: _pytree.tree_map(axes, v) for n, v in call.kwargs.items()}
    return kwargs if not args else (*args, *kwargs.values())


def agreed(
    model: nn.Module, example_inputs: Any, run: Callable[[Call], Mapping[str, Tensor]]
) -> tuple[float, tuple[str, ...]]:
    """Return the largest relative error of another runtime, and the inputs that were compared.

    These are the examples of every call and random inputs of their shapes, each as given, with one image, and with
    another number.

    Raises:
        NotDescribable: the model itself does not take one of them.
        NotSame: it is above 1e-4, or the runtime does not take one of them.

    """
    compared: dict[str, float] = {}
    for where, call in _compared_on(model, example_inputs):
        try:
            expected = exported_outputs(model, call)
        except (RuntimeError, ValueError) as error:
            found = str(error).partition("\n")[0]
            raise NotDescribable(
                f"`model` must take any number of images to be exported, got an error on {where}: {found}"
            ) from error
        try:
            compared[where] = relative_error(expected, run(call))
        except Exception as error:  # each runtime has its own kinds
            found = str(error).partition("\n")[0]
            raise NotSame(f"`model` must run when exported, got an error on {where}: {found}") from error
    worst = max(compared, key=lambda where: compared[where])
    if not compared[worst] <= FLOAT32:
        raise NotSame(
            f"`model` must give the same outputs when exported, within {FLOAT32:g} of their scale, "
            f"got a difference of {compared[worst]:.2g} on {worst}."
        )
    return compared[worst], tuple(compared)


def _compared_on(model: nn.Module, example_inputs: Any) -> Iterator[tuple[str, Call]]:
    for given in calls(model, example_inputs):
        call = _by_name(model, given).in_mode(False)
        words, count = call.described(model), images(call)
        for kind, some in (("the example", call), ("normal, of its mean and deviation", random_like(call))):
            for size in dict.fromkeys((count, 1, OTHER if count != OTHER else TRACED)):
                yield f"{kind}: {words}; {size} image{'s' * (size > 1)}", with_images(some, size)


def names_of(found: Iterable[str]) -> list[str]:
    """Return names for outputs by their paths: `depth` for itself, `output_0` for a single one or a place."""
    words = [place.replace(".", "_") for place in found]
    return [word if word and not word[0].isdigit() else f"output_{word or 0}" for word in words]
