"""What goes on reading the model from a copy of it is refused by name, with the function that does."""

import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.engine.graph.test_copies import Net, a_layer_in_a_lambda, gated_by_a_hook, silenced
from winnow.engine.graph import copies
from winnow.engine.graph.copies import deep_copy
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import compact

KEPT: dict[str, Any] = {}


def by_a_global_name() -> Net:
    KEPT["net"] = net = Net()
    net.first.register_forward_hook(lambda module, given, made: made * KEPT["net"].gate)
    return net


def by_a_class_made_inside() -> Net:
    net = Net()

    class Gate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x * net.gate)

    net.step = Gate()
    return net


def by_an_object_outside() -> Net:
    net, known = Net(), types.SimpleNamespace()
    known.net = net
    net.first.register_forward_hook(lambda module, given, made: made * known.net.gate)
    return net


def a_plain_tensor_by_a_global_name() -> Net:
    KEPT["net"] = net = Net()
    net.alpha = torch.tensor(1.5)  # type: ignore[assignment]
    net.step = lambda x: torch.relu(x) * KEPT["net"].alpha
    return net


def a_layer_of_a_plain_list_by_a_global_name() -> Net:
    KEPT["net"] = net = Net()
    net.hidden = [nn.Linear(8, 8).eval()]  # type: ignore[assignment]
    net.step = lambda x: net.middle(x) + KEPT["net"].hidden[0](x)
    return net


REFUSED = {
    by_a_global_name: r"`<lambda>` \(test_apart\.py, line \d+\) that goes on reading `gate` of the model",
    by_a_class_made_inside: r"`forward` \(test_apart\.py, line \d+\) that goes on reading `gate` of the model",
    by_an_object_outside: r"`<lambda>` .* that goes on reading `gate` .*an object or a function's attribute outside",
    a_plain_tensor_by_a_global_name: "that goes on reading `alpha` of the model",
    a_layer_of_a_plain_list_by_a_global_name: "that goes on reading `hidden` of the model",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_what_goes_on_reading_the_model_is_refused_by_name(make: Callable[[], Net]) -> None:
    net, x = silenced(make), torch.randn(3, 4)
    with pytest.raises(NotTraceable, match=REFUSED[make]):
        compact(net, x)
    trace(net, x)


def test_an_example_that_is_a_buffer_of_the_model_is_taken() -> None:
    net = silenced(a_layer_in_a_lambda)
    net.register_buffer("example", torch.randn(3, 4))
    expected = net(net.example)
    torch.testing.assert_close(compact(net, net.example).model(net.example), expected)


def test_a_model_of_too_many_objects_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    net = gated_by_a_hook()
    net.table = {number: object() for number in range(500)}  # type: ignore[assignment]
    deep_copy(net)
    monkeypatch.setattr(copies, "MOST", 400)
    with pytest.raises(NotTraceable, match=r"got more than [\d,]+ objects in the model itself"):
        deep_copy(net)
