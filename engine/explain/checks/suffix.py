"""A part of a model, run many times: its suffix from one layer on, or only what some of its outputs depend on.

**Suffix.** It runs from one layer on, with the results of earlier modules from a recorded pass.

In evaluation mode the order in which modules run does not depend on a change at a layer. So every call that was
finished when the layer was called gives the same result again, and the recorded one can replace it; results are kept
for the outermost such modules only, and not of a call that writes into what it is given or hands it on. Nothing is
assumed about the model's structure, and functions between modules run again. Exact, to the bit. Calls are counted per
module, so that a module may be used both before and after the layer.

**Wanted outputs.** Where one task is measured many times, the heads of the others cost time for nothing. Which modules
an output does not depend on is seen by a backward pass over one image. In their place stands what they gave for that
image. This is done only where the wanted outputs for other images are the same to the bit.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from winnow.engine.explain.relevance.sites import Site
from winnow.engine.graph.modes import calling

Call = tuple[nn.Module, int]
_Calls = dict[nn.Module, list[tuple[Any, Any]]]


@dataclass
class Suffix:
    """Use it inside `suffix_of(model, site)`: call `record(images)` once, then `again(images)` as often as you like."""

    model: nn.Module
    site: Site
    _recording: bool = False
    _reached: bool = False
    _counts: Counter[nn.Module] = field(default_factory=Counter)
    _kept: dict[Call, "_Kept"] = field(default_factory=dict)

    def record(self, images: Tensor) -> Any:
        """Return the model's outputs, and keep the results of calls that end before the layer begins."""
        self._kept.clear()
        self._recording, self._reached = True, False
        outputs = self._run(images)
        for own in self._kept.values():
            own.settle()
        return outputs

    def again(self, images: Tensor) -> Any:
        """Return the model's outputs for the images of the last record, run from the layer on."""
        self._recording = False
        for key in [key for key, own in self._kept.items() if own.spoiled()]:
            del self._kept[key]  # what it was is lost: from now on the call is run
        return self._run(images)

    def _run(self, images: Tensor) -> Any:
        self._counts.clear()
        return self.model(images)

    def wrapped(self, module: nn.Module) -> Callable[..., Any]:
        """Return the function that replaces a module's forward."""
        forward = module.forward

        def call(*given: Any, **named: Any) -> Any:
            key = (module, self._counts[module])
            self._counts[module] += 1
            if not self._recording:
                return self._replayed(key, forward, given, named)
            if module is self.site.begins and self.site.end == "input":
                self._reached = True
            over = not self._reached
            before, taken = set(self._kept), _Taken(given, named)
            result = forward(*given, **named)
            over = over and not self._reached
            if over and taken.is_left_alone(result):
                self._keep(key, result, before)
            if module is self.site.module:
                self._reached = True
            return result

        return call

    def _keep(self, key: Call, result: Any, before: set[Call]) -> None:
        """Keep a result instead of those of the modules inside."""
        for inner in set(self._kept) - before:
            del self._kept[inner]
        self._kept[key] = _Kept(result, self._counts.copy())

    def _replayed(self, key: Call, forward: Callable[..., Any], given: Any, named: Any) -> Any:
        if key not in self._kept:
            return forward(*given, **named)
        kept = self._kept[key]
        self._counts = kept.counts.copy()
        return kept.result()


class _Kept:
    """The result of a call, and how often each module had been called at its end.

    A reader may write into a result. One that nobody wrote into while it was recorded is handed out as it is, until
    somebody does; of others each reader gets a copy.
    """

    def __init__(self, result: Any, counts: Counter[nn.Module]) -> None:
        self.counts = counts
        self._copy, self._written, self._handed_out = _copied(result), True, list[int | None]()
        self._first = [(leaf, _version(leaf)) for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]

    def settle(self) -> None:
        """See whether the pass that made the result has written into it."""
        copies = [leaf for leaf in tree_leaves(self._copy) if isinstance(leaf, Tensor)]
        self._written = any(
            version is None or _version(own) != version or not torch.equal(own, copy)
            for (own, version), copy in zip(self._first, copies, strict=True)
        )
        self._first.clear()
        self._handed_out = [_version(copy) for copy in copies]

    def spoiled(self) -> bool:
        """Whether somebody has written into what was handed out as it is."""
        leaves = [leaf for leaf in tree_leaves(self._copy) if isinstance(leaf, Tensor)]
        return not self._written and [_version(leaf) for leaf in leaves] != self._handed_out

    def result(self) -> Any:
        """Return the result."""
        return _copied(self._copy) if self._written else self._copy


class _Taken:
    """The tensors that a call is given, as they are before it."""

    def __init__(self, *given: Any) -> None:
        self._tensors = [(leaf, _version(leaf)) for leaf in tree_leaves(given) if isinstance(leaf, Tensor)]

    def is_left_alone(self, result: Any) -> bool:
        """Whether the call has written into none of them, and its result lies in other memory."""
        if any(version is None or _version(leaf) != version for leaf, version in self._tensors):
            return False
        memory = {_memory(leaf) for leaf, _ in self._tensors}
        return not any(isinstance(leaf, Tensor) and _memory(leaf) in memory for leaf in tree_leaves(result))


def _memory(leaf: Tensor) -> int:
    """Return where the memory of a tensor begins; a sparse one, which has none, stands for itself."""
    return leaf.untyped_storage().data_ptr() if leaf.layout == torch.strided else id(leaf)


def _version(leaf: Tensor) -> int | None:
    """Return how often a tensor was written into, None where torch does not count."""
    return None if leaf.is_inference() else leaf._version


def _copied(result: Any) -> Any:
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, result)


@contextmanager
def suffix_of(model: nn.Module, site: Site) -> Iterator[Suffix]:
    """Yield the suffix of a model after a site."""
    suffix = Suffix(model, site)
    with ExitStack() as stack:
        for module in list(model.modules()):
            if module is not model:
                stack.enter_context(calling(module, suffix.wrapped(module)))
        yield suffix


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
    except Exception:  # noqa: BLE001 - whatever a model's own code makes of what stands for a module: run it all
        return False
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
