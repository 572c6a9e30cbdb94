"""Calls: whatever a user passes, what is given and left out, and wrapped models."""

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.graph.calls import Call, calls, outputs, run
from winnow.engine.graph.modes import in_mode
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.trace import trace
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.pruning.compact import compact

X, Y = torch.randn(2, 3), torch.randn(2, 3)


class Named(nn.Module):
    def forward(self, x: Tensor, y: Tensor | None = None, task: str = "seg") -> Tensor:
        return x if y is None else x + y


class Variadic(nn.Module):
    def forward(self, *images: Tensor, **options: float) -> Tensor:
        return sum(images) * options.get("scale", 1.0)


class OneDict(nn.Module):
    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["a"] + batch["b"]


class OneList(nn.Module):
    def forward(self, parts: list[Tensor]) -> Tensor:
        return torch.cat(parts)


CASES = {
    "a tensor": (Named(), X, X),
    "positional": (Named(), (X, Y), X + Y),
    "a list of inputs": (Named(), [X, Y], X + Y),
    "by name": (Named(), {"x": X, "y": Y, "task": "depth"}, X + Y),
    "a call": (Named(), Call((X,), {"y": Y}), X + Y),
    "variadic": (Variadic(), (X, Y), X + Y),
    "options": (Variadic(), Call((X,), {"scale": 2.0}), 2 * X),
    "one mapping": (OneDict(), {"a": X, "b": Y}, X + Y),
    "one list": (OneList(), [X, Y, X], torch.cat([X, Y, X])),
    "one list in a tuple": (OneList(), ([X, Y],), torch.cat([X, Y])),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_user_passes_becomes_a_call(case: str):
    model, given, expected = CASES[case]
    (call,) = calls(model, given)
    assert torch.equal(run(model, call), expected)


def test_several_calls():
    one, other = Call((X,)), Call((X, Y), training=True)
    assert calls(Named(), [one, other]) == (one, other)
    with pytest.raises(ValueError, match="must be calls throughout"):
        calls(Named(), [one, X])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (Call((X,), {"z": X}), "unexpected keyword argument 'z'"),
        ((X, Y, "a", "b"), "too many positional"),
        ({"x": 1.0}, "must hold a tensor"),
        ((), "missing a required argument"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(given: object, problem: str):
    with pytest.raises(ValueError, match=problem):
        calls(Named(), Call(given) if isinstance(given, tuple) else given)


def test_options_tell_what_is_given_and_what_is_left_out():
    assert Call((X,)).options(Named()) == {"y": "left at None", "task": "left at 'seg'"}
    assert Call((X,), {"task": "depth"}).options(Named()) == {"y": "left at None", "task": "given 'depth'"}
    assert Call((X,), {"scale": 2.0}).options(Variadic()) == {"scale": "given 2.0"}
    assert Call(({"a": X, "b": 3},)).options(OneDict()) == {"batch.b": "given 3"}
    found = Call((X,), training=True).described(Named())
    assert found == "x 2×3, y left at None, task left at 'seg', training mode"


def test_modes_of_a_call():
    assert [call.training for call in Call((X,)).modes()] == [False, True]
    assert [call.training for call in Call((X,), training=True).modes()] == [True]


def test_in_mode_gives_every_module_its_mode_back():
    net = nn.Sequential(nn.Dropout(), nn.Dropout())
    net[0].eval()
    with in_mode(net, training=True):
        assert all(module.training for module in net.modules())
    with in_mode(net, training=False):
        assert not any(module.training for module in net.modules())
    assert [module.training for module in net.modules()] == [True, False, True]


def test_outputs_without_a_tensor_are_refused():
    def numbers() -> Iterator[int]:
        yield 1

    for result in (None, {"a": 1.0}, [], numbers()):
        with pytest.raises(NotTraceable, match="an output without a tensor"):
            outputs(Named(), result)


def test_unwrapped():
    net = nn.Linear(3, 2)
    wrapped = torch.optim.swa_utils.AveragedModel(nn.DataParallel(torch.compile(net, backend="eager")))
    found, said = unwrapped(wrapped)
    assert type(found) is nn.Linear
    assert [sentence.partition(" ")[0] for sentence in said] == ["AveragedModel", "DataParallel", "OptimizedModule"]
    assert unwrapped(net) == (net, ())
    assert unwrapped(torch.compile(net, backend="eager"))[0] is net


def test_a_module_that_only_holds_one_is_no_wrapper():
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = nn.Linear(3, 2)

    holder = Holder()
    assert unwrapped(holder) == (holder, ())
    with pytest.raises(TypeError, match="must be a torch.nn.Module, got dict"):
        unwrapped({})  # type: ignore[arg-type]


def test_what_has_no_python_code_is_refused_by_name():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    exported = torch.export.export(net, (X,)).module()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(net)
    for model, name in ((scripted, "TorchScript"), (nn.Sequential(net, scripted), "`1`"), (exported, "exported")):
        with pytest.raises(ValueError, match=name):
            trace(model, X)
    with pytest.raises(TypeError, match=r"torch\.nn\.Module, got function"):
        calls(lambda x: x, X)


def test_a_model_without_values_or_entries_is_refused_by_name():
    with pytest.raises(ValueError, match="without values"):
        compact(nn.Sequential(nn.Linear(3, 2, device="meta")), torch.randn(2, 3, device="meta"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it initialises nothing
        empty = nn.Sequential(nn.Linear(3, 0), nn.Linear(0, 2))
    with pytest.raises(NotTraceable, match="a weight without entries in `0`"):
        trace(empty, X)


def test_naming_numbers_says_where_inputs_are_of_another_type() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).bfloat16()
    with pytest.raises(ValueError, match="takes as it is now, bfloat16 on cpu, got float32 on cpu"):
        trace(net, torch.ones(1, 4))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        trace(net, torch.ones(1, 5).bfloat16())


class Sided(nn.Module):
    """Takes a second input in double precision, by design."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + side.float()


class Without(Sided):
    """Returns nothing."""

    def forward(self, x: torch.Tensor, side: torch.Tensor) -> None:  # type: ignore[override]
        super().forward(x, side)


def test_naming_numbers_leaves_other_errors_as_they_are() -> None:
    side = torch.ones(1, 3).double()
    trace(Sided(), (torch.ones(1, 4), side))
    with pytest.raises(RuntimeError, match="^mat1 and mat2 shapes cannot be multiplied"):
        trace(Sided(), (torch.ones(1, 5), side))
    with pytest.raises(NotTraceable, match="an output without a tensor"):
        trace(Without(), (torch.ones(1, 4), side))
    with pytest.raises(ValueError, match="takes as it is now, float32 on cpu, got float64 on cpu"):
        trace(Sided(), (torch.ones(1, 4).double(), side))
