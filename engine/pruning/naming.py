"""Numbers that a model's own classes name: how many heads there are, how wide they are together.

`self.heads` in a `view` says how a tensor is cut. Where heads go, such an attribute of the module that runs the `view`
gets the number that is left; whether the module then gives what it gave is tried and compared, never assumed.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

from torch import nn

from winnow.engine.pruning.fitting import expected_shape
from winnow.engine.pruning.plan import Plan

HEADS = re.compile(r"^h$|^nh$|head")
SIZES = re.compile(r"dim|size|width|channel|feature")
Naming = Literal["heads", "all", "none"]
NAMINGS: tuple[Naming, ...] = ("heads", "all", "none")
Named = Mapping[tuple[str, str], int]  # (the path of a module, its attribute): the number that is left


def named_numbers(plan: Plan, naming: Naming) -> dict[tuple[str, str], int]:
    """Return the attributes to rewrite: those that say how many heads there are, or all that hold a size that went.

    Raises nothing: where an attribute could become two different numbers, it is left as it is.
    """
    modules = dict(plan.graph.model.named_modules())
    found: dict[tuple[str, str], int] = {}
    for path, sizes in changing_sizes(plan).items() if naming != "none" else ():
        own = vars(modules[path]) if path in modules else {}
        if type(modules.get(path)).__module__.startswith("torch.nn"):
            continue
        for name, value in own.items():
            wanted = sizes.get(value, set()) if type(value) is int else set()
            if len(wanted) == 1 and (says_heads(name) or (naming == "all" and not HEADS.search(name.lower()))):
                found[path, name] = next(iter(wanted))
    return found


def namings(plan: Plan) -> tuple[Naming, ...]:
    """Return the ways to rewrite the numbers that a model's classes name, each only if it rewrites something else."""
    found: dict[frozenset[tuple[tuple[str, str], int]], Naming] = {}
    for naming in NAMINGS:
        found.setdefault(frozenset(named_numbers(plan, naming).items()), naming)
    return tuple(found.values())


def says_heads(name: str) -> bool:
    """Whether the name of an attribute says that it is the number of heads."""
    return bool(HEADS.search(name.lower())) and not SIZES.search(name.lower())


def changing_sizes(plan: Plan) -> dict[str, dict[int, set[int]]]:
    """Return, by the module that runs it, the sizes of tensors that change: {as it was: what it becomes}."""
    path_of = {event.node: event.path for event in plan.graph.events}
    found: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for carrier in plan.graph.carriers:
        path = path_of.get(carrier.node)
        shape = expected_shape(carrier, plan.liveness.kept) if path is not None and carrier.bears else None
        for was, now in zip(carrier.shape, shape or carrier.shape, strict=True):
            if was != now:
                found[path or ""][was].add(now)
    return found


def rewrite(model: nn.Module, named: Named) -> None:
    """Give modules the numbers that are left."""
    for (path, name), number in named.items():
        module: Any = model.get_submodule(path)
        setattr(module, name, number)
