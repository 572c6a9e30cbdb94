"""Tensors are found, and replaced, in every container."""

from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from winnow.engine.graph.containers import flatten, plain_values, replaced

A, B = torch.tensor([1.0]), torch.tensor([2.0])


@dataclass
class Fields:
    seg: Tensor
    loss: Tensor | None = None
    name: str = "x"


@dataclass
class FieldsOfADict(dict):  # its tensors are fields, and it is an empty dict
    seg: Tensor
    depth: Tensor


@dataclass
class OutputLike(OrderedDict):  # as Hugging Face's: fields that are items too
    logits: Tensor
    states: tuple[Tensor, ...] = ()
    loss: Tensor | None = field(default=None)

    def __post_init__(self) -> None:
        for name in ("logits", "states", "loss"):
            if getattr(self, name) is not None:
                self[name] = getattr(self, name)


class Attributes(dict):
    """A dict with attributes."""


class Slotted:
    __slots__ = ("seg",)

    def __init__(self, seg: Tensor) -> None:
        self.seg = seg


class Pair(NamedTuple):
    a: Tensor
    b: Tensor


def _with_attribute() -> Attributes:
    made = Attributes(seg=A)
    made.depth = B
    return made


CASES: dict[str, tuple[Any, list[str]]] = {
    "a tensor": (A, [""]),
    "nested": ({"a": [A, (B,)], "b": {"c": A}}, ["a.0", "a.1.0", "b.c"]),
    "a dataclass": (Fields(A, B), ["seg", "loss"]),
    "a dataclass that is a dict": (FieldsOfADict(A, B), ["seg", "depth"]),
    "an output class": (OutputLike(A, (A, B)), ["logits", "states.0", "states.1"]),
    "a dict with attributes": (_with_attribute(), ["seg", "depth"]),
    "a user dict": (UserDict(a=A), ["a"]),
    "an object": (SimpleNamespace(a=A, b=[B]), ["a", "b.0"]),
    "slots": (Slotted(A), ["seg"]),
    "a named tuple": (Pair(A, B), ["a", "b"]),
    "a named tuple of collections": (namedtuple("P", "q")(A), ["q"]),
    "what torch returns": (torch.eye(2).max(0), ["0", "1"]),
    "keys that meet": ({"a.b": A, "a": {"b": B}}, ["a.b", "a.b#2"]),
    "keys that are no names": ({0: A, ("x", 1): B}, ["0", "('x', 1)"]),
    "a module": ({"net": nn.Linear(2, 2), "a": A}, ["a"]),
    "nothing": ({"a": 1, "b": None, "c": []}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_flatten(case: str):
    value, paths = CASES[case]
    assert [path for path, _ in flatten(value)] == paths


@pytest.mark.parametrize("case", CASES)
def test_replaced_keeps_the_structure(case: str):
    value, paths = CASES[case]
    before = [leaf.clone() for _, leaf in flatten(value)]
    found = replaced(value, lambda leaf: leaf.double() + 1)
    assert type(found) is type(value)
    assert [path for path, _ in flatten(found)] == paths
    assert all(leaf.dtype == torch.float64 for _, leaf in flatten(found))
    assert all(torch.equal(one.double() + 1, other) for one, (_, other) in zip(before, flatten(found), strict=True))
    assert all(torch.equal(one, other) for one, (_, other) in zip(before, flatten(value), strict=True))


def test_a_structure_that_holds_itself_ends():
    loop: dict[str, Any] = {"a": A}
    loop["self"] = loop
    assert [path for path, _ in flatten(loop)] == ["a"]


def test_plain_values():
    assert plain_values({"a": A, "task": "seg", "b": [1, None]}) == [("task", "seg"), ("b.0", 1), ("b.1", None)]


nested = st.recursive(
    st.builds(lambda: torch.zeros(1)) | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(lambda d: SimpleNamespace(**d))
        | st.dictionaries(st.text(max_size=2), inner, max_size=3).map(Attributes)
    ),
    max_leaves=8,
)


@given(nested)
def test_every_tensor_has_one_path(value: Any):
    found = flatten(value)
    assert len({path for path, _ in found}) == len(found)
    assert [path for path, _ in flatten(replaced(value, torch.clone))] == [path for path, _ in found]
