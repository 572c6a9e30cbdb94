"""Layers that gather what they use, and constants that they take over."""

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.engine.graph.zoo import ZOO, Program, build, conv
from tests.engine.pruning.test_compact import macs, outputs, parameters, silenced
from tests.thinning import spread
from winnow.engine.graph.trace import trace
from winnow.engine.networks.multitask import MultiTaskNet
from winnow.engine.pruning import Coefficients, compact
from winnow.engine.pruning.selecting import picked_units

X = torch.randn(2, 3, 16, 16, dtype=torch.float64)


@pytest.mark.parametrize(("name", "share"), spread(2, ZOO, [0.5, 0.9]))
def test_a_reader_gathers_what_it_uses(name: str, share: float):
    net, x = silenced(name, "input", share)
    never, always = (compact(net, x, gather=mode) for mode in ("never", "always"))
    assert always.certificate.relative_error_float64 <= 1e-10
    for one, other in zip(outputs(never.model, x), outputs(always.model, x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert macs(always.model, x) <= macs(never.model, x)
    assert never.certificate.gathered == {}


def test_gathers_save_all_that_zero_groups_promise():
    net, x = silenced("ours bottleneck, D-stem, ASPP", "input", 0.5)
    found = compact(net, x, gather="always")
    promised = trace(net, x).savings().iloc[-1]
    assert isinstance(found.model, MultiTaskNet)
    assert found.certificate.gathered
    assert macs(found.model, x) == pytest.approx(promised.macs - promised.gathered_macs)
    wide = torch.randn(1, 3, 40, 24, dtype=x.dtype)
    for task, prediction in net(wide).items():
        torch.testing.assert_close(found.model(wide)[task], prediction)


def test_the_cost_decides():
    net, x = silenced("ours bottleneck, D-stem, ASPP", "input", 0.5)
    free, dear = Coefficients(1.0, 0.0, 0.0), Coefficients(0.0, 1.0, 1.0)
    every = compact(net, x, gather="always").certificate.gathered
    assert compact(net, x, gather=free).certificate.gathered == every
    assert compact(net, x, gather=dear).certificate.gathered == {}
    compact(net, x)  # by the coefficients of this machine
    with pytest.raises(ValueError, match="`gather` must be"):
        compact(net, x, gather="sometimes")


def test_readers_that_use_the_same_channels_gather_each_for_itself():
    def program(m: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
        y = torch.relu(m.a(x))
        return m.one(y), m.two(y), m.rest(y)

    net = Program(program, a=conv(3, 8), one=conv(8, 2), two=conv(8, 3), rest=conv(8, 2)).double().eval()
    with torch.no_grad():
        net.one.weight[:, :5] = 0
        net.two.weight[:, :5] = 0
    found = compact(net, X, gather="always")
    assert type(found.model) is type(net)  # a program with one gather would be no longer the user's class
    assert (found.model.one.weight.shape[1], found.model.two.weight.shape[1]) == (3, 3)
    assert found.certificate.gathered == {"one": "3", "two": "3"}
    torch.testing.assert_close(found.model(X), net(X))


def constants(reader: nn.Module) -> nn.Module:
    """Return a net of which three filters of eight are zero under a batch norm with β."""
    norm = nn.BatchNorm2d(8)
    net = nn.Sequential(conv(3, 8, bias=False), norm, nn.ReLU(), reader).eval()
    with torch.no_grad():
        nn.init.uniform_(norm.running_mean, -0.5, 0.5)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
        nn.init.uniform_(norm.bias, 0.5, 1.5)
        net[0].weight[[1, 4, 5]] = 0
    return net


READERS = {
    "1×1": (lambda: nn.Conv2d(8, 4, 1), "3 into the bias"),
    "1×1 without bias": (lambda: nn.Conv2d(8, 4, 1, bias=False), "3 into the bias"),
    "unpadded": (lambda: nn.Conv2d(8, 4, 3), "3 into the bias"),
    "grouped, unpadded": (lambda: nn.Conv2d(8, 4, 3, groups=2), None),
    "padded": (lambda: nn.Conv2d(8, 4, 3, padding=1), "3 into a channel of ones"),
    "dilated, strided": (lambda: nn.Conv2d(8, 4, 3, 2, 2, 2), "3 into a channel of ones"),
    "reflected": (lambda: nn.Conv2d(8, 4, 3, padding=1, padding_mode="reflect"), None),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reader", READERS)
def test_constants_go_into_their_reader(reader: str, dtype: torch.dtype):
    torch.manual_seed(0)
    make, words = READERS[reader]
    net = constants(make()).to(dtype)
    found = compact(net, X.to(dtype))
    assert found.certificate.folded == ({"3": words} if words else {})
    assert found.certificate.relative_error_float64 <= 1e-10
    torch.testing.assert_close(found.model(X.to(dtype)), net(X.to(dtype)))
    if words:
        assert found.model[0].out_channels == found.model[1].num_features == 5
        assert found.model[3].weight.shape[1] == 5 + ("ones" in words)
        assert parameters(found.model) < parameters(net)


def test_one_constant_stays_where_it_would_need_a_channel_of_ones():
    net = constants(nn.Conv2d(8, 4, 3, padding=1)).double()
    with torch.no_grad():
        net[0].weight[[1, 4]] = 1
    assert parameters(compact(net, X).model) == parameters(net)


def test_a_compact_model_is_compacted_again():
    net = constants(nn.Conv2d(8, 4, 3, padding=1)).double()
    once = compact(net, X, gather="always").model
    with torch.no_grad():
        once[0].weight[2] = once[1].bias[2] = once[1].running_mean[2] = 0
    twice = compact(once, X, gather="always").model
    torch.testing.assert_close(twice(X), net_without(net, 3)(X))
    assert twice[0].out_channels == 4


def net_without(net: nn.Module, channel: int) -> nn.Module:
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin[0].weight[channel] = twin[1].bias[channel] = twin[1].running_mean[channel] = 0
    return twin


def test_it_holds_for_constants_everywhere():
    net, x = silenced("ours basic", "output", 0.6)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # zero filters with β: constants, not zeros
            nn.init.uniform_(module.bias, 0.5, 1.5)
    found = compact(net, x, gather="always")
    assert found.certificate.folded
    wide = torch.randn(1, 3, 24, 40, dtype=x.dtype)
    for task, prediction in net(wide).items():
        torch.testing.assert_close(found.model(wide)[task], prediction)
    assert build("ours basic")[0].state_dict().keys() <= found.model.state_dict().keys()


@pytest.mark.parametrize("shape", [(2, 6, 3, 5), (1, 6, 1, 1), (2, 6, 4), (2, 6, 2, 3, 4), (7, 6)])
@pytest.mark.parametrize("last", [False, True])
def test_picked(shape: tuple[int, ...], last: bool):
    x = torch.randn(shape)
    if last:
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    index = torch.tensor([4, 0, 5])
    axis = 1 - len(shape)
    found = picked_units(x, index, axis)
    torch.testing.assert_close(found, x.index_select(1, index), rtol=0, atol=0)
    assert (found.stride(axis) == 1) is (x.stride(axis) == 1)


def test_a_gathering_model_keeps_channels_last_and_exports():
    net, x = silenced("ours basic", "input", 0.5)
    net, x = (thing.float().to(memory_format=torch.channels_last) for thing in (net, x))
    small = compact(net, x, gather="always").model
    exported = torch.export.export(small, (x,)).module()
    for task, prediction in small(x).items():
        torch.testing.assert_close(prediction, net(x)[task], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(exported(x)[task], prediction, rtol=1e-5, atol=1e-5)
