"""Only what some of a model's outputs depend on: the other modules are not run for a while.

Where one task is measured many times, the heads of the others cost time for nothing. Which modules an output does not
depend on is seen by a backward pass over one image. In their place stands what they gave for that image. This is done
only where the wanted outputs for other images are the same to the bit, and left undone wherever they are not.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.graph.modes import calling

_Calls = dict[nn.Module, list[tuple[Any, Any]]]


@contextmanager
def running_only(model: nn.Module, images: Any, wanted: Sequence[str]) -> Iterator[None]:
    """Let a model in evaluation mode run only what its wanted outputs depend on; its other outputs then mean nothing.

    Args:
        model: a model with outputs {name: tensor}.
        images: at least two images as the model takes them; with fewer, or with anything but a tensor, all is run.
        wanted: the names of the outputs that must stay what they are.

    """
    with ExitStack() as stack:
        if isinstance(images, Tensor) and len(images) > 1 and images.is_floating_point():
            needless = _needless(model, images[:1], wanted)
            if needless and _same(model, images[1:3], wanted, needless):
                _replace(stack, needless)
        yield


def _replace(stack: ExitStack, needless: dict[nn.Module, Callable[..., Any]]) -> None:
    for module, instead in needless.items():
        stack.enter_context(calling(module, instead))


@torch.no_grad()
def _same(
    model: nn.Module, images: Tensor, wanted: Sequence[str], needless: dict[nn.Module, Callable[..., Any]]
) -> bool:
    """Whether the wanted outputs for other images stay the same, to the bit, without the modules."""
    whole = model(images)
    try:
        with ExitStack() as stack:
            _replace(stack, needless)
            found = model(images)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError):
        return False  # what stands for a module was not as the model needs it
    return all(torch.equal(found[name], whole[name]) for name in wanted)


def _needless(model: nn.Module, image: Tensor, wanted: Sequence[str]) -> dict[nn.Module, Callable[..., Any]]:
    """Return the outermost modules that no wanted output depends on, each with what stands for it."""
    calls: _Calls = {}
    with torch.enable_grad(), ExitStack() as stack:
        for module in model.modules():
            stack.callback(module.register_forward_hook(_noting(calls)).remove)
        found = model(image.detach().requires_grad_())
        plain = {module: own[0] for module, own in calls.items() if len(own) == 1 and _is_plain(*own[0])}
        results = [result for _, result in plain.values()]
        total = torch.stack([found[name].sum() for name in wanted]).sum()
        grads = torch.autograd.grad(total, results, allow_unused=True) if results else ()
    without = [module for module, grad in zip(plain, grads, strict=True) if grad is None]
    inside = {inner for module in without for inner in module.modules() if inner is not module}
    return {module: _standing_for(module, *plain[module]) for module in without if module not in inside}


def _noting(calls: _Calls) -> Callable[[nn.Module, Any, Any], None]:
    def note(module: nn.Module, given: Any, result: Any) -> None:
        calls.setdefault(module, []).append((given, result))

    return note


def _is_plain(given: Any, result: Any) -> bool:
    """Whether a call took one tensor for one image, and gave one that gradients reach."""
    tensors = len(given) == 1 and isinstance(given[0], Tensor) and isinstance(result, Tensor)
    return tensors and given[0].dim() > 0 < result.dim() and len(given[0]) == len(result) == 1 and result.requires_grad


def _standing_for(module: nn.Module, given: tuple[Tensor], result: Tensor) -> Callable[..., Any]:
    """Return a function that gives a module's result again for each image of the same shape."""
    forward, shape, kept = module.forward, given[0].shape[1:], result.detach().clone()

    def again(*args: Any, **named: Any) -> Any:
        if named or len(args) != 1 or not isinstance(args[0], Tensor) or args[0].shape[1:] != shape:
            return forward(*args, **named)
        return kept.expand(len(args[0]), *kept.shape[1:])

    return again
