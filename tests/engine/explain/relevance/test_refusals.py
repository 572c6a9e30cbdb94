"""What relevance leaves out by name: layers that outputs depend on, but that no gradient reaches, or none but 0."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import nn

from winnow.engine.explain.relevance.refusals import NotAttributableError
from winnow.engine.explain.relevance.relevance import relevance


class Round(torch.autograd.Function):
    """A straight-through estimator; torch names its node RoundBackward."""

    forward = staticmethod(lambda ctx, y: y.round())
    backward = staticmethod(lambda ctx, grad: grad)


WAYS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "detach": torch.Tensor.detach,
    "round": torch.round,
    "sign": torch.sign,
    "down": lambda y: torch.div(y, 0.5, rounding_mode="floor"),
    "past": lambda y: y + (y.round() - y).detach(),
    "both": lambda y: y + y.round(),
    "own": Round.apply,
}


class Stopping(nn.Module):
    """Two layers that both outputs depend on; `way` is what lies between them."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.a, self.b, self.way = nn.Linear(3, 4), nn.Linear(4, 4), way
        self.heads = nn.ModuleDict({task: nn.Linear(4, 2) for task in ("one", "other")})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.way != "no_grad"):
            y = self.a(x)
        y = WAYS.get(self.way, lambda given: given)(y)
        if self.way == "checkpoint":
            y = torch.utils.checkpoint.checkpoint(torch.tanh, y, use_reentrant=True)
        y = self.b(y)
        return {task: head(y) for task, head in self.heads.items()}


ROWS = torch.arange(4.0)[:, None].sin()
GIVEN = [(ROWS * torch.tensor([1.0, -2.0, 0.5]), {task: ROWS.expand(4, 2) for task in ("one", "other")})]


@pytest.mark.parametrize("way", ["no_grad", "detach"])
def test_a_layer_that_no_gradient_reaches_is_left_out_by_name(way: str):
    with pytest.warns(UserWarning, match="a: outputs depend on it and no gradient tells"):
        frame = relevance(Stopping(way), GIVEN)
    assert set(frame["layer"]) == {"b"}
    with pytest.raises(NotAttributableError, match="got 'a': outputs depend on it"):
        relevance(Stopping(way), GIVEN, layers=["a"])
    assert set(relevance(Stopping(""), GIVEN)["layer"]) == {"a", "b"}


@pytest.mark.parametrize("way", ["round", "sign", "down"])
def test_a_layer_before_steps_is_left_out_by_name(way: str):
    with pytest.warns(UserWarning, match="a: outputs depend on it through steps alone"):
        frame = relevance(Stopping(way), GIVEN)
    assert set(frame["layer"]) == {"b"}


def test_steps_that_hardly_ever_change_are_found():
    """One image has four signs, and another image often the same ones."""
    for seed in range(12):
        torch.manual_seed(seed)
        with pytest.warns(UserWarning, match="a: outputs depend on it through steps alone"):
            relevance(Stopping("sign"), GIVEN)


@pytest.mark.parametrize("way", ["past", "both", "own"])
def test_steps_that_a_gradient_passes_leave_nothing_out(way: str):
    assert set(relevance(Stopping(way), GIVEN)["layer"]) == {"a", "b"}


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_a_model_without_a_backward_pass_is_refused_by_name():
    with pytest.raises(NotAttributableError, match="must have a backward pass, got: .*use_reentrant=False"):
        relevance(Stopping("checkpoint"), GIVEN)
