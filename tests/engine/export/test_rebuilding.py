"""A model and its document: the rebuilt one gives the same bits, in whatever form `compact` returned it."""

import copy
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.engine.graph.zoo import ZOO, Program, build, conv
from tests.engine.pruning.test_compact import parameters, silence, silenced
from tests.engine.pruning.test_readers import READERS, constants
from winnow.engine.export import NotDescribable, architecture, rebuild
from winnow.engine.export.agreement import exported_outputs
from winnow.engine.export.describing import written_architecture
from winnow.engine.graph.calls import Call
from winnow.engine.networks.multitask import MultiTaskNet
from winnow.engine.pruning import compact


def again(model: nn.Module, x: Tensor) -> nn.Module:
    """Return the model rebuilt from JSON text and copies of its tensors."""
    document, tensors = written_architecture(model, x)
    assert architecture(model, x) == document
    text = json.dumps(document, allow_nan=False)
    return rebuild(json.loads(text), {name: tensor.clone() for name, tensor in tensors.items()})


def same(one: nn.Module, other: nn.Module, x: Tensor) -> bool:
    expected, found = exported_outputs(one, Call((x,))), exported_outputs(other, Call((x,)))
    return list(expected) == list(found) and all(torch.equal(value, found[place]) for place, value in expected.items())


FEW = ["ours basic", "splits", "u-net", "channel shuffle", "densenet"]


@pytest.mark.parametrize(("name", "gather"), [(name, "always") for name in ZOO] + [(name, "never") for name in FEW])
def test_the_same_bits(name: str, gather: str):
    net, x = silenced(name, "input", 0.5)
    small = compact(net, x, gather=gather).model
    found = again(small, x)
    assert same(small, found, x)
    assert parameters(found) == parameters(small)
    assert {n: p.shape for n, p in found.named_parameters()} == {n: p.shape for n, p in small.named_parameters()}


@pytest.mark.parametrize("name", FEW)
def test_a_model_that_was_never_cut(name: str):
    net, x = build(name)
    assert same(net, again(net, x), x)


@pytest.mark.parametrize("name", ["ours basic", "ours bottleneck, D-stem, ASPP"])
def test_a_tailored_network(name: str):
    net, x = silenced(name, "coupled", 0.5)
    small = compact(net, x, gather="always", tasks=["depth", "kind"]).model
    assert isinstance(small, MultiTaskNet)
    found = again(small, x)
    assert list(found(x)) == ["depth", "kind"]
    wide = torch.randn(1, 3, 40, 24, dtype=x.dtype)
    assert same(small, found, wide)
    text = json.dumps(architecture(small, x))
    assert "seg" not in text
    assert "MultiTaskNet" not in text


@pytest.mark.parametrize("reader", READERS)
def test_constants_and_channels_of_ones(reader: str):
    torch.manual_seed(0)
    net, x = constants(READERS[reader][0]()), torch.randn(2, 3, 16, 16)
    small = compact(net, x, gather="always").model
    assert same(small, again(small, x), x)


def test_readers_that_gather_are_layers():
    def program(m: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = torch.relu(m.a(x))
        return m.one(y), m.two(y), m.rest(y)

    net = Program(program, a=conv(3, 8), one=conv(8, 2), two=conv(8, 3), rest=conv(8, 2)).eval()
    with torch.no_grad():
        net.one.weight[:, :5] = 0
        net.two.weight[:, :5] = 0
    x = torch.randn(2, 3, 9, 9)
    small = compact(net, x, gather="always").model
    kinds = {layer["class"] for layer in architecture(small, x)["layers"].values()}
    assert kinds == {"torch.nn.Conv2d", "winnow.SelectingConv2d"}
    assert same(small, again(small, x), torch.randn(5, 3, 7, 12))


def test_each_part_keeps_its_mode():
    net, x = silenced("mobilenet v3", "input", 0.5)
    small = compact(net, x).model.train()
    small.stem.eval()
    found = again(small, x)
    modes = {name: module.training for name, module in small.named_modules()}
    layers = [name for name, module in found.named_modules() if not any(module.children()) and name]
    assert found.training
    assert {modes[name] for name in layers} == {True, False}
    assert all(found.get_submodule(name).training == modes[name] for name in layers)
    assert not any(module.training for module in again(small.eval(), x).modules())


def test_dropout_as_a_function_follows_the_mode():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = conv(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(self.out(x), 0.5, training=self.training)

    x = torch.randn(1, 3, 8, 8)
    found = again(Net().eval(), x)
    assert torch.equal(found(x), found(x))
    found.train()
    assert not torch.equal(found(x), found(x))


def test_it_trains_is_copied_moves_and_is_cut_again():
    net, x = silenced("ours basic", "coupled", 0.5)
    found = again(compact(net, x, gather="always").model, x)
    twin = copy.deepcopy(found).train()
    before = copy.deepcopy(twin.state_dict())
    sum(prediction.square().mean() for prediction in twin(x).values()).backward()
    torch.optim.SGD(twin.parameters(), 0.1).step()
    assert any(not torch.equal(value, before[name]) for name, value in twin.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in found.state_dict().items())
    assert found(x)["depth"].dtype == torch.float64
    silence(found, x, "coupled", 0.5)
    cut = compact(found, x).model
    assert parameters(cut) < parameters(found)
    assert same(cut, again(cut, x), x)
    assert copy.deepcopy(found).float()(x.float())["depth"].dtype == torch.float32


def test_a_rebuilt_model_is_described_by_the_same_document():
    net, x = silenced("splits", "input", 0.5)
    small = compact(net, x, gather="always").model
    assert architecture(again(small, x), x) == architecture(small, x)


def test_tied_weights_stay_tied():
    net, x = build("shared")
    found = again(net, x)
    assert found.one.weight is found.other.weight
    assert architecture(net, x)["tied"] == {"other.weight": "one.weight"}


def test_layout_and_trainability_of_weights():
    net, x = silenced("ours basic", "input", 0.5)
    small = compact(net.to(memory_format=torch.channels_last), x).model
    small.trunk.stem[0][0].weight.requires_grad_(False)
    found = again(small, x)
    for name, parameter in small.named_parameters():
        assert found.get_parameter(name).stride() == parameter.stride()
        assert found.get_parameter(name).requires_grad == parameter.requires_grad


def test_several_inputs_with_defaults():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(3, 4), conv(3, 4)

        def forward(self, input: Tensor, other: Tensor, scale: float = 0.5) -> Tensor:
            return self.a(input) + scale * self.b(other)

    net, x, y = Two().eval(), torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    document, tensors = written_architecture(net, (x, y))
    found = rebuild(document, tensors)
    assert architecture(net, {"input": x, "other": y}) == document
    assert torch.equal(found(x, other=y), net(x, y))
    with pytest.raises(TypeError, match="other"):
        found(x)


def test_a_number_of_images_that_becomes_a_number_is_refused():
    def program(m: nn.Module, x: Tensor) -> Tensor:
        y = m.a(x) + torch.linspace(0, 1, 16).expand(x.size(0), 1, 16, 16)
        return m.out(y[:, 2:])

    net, x = Program(program, a=conv(3, 6), out=conv(4, 2)).eval(), torch.randn(2, 3, 16, 16)
    with pytest.raises(NotDescribable, match="1 image"):
        architecture(net, x)


BAKED = {
    "a size taken as a number": lambda m, x: m.a(x) / int(x.shape[2]),
    "a size that decides": lambda m, x: m.a(x) if x.shape[-1] < 20 else -m.a(x),
    "images counted": lambda m, x: torch.cat([m.a(x[i : i + 1]) for i in range(len(x))]),
}


@pytest.mark.parametrize("name", BAKED)
def test_no_size_is_fixed_that_the_model_leaves_open(name: str):
    net = Program(BAKED[name], a=conv(3, 6)).eval()
    with pytest.raises(NotDescribable, match="`model` must"):
        architecture(net, torch.randn(2, 3, 16, 16))


class Odd(nn.Conv2d):
    """A layer of a user's own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sinc()


def with_hook() -> nn.Module:
    net = Program(lambda m, x: m.a(x), a=conv(3, 6))
    net.a.register_forward_hook(lambda module, args, result: result + 1)
    return net


def with_wrong_attribute() -> nn.Module:
    net = Program(lambda m, x: m.a(x), a=conv(3, 6))
    net.a.in_channels = 5
    return net


REFUSED: dict[str, tuple[Any, str]] = {
    "operation": (lambda: Program(lambda m, x: m.a(x).erfinv(), a=conv(3, 6)), "erfinv"),
    "function": (lambda: Program(lambda m, x: torch.special.i0(m.a(x)), a=conv(3, 6)), "i0"),
    "attribute": (lambda: Program(lambda m, x: (m.a(x), m.a(x).grad_fn), a=conv(3, 6)), "grad_fn"),
    "layer": (lambda: nn.Sequential(Odd(3, 4, 1)), "sinc"),
    "hook": (with_hook, "got others on the example"),
    "attributes that do not fit": (with_wrong_attribute, "a.weight"),
    "values decide": (lambda: Program(lambda m, x: m.a(x) if x.sum() > 0 else x, a=conv(3, 6)), "flow of control"),
    "a name that is taken": (lambda: Program(lambda m, x: m._script(x), _script=conv(3, 6)), "_script"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_written_down_is_refused_by_name(name: str):
    maker, word = REFUSED[name]
    with pytest.raises(NotDescribable, match=word):
        architecture(maker().eval(), torch.randn(2, 3, 16, 16))
