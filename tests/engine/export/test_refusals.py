"""Documents that are damaged or mean harm are refused before anything of them is made."""

import copy
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tests.engine.graph.zoo import Program
from winnow.engine.export import NotRebuildable, rebuild
from winnow.engine.export.describing import written_architecture

Document = dict[str, Any]


def net() -> nn.Module:
    def program(m: nn.Module, x: Tensor) -> dict[str, Tensor]:
        y = F.relu(m.body[1](m.body[0](x)) * m.scale)
        return {"mean": m.out(y).mean((2, 3)), "size": y.reshape(x.shape[0], -1)}

    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    return Program(program, body=body, out=nn.Conv2d(4, 2, 1), scale=nn.Parameter(torch.ones(1))).eval()


torch.manual_seed(0)
X = torch.randn(2, 3, 8, 8)
NET = net()
DOCUMENT, TENSORS = written_architecture(NET, X)
STEPS = {step["name"]: place for place, step in enumerate(DOCUMENT["program"])}


def first(op: str) -> int:
    return next(place for place, step in enumerate(DOCUMENT["program"]) if step["op"] == op)


def put(*path: Any, value: Any) -> Callable[[Document], None]:
    """Return what puts a value at a place of a document."""

    def change(document: Document) -> None:
        for part in path[:-1]:
            document = document[part]
        document[path[-1]] = value

    return change


def step(op: str, key: str, value: Any) -> Callable[[Document], None]:
    return put("program", first(op), key, value=value)


def layer(key: str, value: Any) -> Callable[[Document], None]:
    return put("layers", "body.0", key, value=value)


def argument(name: str, value: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        pairs = document["layers"]["body.0"]["arguments"]["dict"]
        document["layers"]["body.0"]["arguments"]["dict"] = [pair for pair in pairs if pair[0] != name] + [
            [name, value]
        ]

    return change


def moved(old: str, new: str) -> Callable[[Document], None]:
    """Return what moves a layer, with its tensors and uses, to another path."""

    def change(document: Document) -> None:
        text = json.dumps(document).replace(f'"{old}.', f'"{new}.').replace(f'"{old}"', f'"{new}"')
        document.clear()
        document.update(json.loads(text))

    return change


DAMAGE: dict[str, Callable[[Document], None]] = {
    # what is named
    "unknown class": layer("class", "torch.nn.Bilinear"),
    "class by path": layer("class", "os.system"),
    "class with code": layer("class", "torch.nn.Conv2d.__init__"),
    "unknown function": step("call", "target", "torch.load"),
    "builtin": step("call", "target", "builtins.eval"),
    "function by path": step("call", "target", "torch.nn.functional.__builtins__"),
    "getattr": step("call", "target", "builtins.getattr"),
    "method with underscores": step("method", "target", "__class__"),
    "method by path": step("method", "target", "reshape.__globals__"),
    "method that calls back": step("method", "target", "apply_"),
    "method that writes a file": step("method", "target", "numpy"),
    "attribute with underscores": step("part", "target", "__dict__"),
    "attribute of storage": step("part", "target", "grad_fn"),
    "layer that is not there": step("layer", "target", "body.7"),
    "layer by attribute": step("layer", "target", "body.0.forward"),
    "container as layer": step("layer", "target", "body"),
    "tensor by attribute": step("tensor", "target", "body.0.__class__"),
    "tensor that is not there": step("tensor", "target", "other"),
    "mode by another name": step("tensor", "op", "mode"),
    "unknown kind of step": step("call", "op", "exec"),
    # where it is put
    "path with underscores": moved("out", "__class__"),
    "path over an attribute": moved("out", "forward"),
    "path over a register": moved("out", "_modules"),
    "path within a layer": moved("out", "body.0.out"),
    "path over the program": moved("out", "_script"),
    "path that goes up": moved("out", "../out"),
    # what is given
    "no arguments": layer("arguments", {"dict": []}),
    "arguments as a list": layer("arguments", [3, 4, 3]),
    "an argument too many": argument("hook", "print"),
    "device": argument("device", "cpu"),
    "absurd size": argument("in_channels", 2**40),
    "absurd size that fits": argument("out_channels", 2**30),
    "absurd kernel": argument("kernel_size", {"tuple": [2**30, 2**30]}),
    "negative size": argument("out_channels", -4),
    "wrong size": argument("out_channels", 5),
    "size as text": argument("out_channels", "4"),
    "a node in a constructor": argument("out_channels", {"node": "x"}),
    "padding mode": argument("padding_mode", "__class__"),
    "long word": argument("padding_mode", "z" * 300),
    "unknown kind of value": step("call", "args", [{"object": "os"}]),
    "two kinds at once": step("call", "args", [{"tuple": [], "dict": []}]),
    "empty kind": step("call", "args", [{}]),
    "dtype by path": step("call", "args", [{"dtype": "float32.__class__"}]),
    "device by path": step("call", "args", [{"device": "../../dev"}]),
    "float that is none": step("call", "args", [{"float": "12"}]),
    "slice of four": step("call", "args", [{"slice": [1, 2]}]),
    "arguments that are none": step("call", "args", {"tuple": []}),
    "keywords that are none": step("call", "kwargs", []),
    "keyword that is no word": step("call", "kwargs", {"dict": [[1, 2]]}),
    "deep arguments": step("call", "args", json.loads("[" * 40 + "]" * 40)),
    "very deep arguments": step("call", "args", json.loads("[" * 900 + "]" * 900)),
    # how it refers
    "a later result": step("layer", "args", [{"node": DOCUMENT["program"][-1]["name"]}]),
    "an unknown result": step("layer", "args", [{"node": "y"}]),
    "a method of a word": step("method", "args", ["abc", -1]),
    "a method of nothing": step("method", "args", []),
    "a name twice": step("call", "name", "x"),
    "a name with code": step("call", "name", "a; import os"),
    "a result of nowhere": put("result", value={"node": "nowhere"}),
    "an input twice": lambda document: document["inputs"].append(document["inputs"][0]),
    "a default that is a node": lambda document: document["inputs"][0].update(optional=True, default={"node": "x"}),
    # tensors
    "a tensor less": lambda document: document["tensors"].pop("out.bias"),
    "a tensor more": put("tensors", "more", value=DOCUMENT["tensors"]["scale"]),
    "a shape": put("tensors", "out.bias", "shape", value=[3]),
    "a type": put("tensors", "out.bias", "dtype", value="float64"),
    "a buffer for a parameter": put("tensors", "out.bias", "parameter", value=False),
    "a parameter for a buffer": put("tensors", "body.1.running_mean", "parameter", value=True),
    "gradients of a count": put("tensors", "body.1.num_batches_tracked", "trainable", value=True),
    "a layout": put("tensors", "out.bias", "channels_last", value=True),
    "tied to nothing": put("tied", value={"twin": "nothing"}),
    "tied over another": put("tied", value={"out.bias": "scale"}),
    "tied without use": put("tied", value={"twin": "scale"}),
    # form
    "another version": put("format_version", value=2),
    "a version as text": put("format_version", value="1"),
    "a key more": put("code", value="print()"),
    "a key less": lambda document: document.pop("program"),
    "a mode as a number": put("training", value=1),
    "layers as a list": put("layers", value=[]),
    "a layer used by no name": put("layers", value={"": DOCUMENT["layers"]["out"]}),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_it_is_refused(name: str):
    document = copy.deepcopy(DOCUMENT)
    DAMAGE[name](document)
    with pytest.raises(NotRebuildable, match=r"must .*got"):
        rebuild(document, dict(TENSORS))


@pytest.mark.parametrize("document", [None, [], "text", 3, {}])
def test_what_is_no_document_is_refused(document: Any):
    with pytest.raises(NotRebuildable, match="must"):
        rebuild(document, {})


def test_tensors_must_be_those_of_the_document():
    for change in (
        lambda tensors: tensors.pop("scale"),
        lambda tensors: tensors.update(more=torch.zeros(1)),
        lambda tensors: tensors.update({"out.bias": torch.zeros(3)}),
        lambda tensors: tensors.update({"out.bias": torch.zeros(2, dtype=torch.float64)}),
    ):
        tensors = dict(TENSORS)
        change(tensors)
        with pytest.raises(NotRebuildable, match=r"`(tensors|scale|out\.bias)` must"):
            rebuild(DOCUMENT, tensors)


def test_the_undamaged_one_is_taken():
    found = rebuild(DOCUMENT, dict(TENSORS))(X)
    for name, value in NET(X).items():
        assert torch.equal(found[name], value)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(["__class__", "body.0", "x", "torch.load", "eval", "out"]),
)
PARTS = {key: list(DOCUMENT[key]) for key in ("layers", "tensors")} | {
    key: list(range(len(DOCUMENT[key]))) for key in ("program", "inputs")
}
PLACES = [(key, part) for key, parts in PARTS.items() for part in parts] + [("result",), ("training",), ("tied",)]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(place=st.sampled_from(PLACES), value=LEAVES, deeper=st.integers(0, 4), wrap=st.booleans())
def test_any_change_is_refused_or_harmless(place: tuple[Any, ...], value: Any, deeper: int, wrap: bool):
    document = copy.deepcopy(DOCUMENT)
    parent: Any = document
    for part in place[:-1]:
        parent = parent[part]
    key = place[-1]
    if isinstance(parent[key], dict) and parent[key] and deeper:
        parent, key = parent[key], list(parent[key])[deeper % len(parent[key])]
    parent[key] = [value] if wrap else value
    before = os.listdir(".")
    try:
        model = rebuild(document, dict(TENSORS))
    except NotRebuildable:
        return
    assert isinstance(model, nn.Module)  # such as another mode, or a constant for a result
    assert os.listdir(".") == before
