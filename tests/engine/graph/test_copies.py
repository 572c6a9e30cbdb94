"""A copy of a model holds nothing of the model: hooks, lambdas and lists that its functions remember are the copy's."""

import functools
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.export import load_model, save_model
from winnow.engine.graph.copies import deep_copy
from winnow.engine.pruning import compact


class Net(nn.Module):
    """Two layers, and a step between them that a function of the model takes."""

    step: Callable[[Tensor], Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)
        self.gate = nn.Parameter(torch.rand(8) + 0.5)
        self.kept: dict[str, Tensor] = {}
        self.step = torch.relu

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.step(torch.relu(self.first(x))))
        return found


def gated_by_a_hook() -> Net:
    net = Net()
    net.first.register_forward_hook(lambda module, given, made: made * net.gate)
    return net


def a_layer_in_a_lambda() -> Net:
    net = Net()
    net.step = lambda x: torch.relu(net.middle(x))
    return net


def a_layer_in_a_default() -> Net:
    net = Net()
    net.step = lambda x, layer=net.middle: torch.relu(layer(x))  # type: ignore[misc]
    return net


def a_list_of_lambdas() -> Net:
    net = Net()
    steps = [lambda x: x + net.middle(x), torch.relu]
    net.step = lambda x: functools.reduce(lambda before, step: step(before), steps, x)
    return net


def features_of_a_hook() -> Net:
    net = Net()

    def keep(_: nn.Module, __: Any, made: Tensor) -> None:
        net.kept["first"] = made

    net.first.register_forward_hook(keep)
    net.step = lambda x: x + net.kept["first"]
    return net


def a_forward_of_its_own() -> Net:
    net = Net()
    before = net.forward
    net.forward = lambda x: before(x) * net.gate[0]  # type: ignore[method-assign]
    return net


def a_method_of_its_own() -> Net:
    net = Net()

    def forward(self: Net, x: Tensor) -> Tensor:
        found: Tensor = self.last(torch.relu(net.middle(torch.relu(net.first(x)))))
        return found

    net.forward = types.MethodType(forward, net)  # type: ignore[method-assign]
    return net


def a_method_in_a_partial_in_a_closure() -> Net:
    net = Net()
    step = functools.partial(types.MethodType(lambda self, scale, x: self.middle(x) * net.gate * scale, net), 2.0)
    net.step = lambda x: torch.relu(step(x))
    return net


def a_weak_reference_in_a_closure() -> Net:
    net = Net()
    parent = weakref.ref(net)
    net.first.register_forward_hook(lambda module, given, made: made * parent().gate)  # type: ignore[union-attr]
    return net


def a_weak_reference_in_a_list() -> Net:
    net = Net()
    parents = [(weakref.ref(net),)]
    net.parents = parents  # type: ignore[assignment]
    net.step = lambda x: torch.relu(parents[0][0]().middle(x))  # type: ignore[union-attr]
    return net


def an_attribute_of_a_function() -> Net:
    net = Net()

    def hook(module: nn.Module, given: Any, made: Tensor) -> Any:
        return made * hook.gate  # type: ignore[attr-defined]

    hook.gate = net.gate  # type: ignore[attr-defined]
    net.first.register_forward_hook(hook)
    return net


def a_variable_of_two_functions() -> Net:
    net = Net()
    last: Tensor = net.gate

    def keep(_: nn.Module, __: Any, made: Tensor) -> None:
        nonlocal last
        last = made

    net.first.register_forward_hook(keep)
    net.step = lambda x: net.middle(x) + last
    return net


class Child(nn.Module):
    """Knows the module that holds it, as a weak reference, and calls a layer of it."""

    def __init__(self, parent: Net) -> None:
        super().__init__()
        self.parent = weakref.ref(parent)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.relu(self.parent().middle(x))  # type: ignore[union-attr]
        return found


def a_weak_reference() -> Net:
    net = Net()
    net.step = Child(net)
    return net


def a_layer_in_a_plain_list() -> Net:
    net = Net()
    net.hidden = [nn.Linear(8, 8).eval()]  # type: ignore[assignment]
    net.step = lambda x: net.middle(x) + torch.tanh(net.hidden[0](x))  # type: ignore[index,operator]
    return net


NETS = (
    a_weak_reference,
    gated_by_a_hook,
    a_layer_in_a_lambda,
    a_layer_in_a_default,
    a_list_of_lambdas,
    features_of_a_hook,
    a_forward_of_its_own,
    a_method_of_its_own,
    a_method_in_a_partial_in_a_closure,
    a_weak_reference_in_a_closure,
    a_weak_reference_in_a_list,
    an_attribute_of_a_function,
    a_variable_of_two_functions,
)


def silenced(make: Callable[[], Net]) -> Net:
    torch.manual_seed(0)
    net = make().eval()
    with torch.no_grad():
        net.first.weight[::2], net.first.bias[::2], net.middle.weight[::2], net.middle.bias[::2] = 0, 0, 0, 0
    return net


@pytest.mark.parametrize("make", NETS, ids=lambda make: make.__name__)
def test_the_smaller_model_reads_nothing_of_the_model(make: Callable[[], Net]) -> None:
    net, x = silenced(make), torch.randn(3, 4)
    expected, kept = net(x), dict(net.kept)
    small = compact(net, x).model
    assert dict(net.kept) == kept  # the very tensors
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    torch.testing.assert_close(small(x), expected)
    assert sum(map(torch.numel, small.parameters())) < sum(map(torch.numel, net.parameters()))


@pytest.mark.parametrize("make", NETS, ids=lambda make: make.__name__)
def test_it_runs_in_a_type_of_its_own(make: Callable[[], Net]) -> None:
    net, x = silenced(make), torch.randn(3, 4)
    twin = deep_copy(net).double()
    torch.testing.assert_close(twin(x.double()).float(), net(x))
    assert net(x).dtype == torch.float32


@pytest.mark.parametrize("passes", [0, 1])
def test_what_two_functions_share_stays_shared(passes: int) -> None:
    net, x = silenced(a_variable_of_two_functions), torch.randn(3, 4)
    for _ in range(passes):  # behind one, the variable holds what is not of the model
        net(x)
    twin = deep_copy(net)
    torch.testing.assert_close(twin(2 * x), net(2 * x))
    torch.testing.assert_close(twin(x), net(x))


def test_what_is_not_of_the_model_stays_where_it_is() -> None:
    net, seen = Net(), list[Any]()
    count = {"passes": 0}
    net.first.register_forward_hook(lambda *_: seen.append(count["passes"]))
    net.step = lambda x: x * len(seen)
    twin = deep_copy(net)
    twin(torch.ones(1, 4))
    assert seen == [0]


def test_a_function_of_a_saved_model_is_a_step_of_it(tmp_path: Any) -> None:
    net, x = silenced(a_layer_in_a_lambda), torch.randn(3, 4)
    save_model(tmp_path / "net", net, x)
    torch.testing.assert_close(load_model(tmp_path / "net")(x), net(x))


def test_layers_that_are_not_registered_stay_whole_and_are_the_copys_own() -> None:
    net, x = silenced(a_layer_in_a_plain_list), torch.randn(3, 4)
    expected = net(x)
    small = compact(net, x).model
    with torch.no_grad():
        net.hidden[0].weight.add_(1.0)  # type: ignore[index,union-attr]
    torch.testing.assert_close(small(x), expected)
