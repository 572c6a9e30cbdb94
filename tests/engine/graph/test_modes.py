"""What is held for a while is given back as it was, also when the work fails."""

import warnings
from contextlib import suppress
from pathlib import Path
from types import MethodType

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import deterministic
from torch.utils._python_dispatch import _get_current_dispatch_mode

from winnow.engine.graph.modes import (
    calling,
    evaluating,
    has_own_modes,
    in_mode,
    memory_unfilled,
    requiring_grad,
    statistics_kept,
    told_of_gradients,
    undisturbed,
    while_timed,
)
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import compact


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    found = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
    found[1].eval()  # one that its owner holds in evaluation mode
    found[0].bias.requires_grad_(False)
    return found


def state(model: nn.Module) -> list[object]:
    modes = [module.training for module in model.modules()]
    asked = [parameter.requires_grad for parameter in model.parameters()]
    own = [set(vars(module)) for module in model.modules()]
    return [modes, asked, own, *(buffer.tolist() for buffer in model.buffers()), torch.get_rng_state().tolist()]


def double(x: Tensor) -> Tensor:
    return 2 * x


@pytest.mark.parametrize("fails", [False, True])
def test_all_is_put_back(model: nn.Module, fails: bool):
    before = state(model)
    contexts = (
        evaluating(model), undisturbed(model), statistics_kept(model), requiring_grad(model.parameters(), wanted=True),
        requiring_grad(model.parameters(), wanted=False), calling(model[0], double),
    )  # fmt: skip
    for context in contexts:
        with suppress(RuntimeError), context:
            if fails:
                raise RuntimeError
        assert state(model) == before


def test_evaluating(model: nn.Module):
    with evaluating(model):
        assert not any(module.training for module in model.modules())


def test_undisturbed_keeps_the_random_numbers(model: nn.Module):
    before = torch.get_rng_state()
    with undisturbed(model):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_statistics_kept(model: nn.Module):
    model.train()
    x = torch.rand(4, 1, 5, 5)
    mean = model[1].running_mean.clone()
    with statistics_kept(model):
        normed = model[:2](x)
    assert torch.equal(model[1].running_mean, mean)
    assert normed.mean((0, 2, 3)).abs().max() < 1e-5  # normalised by the batch, not by the running mean
    model(x)
    assert not torch.equal(model[1].running_mean, mean)


@pytest.mark.parametrize("wanted", [False, True])
def test_requiring_grad(model: nn.Module, wanted: bool):
    with requiring_grad(model.parameters(), wanted):
        assert [parameter.requires_grad for parameter in model.parameters()] == [wanted] * 4


def test_calling(model: nn.Module):
    x = torch.rand(1, 1, 5, 5)
    with calling(model[0], double):
        assert torch.equal(model[0](x), 2 * x)
    assert model[0](x).shape == (1, 2, 3, 3)


class Ways(nn.Module):
    """Takes another way in training mode, which it learns in a way of its own."""

    def __init__(self, asks: str) -> None:
        super().__init__()
        self.a, self.b, self.aux, self.asks = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 3), asks
        if asks == "a train of its own":
            self.train = MethodType(Ways.trained, self)

    def trained(self, mode: bool = True) -> nn.Module:
        vars(self)["told"] = mode
        return nn.Module.train(self, mode)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "training" and vars(self).get("asks") == "what is set":
            vars(self)["told"] = value
        super().__setattr__(name, value)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x).relu()
        on = vars(self)["training"] if self.asks == "its attributes" else vars(self).get("told", False)
        return self.b(h) + self.aux(h) if on else self.b(h)


@pytest.mark.parametrize("asks", ["its attributes", "a train of its own", "what is set"])
def test_training_mode_is_run_however_a_model_learns_of_it(asks: str):
    net, x = Ways(asks).eval(), torch.randn(5, 4)
    net.b.weight.data[:, [1, 2]], net.aux.weight.data[:, [2, 3]] = 0, 0
    graph = trace(net, x)
    assert (graph.unused, graph.modes_alike) == ((), False)
    small = compact(net, x).model
    assert small.a.out_features == 5
    for mode in (True, False):
        torch.testing.assert_close(small.train(mode)(x), net.train(mode)(x))


NORMS = {  # whether both modes compute the same
    "batch norm": (nn.BatchNorm2d(4), False),
    "batch norm that keeps its statistics": (nn.BatchNorm2d(4), False),
    "instance norm": (nn.InstanceNorm2d(4), True),
    "group norm": (nn.GroupNorm(2, 4), True),
    "dropout": (nn.Dropout(), False),
}


@pytest.mark.parametrize("name", NORMS)
def test_modes_are_alike_where_training_mode_was_run_and_did_the_same(name: str):
    norm, alike = NORMS[name]
    norm.track_running_stats = name == "batch norm"
    assert trace(nn.Sequential(nn.Conv2d(1, 4, 3), norm).eval(), torch.randn(2, 1, 6, 6)).modes_alike is alike


def test_a_norm_of_one_value_is_still_tried_in_training_mode():
    graph = trace(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).eval(), torch.randn(1, 1, 3, 3))
    assert "Expected more than 1 value per channel" in "".join(graph.notes)


def test_told_of_gradients():
    asked: list[bool] = []
    with torch.no_grad(), suppress(RuntimeError), told_of_gradients(lambda: asked.append(True)):
        assert not torch.is_grad_enabled()
        raise RuntimeError
    assert torch.is_grad_enabled()
    assert asked == [True]


def test_memory_unfilled(monkeypatch: pytest.MonkeyPatch):
    """Deterministic algorithms fill new memory with NaN, but not within it; afterwards they do again."""
    monkeypatch.setattr(deterministic, "fill_uninitialized_memory", True)
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")
    try:
        with suppress(KeyError), memory_unfilled():
            assert not deterministic.fill_uninitialized_memory
            raise KeyError
        assert torch.empty(50).isnan().all()
    finally:
        torch.set_deterministic_debug_mode(mode)


class Shortened(nn.Sequential):
    """Leaves its second layer out in evaluation mode, and takes it back in training mode."""

    def train(self, mode: bool = True) -> "Shortened":
        super().train(mode)
        if mode and "put" in vars(self):
            self.insert(1, vars(self).pop("put"))
        elif not mode and "1" in self._modules:
            vars(self)["put"] = self._modules.pop("1")
        return self


def test_layers_keep_their_order():
    torch.manual_seed(0)
    net, x = Shortened(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)), torch.randn(2, 3)
    before = net(x)
    with evaluating(net):
        assert len(net._modules) == 2
    assert list(net._modules) == ["0", "1", "2"]
    assert torch.equal(net(x), before)


class Fused(nn.Module):
    """Two branches that become one in evaluation mode, kept in what is neither parameter nor buffer."""

    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.one, self.two, self.fails = nn.Linear(3, 3), nn.Linear(3, 3), fails
        self.fused, self.history, self.scale = dict[str, Tensor](), list[str](), torch.ones(3)

    def train(self, mode: bool = True) -> "Fused":
        super().train(mode)
        if not mode:
            self.fused["weight"] = (self.one.weight + self.two.weight).detach()
            self.history.append("fused")
            self.scale.mul_(2)
            self.one.weight.data.mul_(2)
            if self.fails:
                raise RuntimeError
        return self

    def forward(self, x: Tensor) -> Tensor:
        merged = F.linear(x, self.fused["weight"]) if self.fused else self.one(x) + self.two(x)
        return self.scale * merged


@pytest.mark.parametrize("fails", [False, True], ids=["to its end", "half-way"])
def test_what_a_train_of_its_own_stores_is_taken_back(fails: bool):
    torch.manual_seed(0)
    net, x = Fused(fails), torch.randn(2, 3)
    before = net(x)
    with suppress(RuntimeError), evaluating(net):
        assert (set(net.fused), net.history) == ({"weight"}, ["fused"])
    assert (net.training, net.fused, net.history) == (True, {}, [])
    assert torch.equal(net(x), before)
    assert net(x).requires_grad


def test_what_is_done_within_stays():
    net = Fused(fails=False)
    with evaluating(net):
        net.two.weight.data.fill_(3)
        net.noted, net.two.noted = 1, 2
    with in_mode(net, training=True):
        net.two.bias.data.fill_(4)
    assert (net.noted, net.two.noted) == (1, 2)
    assert net.two.weight.eq(3).all()
    assert net.two.bias.eq(4).all()


def test_a_wrapper_of_torch_has_no_modes_of_its_own(tmp_path: Path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain, own = (nn.parallel.DistributedDataParallel(net) for net in (nn.Linear(3, 3), Fused(fails=False)))
        assert not any(map(has_own_modes, plain.modules()))
        assert any(map(has_own_modes, own.modules()))
    finally:
        torch.distributed.destroy_process_group()


def test_nothing_watches_a_model_while_it_is_timed(model: nn.Module):
    """A watch takes a call of Python at each operation: passes of a small network took more than twice as long."""
    with while_timed(model, {"input": torch.ones(1, 1, 5, 5)}):
        assert _get_current_dispatch_mode() is None
