"""Layers as a class and the arguments of its constructor, and back.

The arguments are read from the layer by the names that its constructor gives them, and its tensors come from the file.
A layer is built without memory ("meta" device): what a document claims costs nothing until tensors of that shape are
there.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.export.allowed import LAYER_NAMES, LAYERS
from winnow.engine.export.arguments import decoded, encoded, refs
from winnow.engine.export.refusal import NotDescribable, NotRebuildable
from winnow.engine.pruning.selecting import Gather, Selecting

ELSEWHERE = ("self", "device", "dtype", "_weight", "_freeze")  # said by the tensors
RECURRENT = "input_size hidden_size num_layers bias batch_first dropout bidirectional"
VARIADIC: dict[type[nn.Module], str] = {  # constructors that do not name their arguments
    nn.LSTM: f"{RECURRENT} proj_size",
    nn.GRU: RECURRENT,
    nn.RNN: f"{RECURRENT} nonlinearity",
}
PRESENT: dict[type[nn.Module], dict[str, str]] = {  # arguments that are told by whether a tensor is there
    nn.MultiheadAttention: {"bias": "in_proj_bias", "add_bias_kv": "bias_k"},
}


def described(path: str, layer: nn.Module) -> dict[str, Any]:
    """Return {class, arguments, training} of a layer.

    Raises:
        NotDescribable: its class is not among those allowed, or an argument cannot be read from it.

    """
    name = LAYER_NAMES.get(type(layer))
    if name is None:
        kind = f"{type(layer).__module__}.{type(layer).__qualname__}"
        raise NotDescribable(f"`model` must have only known layers of torch.nn, got {kind} at `{path}`.")
    return {"class": name, "arguments": encoded(_arguments(path, layer)), "training": layer.training}


def built(path: str, name: str, arguments: Any) -> nn.Module:
    """Return a layer without memory, from its class and arguments.

    Raises:
        NotRebuildable: the class is not allowed, or does not take the arguments.

    """
    if name not in LAYERS:
        raise NotRebuildable(f"`class` must be one of the allowed layers, got {name[:80]!r} at `{path}`.")
    given = decoded(arguments)
    if not isinstance(given, dict) or refs(given) or not all(isinstance(key, str) for key in given):
        raise NotRebuildable(f"`arguments` must map names to values, got something else at `{path}`.")
    try:
        with torch.device("meta"):
            return _constructed(LAYERS[name], given)
    except Exception as error:
        found = str(error).partition("\n")[0]
        raise NotRebuildable(f"`arguments` must suit {name}, got an error at `{path}`: {found}") from error


def _arguments(path: str, layer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(layer, Gather):
        return {"index": len(layer.index), "axis": layer.axis}
    for name, parameter in _signature(type(layer)).items():
        if name in PRESENT.get(type(layer), {}):
            found[name] = getattr(layer, PRESENT[type(layer)][name]) is not None
        elif hasattr(layer, name):
            value = getattr(layer, name)
            found[name] = value is not None if name == "bias" and not isinstance(value, bool) else value
        elif parameter.default is parameter.empty:
            raise NotDescribable(
                f"`model` must have layers that store their arguments, got one without {name} at `{path}`."
            )
    if isinstance(layer, Selecting):
        index = None if layer.index is None else len(layer.index)
        found |= {"index": index, "ones": layer.ones, "axis": layer.axis}
        found |= {} if layer.start is None else {"start": layer.start}
    return found


def _signature(kind: type[nn.Module]) -> dict[str, inspect.Parameter]:
    if kind in VARIADIC:
        plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return {name: inspect.Parameter(name, plain) for name in VARIADIC[kind].split()}
    parameters = inspect.signature(kind.__init__).parameters
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: p for name, p in parameters.items() if name not in ELSEWHERE and p.kind not in variadic}


def _constructed(kind: type[nn.Module], given: dict[str, Any]) -> nn.Module:
    if set(given) & set(ELSEWHERE):
        raise ValueError(f"{sorted(set(given) & set(ELSEWHERE))} must not be in a document")
    if kind is Gather:
        return Gather(_index(given["index"]), int(given["axis"]))
    if not issubclass(kind, Selecting):
        return kind(**given)
    own, start = {name: given.pop(name) for name in ("index", "ones", "axis")}, given.pop("start", None)
    layer: Any = kind(**given)
    layer.register_buffer("index", None if own["index"] is None else _index(own["index"]))
    layer.ones, layer.axis = bool(own["ones"]), int(own["axis"])
    layer.start = None if start is None else int(start)
    return layer  # type: ignore[no-any-return]


def _index(length: int) -> Tensor:
    return torch.empty(length, dtype=torch.int64)
