"""What a document may name: layers of torch.nn and ours, functions, methods and attributes. Nothing else is looked up.

These are the operations that the channel graph knows (`engine.graph.rules`), so whatever `compact` returns can be
written down; and a few more that make tensors or look at sizes. A name is a key of these tables and never a path that
is followed: no name of a document reaches `getattr`, an import or the interpreter but through them.
"""

import builtins
import operator
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.graph.following import SIZES
from winnow.engine.graph.rules import FUNCTION_RULES, MODULE_RULES
from winnow.engine.pruning.selecting import SELECTING, Gather

SPACES = {"torch": torch, "torch.nn.functional": functional, "operator": operator}
MAKERS = "arange linspace zeros ones full eye meshgrid outer tril triu diag rand randn broadcast_tensors"
OPERATORS = "xor invert iadd isub imul itruediv"
METHOD_SIZES = SIZES - {"type"}
NOT_HERE = ("SyncBatchNorm",)  # it needs a process group
KNOWN = [name for name in FUNCTION_RULES if "empty" not in name]  # which would show what lies in memory


def _layers() -> dict[str, type[nn.Module]]:
    found: dict[str, type[nn.Module]] = {f"torch.nn.{name}": getattr(nn, name) for name in MODULE_RULES}
    ours = {f"winnow.{layer.__name__}": layer for layer in (*SELECTING.values(), Gather)}
    return {name: layer for name, layer in (found | ours).items() if layer.__name__ not in NOT_HERE}


def _functions() -> dict[str, Callable[..., Any]]:
    names = [*KNOWN, *MAKERS.split(), *OPERATORS.split()]
    in_place = [f"{name}_" for name in KNOWN]
    found = {
        f"{space}.{name}": getattr(home, name, None) for space, home in SPACES.items() for name in (*names, *in_place)
    }
    return {name: call for name, call in found.items() if isinstance(call, FunctionType | BuiltinFunctionType)}


def _methods() -> frozenset[str]:
    names = {*KNOWN, *METHOD_SIZES, *(f"{name}_" for name in KNOWN)}
    return frozenset(name for name in names if callable(getattr(Tensor, name, None)))


LAYERS: Mapping[str, type[nn.Module]] = MappingProxyType(_layers())
FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(_functions())
METHODS = _methods()
ATTRIBUTES = frozenset({*METHOD_SIZES, "T", "mT", "data", "values", "indices"})

LAYER_NAMES: Mapping[type[nn.Module], str] = MappingProxyType({layer: name for name, layer in LAYERS.items()})
FUNCTION_NAMES: Mapping[Callable[..., Any], str] = MappingProxyType(
    {call: name for name, call in reversed(list(FUNCTIONS.items()))}
)
GETATTR = builtins.getattr
