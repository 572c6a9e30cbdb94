"""Whether two forms of a model give the same: bit by bit for a rebuilt one, within 1e-4 for one in another runtime.

Both run in evaluation mode on the example, on random inputs, with other numbers of images and at twice the size; what
the model itself does not take is left out.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree

from winnow.engine.export.refusal import NotDescribable
from winnow.engine.graph.examples import batch_size, batched
from winnow.engine.graph.modes import undisturbed
from winnow.engine.pruning.certificate import SEED

Inputs = Mapping[str, Any]
FIXED = "and takes other sizes, which the program drawn on the example does not follow"


def same_everywhere(model: nn.Module, other: nn.Module, inputs: Inputs) -> None:
    """Compare a model with its rebuilt form, bit by bit.

    Raises:
        NotDescribable: they differ, or the rebuilt one takes fewer sizes.

    """
    for words, given in _variants(model, inputs).items():
        try:
            expected = outputs(model, given)
        except Exception:
            if words == "the example":
                raise
            continue
        try:
            found = outputs(other, tuple(given.values()))
        except Exception as error:
            raise NotDescribable(f"`model` should have one program. Found that it runs on {words} {FIXED}.") from error
        if not _equal(expected, found):
            raise NotDescribable(f"`model` should be what its program says. Found other outputs on {words}.")


def outputs(model: nn.Module, given: Inputs | tuple[Any, ...]) -> dict[str, Tensor]:
    """Return the tensors that a model gives, by their place in the result, such as `['depth']`."""
    run = model.forward if isinstance(model, fx.GraphModule) else model  # called itself, it prints what fails
    with undisturbed(model), torch.no_grad():
        torch.manual_seed(SEED)
        result = run(*given) if isinstance(given, tuple) else run(**given)
    leaves, _ = _pytree.tree_flatten_with_path(_plain(result))
    return {_pytree.keystr(path): leaf for path, leaf in leaves if isinstance(leaf, Tensor)}


def relative_error(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """Return the largest difference of any output, by the scale (the largest entry) of that output."""
    worst = 0.0
    for place, one in expected.items():
        other = found[place]
        if other.shape != one.shape:
            return float("inf")
        if not one.numel():
            continue
        difference = float((one.double() - other.double()).abs().nan_to_num(nan=float("inf")).max())
        scale = float(one.double().abs().max())
        worst = max(worst, difference / scale if scale else difference)
    return worst


def _variants(model: nn.Module, inputs: Inputs) -> dict[str, Inputs]:
    few = batched(model, inputs, min(batch_size(inputs), 2))
    return {
        "the example": inputs,
        "one image": batched(model, inputs, 1),
        "one image more": batched(model, inputs, batch_size(inputs) + 1),
        "images of twice the size": {name: _pytree.tree_map(_doubled, value) for name, value in few.items()},
    }


def _doubled(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor) or leaf.dim() < 3:
        return leaf
    return leaf.repeat(1, 1, *[2] * (leaf.dim() - 2))


def _plain(result: Any) -> Any:
    """Return a structure of plain tuples, lists and dicts; fx has kinds of its own."""
    if isinstance(result, dict):
        return {key: _plain(value) for key, value in result.items()}
    if isinstance(result, tuple | list):
        return [_plain(value) for value in result]
    return result


def _equal(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> bool:
    if list(expected) != list(found):
        return False
    pairs = [(one, found[place]) for place, one in expected.items()]
    return all(
        one.dtype == other.dtype
        and one.shape == other.shape
        and bool(((one == other) | (one.isnan() & other.isnan())).all())
        for one, other in pairs
    )
