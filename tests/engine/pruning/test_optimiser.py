"""Training goes on: a step of the smaller model is the step of the dense one with its zeros held at zero."""

import copy
import gc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

from tests.engine.pruning.test_compact import silenced
from tests.thinning import spread
from winnow.engine.pruning import Compacted, compact, transfer

MAKERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": lambda p: SGD(p, 0.1),
    "momentum": lambda p: SGD(p, 0.1, momentum=0.9, weight_decay=1e-2, nesterov=True),
    "adam": lambda p: Adam(p, 1e-2, amsgrad=True),
    "adamw": lambda p: AdamW(p, 1e-2, weight_decay=0.1),
}


STEPPED = ["ours basic", "ours bottleneck, D-stem, ASPP", "u-net", "vgg"]


def loss(net: nn.Module, x: Tensor) -> Tensor:
    result = net(x)
    parts = [result[name] for name in sorted(result)] if isinstance(result, dict) else [result]
    return sum(part.square().mean() for part in parts)


def step(net: nn.Module, optimizer: Optimizer, x: Tensor, zero: dict[str, Tensor] | None = None) -> None:
    net.train()
    optimizer.zero_grad()
    loss(net, x).backward()
    optimizer.step()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if zero:
                parameter[zero[name]] = 0


def expected(net: nn.Module, found: Compacted) -> dict[str, Tensor]:
    tensors = dict(net.named_parameters()) | dict(net.named_buffers())
    kept = {}
    for cut in found.cuts:
        value = tensors[cut.name].detach()
        for axis, entries in cut.stays.items():
            value = value.index_select(axis, torch.from_numpy(entries))
        kept[cut.name] = value
    return kept


@pytest.mark.parametrize(("maker", "name", "gather"), spread(3, MAKERS, STEPPED, ["never", "always"]))
def test_a_step_after_transfer_is_the_dense_step(maker: str, name: str, gather: str):
    net, x = silenced(name, "coupled", 0.4)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    zero = {key: parameter.detach() == 0 for key, parameter in net.named_parameters()}
    others = [nn.Parameter(torch.ones(3, dtype=x.dtype))]
    optimizer = MAKERS[maker]([{"params": list(net.parameters()), "lr": 0.02}, {"params": others}])
    others[0].grad = torch.ones(3, dtype=x.dtype)
    for _ in range(2):
        step(net, optimizer, x, zero)
    net.eval()
    found = compact(net, x, gather=gather)
    moved = transfer(optimizer, found)
    assert type(moved) is type(optimizer)
    assert [group["lr"] for group in moved.param_groups] == [0.02, optimizer.param_groups[1]["lr"]]
    assert moved.param_groups[1]["params"] == others
    assert {id(p) for p in moved.param_groups[0]["params"]} == {id(p) for p in found.model.parameters()}
    for _ in range(2):
        step(net, optimizer, x, zero)
        step(found.model, moved, x)
    values = expected(net, found)
    for key, value in found.model.state_dict().items():
        if key in values:
            torch.testing.assert_close(value, values[key], rtol=1e-8, atol=1e-8)


def test_a_model_that_writes_into_its_weights_is_followed_too():
    torch.manual_seed(0)
    net, words = nn.Sequential(nn.Embedding(9, 6, max_norm=0.5), nn.Linear(6, 6), nn.Linear(6, 2)), torch.arange(4)
    optimizer = Adam(net.parameters(), 1e-2)
    step(net, optimizer, words)
    net[2].weight.data[:, 1] = 0
    found = compact(net, words)
    moved = transfer(optimizer, found)
    assert {id(p) for p in moved.param_groups[0]["params"]} == {id(p) for p in found.model.parameters()}
    assert moved.state[found.model[1].weight]["exp_avg"].shape == (5, 6)
    assert all(cut.origin() is net.get_parameter(cut.name) for cut in found.cuts)


def test_what_was_dropped_leaves_the_optimiser():
    net, x = silenced("ours basic", "coupled", 0.4)
    optimizer = AdamW(net.parameters(), 1e-2)
    step(net, optimizer, x)
    found = compact(net, x, tasks=["depth"])
    moved = transfer(optimizer, found)
    assert {id(p) for p in moved.param_groups[0]["params"]} == {id(p) for p in found.model.parameters()}
    assert len(moved.state) < len(optimizer.state)


def test_an_unknown_optimiser_is_refused():
    net, x = silenced("vgg", "coupled", 0.4)
    with pytest.raises(ValueError, match="`optimizer` must be one of SGD, Adam, AdamW, got Adagrad"):
        transfer(Adagrad(net.parameters()), compact(net, x))


def test_the_dense_weights_can_go():
    net, x = silenced("vgg", "coupled", 0.4)
    found = compact(net, x)
    twin = copy.deepcopy(found.model)
    del net
    gc.collect()
    assert all(cut.origin() is None for cut in found.cuts)
    torch.testing.assert_close(twin(x), found.model(x))
