"""What the exports to other runtimes share: inputs of two images or more, a batch that may vary, and the comparison.

torch.export takes sizes 0 and 1 of an example for constants, so the example is brought to two images. It is drawn at
random, of the example's mean and deviation: a file keeps its example, and no image of the user is to leave so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from winnow.engine.export.agreement import outputs, relative_error
from winnow.engine.export.refusal import NotDescribable, NotSame
from winnow.engine.graph.examples import batch_size, batched
from winnow.engine.graph.trace import named_inputs
from winnow.engine.pruning.certificate import FLOAT32, samples

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


def traced_inputs(model: nn.Module, example_inputs: Any) -> dict[str, Any]:
    """Return random inputs like the example, of at least two images."""
    inputs = named_inputs(model, example_inputs)
    drawn = list(samples(inputs).values())[-1]
    return batched(model, drawn, max(batch_size(inputs), TRACED))


def varying(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return, for each input, that its first axis is the batch, where it is."""
    images, batch = batch_size(inputs), torch.export.Dim("batch", min=1, max=2**20)

    def axes(leaf: Any) -> Any:
        return {0: batch} if isinstance(leaf, Tensor) and leaf.dim() and len(leaf) == images else None

    return {name: _pytree.tree_map(axes, value) for name, value in inputs.items()}


def agreed(
    model: nn.Module, example_inputs: Any, run: Callable[[Mapping[str, Any]], Mapping[str, Tensor]]
) -> tuple[float, tuple[str, ...]]:
    """Return the largest relative error of another runtime, and the inputs that were compared.

    These are the example and random inputs of its shape, each as given, with one image, and with another number.

    Raises:
        NotDescribable: the model itself does not take one of them.
        NotSame: it is above 1e-4, or the runtime does not take one of them.

    """
    inputs = named_inputs(model, example_inputs)
    images = batch_size(inputs)
    compared: dict[str, float] = {}
    for words, given in samples(inputs).items():
        for size in dict.fromkeys((images, 1, OTHER if images != OTHER else TRACED)):
            some = batched(model, given, size)
            where = f"{words}; {size} image{'s' * (size > 1)}"
            try:
                expected = outputs(model, some)
            except (RuntimeError, ValueError) as error:
                found = str(error).partition("\n")[0]
                raise NotDescribable(
                    f"`model` should take any number of images to be exported. Found on {where}: {found}"
                ) from error
            try:
                compared[where] = relative_error(expected, run(some))
            except Exception as error:  # each runtime has its own kinds
                found = str(error).partition("\n")[0]
                raise NotSame(f"`model` should run when exported. Found on {where}: {found}") from error
    worst = max(compared, key=lambda where: compared[where])
    if not compared[worst] <= FLOAT32:
        raise NotSame(
            f"`model` should give the same outputs when exported, within {FLOAT32:g} of their scale. "
            f"Found {compared[worst]:.2g} on {worst}."
        )
    return compared[worst], tuple(compared)


def names_of(found: Mapping[str, Tensor]) -> list[str]:
    """Return names for outputs: `depth` for `['depth']`, `output_0` for a single one."""
    words = ["_".join(part for part in place.replace("]", "").replace("'", "").split("[") if part) for place in found]
    return [word if word and not word[0].isdigit() else f"output_{word or 0}" for word in words]
