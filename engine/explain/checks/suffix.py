"""The suffix of a model: it runs from one layer on, with the results of earlier modules from a recorded pass.

In evaluation mode the order in which modules run does not depend on a change at a layer. So every call that was
finished when the layer was called gives the same result again, and the recorded one can replace it; results are kept
for the outermost such modules only. Nothing is assumed about the model's structure, and functions between modules run
again. Exact, to the bit. Calls are counted per module, so that a module may be used both before and after the layer.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_map

from winnow.engine.explain.relevance.sites import Site
from winnow.engine.graph.modes import calling

Call = tuple[nn.Module, int]


@dataclass
class Suffix:
    """Use it inside `suffix_of(model, site)`: call `record(images)` once, then `again(images)` as often as you like."""

    model: nn.Module
    site: Site
    _recording: bool = False
    _reached: bool = False
    _counts: Counter[nn.Module] = field(default_factory=Counter)
    _kept: dict[Call, tuple[Any, Counter[nn.Module]]] = field(default_factory=dict)

    def record(self, images: Tensor) -> Any:
        """Return the model's outputs, and keep the results of calls that end before the layer begins."""
        self._kept.clear()
        self._recording, self._reached = True, False
        return self._run(images)

    def again(self, images: Tensor) -> Any:
        """Return the model's outputs for the images of the last record, run from the layer on."""
        self._recording = False
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
            before = set(self._kept)
            result = forward(*given, **named)
            over = over and not self._reached
            if over:
                self._keep(key, result, before)
            if module is self.site.module:
                self._reached = True
            return result

        return call

    def _keep(self, key: Call, result: Any, before: set[Call]) -> None:
        """Keep a result instead of those of the modules inside."""
        for inner in set(self._kept) - before:
            del self._kept[inner]
        self._kept[key] = (_copied(result), self._counts.copy())

    def _replayed(self, key: Call, forward: Callable[..., Any], given: Any, named: Any) -> Any:
        if key not in self._kept:
            return forward(*given, **named)
        result, counts = self._kept[key]
        self._counts = counts.copy()
        return _copied(result)  # a reader may write into it


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
