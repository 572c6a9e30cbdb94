"""The smaller model is a module like any other: it trains, is copied and exported, and follows its mode."""

import copy
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, is_grad_enabled, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tests.engine.graph.zoo import Program, conv
from tests.engine.pruning.test_compact import silenced
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.measure.counts import cost
from winnow.engine.pruning import NotExact, compact
from winnow.engine.pruning.masking import silence

MODELS = ["ours basic", "splits", "u-net"]


def leaves(result: object) -> list[Tensor]:
    return torch.utils._pytree.tree_leaves(result)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_copied_and_trained(name: str):
    net, x = silenced(name, "input", 0.5)
    net.train()
    small = compact(net, x, gather="always").model
    assert all(module.training for module in small.modules())
    assert all(module.training for module in net.modules())
    twin = copy.deepcopy(small)
    before = copy.deepcopy(twin.state_dict())
    sum(leaf.square().mean() for leaf in leaves(twin(x))).backward()
    torch.optim.SGD(twin.parameters(), 0.1).step()
    assert any(not torch.equal(value, before[key]) for key, value in twin.state_dict().items())
    twin.load_state_dict(small.state_dict())
    for one, other in zip(leaves(twin.eval()(x)), leaves(small.eval()(x)), strict=True):
        assert torch.equal(one, other)
    assert next(iter(leaves(small.to(torch.float32)(x.float())))).dtype == torch.float32


@pytest.mark.parametrize("name", MODELS)
def test_it_is_exported(name: str):
    net, x = silenced(name, "input", 0.5)
    small = compact(net, x, gather="always").model.eval()
    program = torch.export.export(small, (x,))
    for one, other in zip(leaves(program.module()(x)), leaves(net(x)), strict=True):
        torch.testing.assert_close(one, other)


def test_it_runs_in_onnx(tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    net, x = silenced("ours basic", "input", 0.5)
    small = compact(net, x, gather="always").model.eval().float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(small, (x.float(),), tmp_path / "net.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: x.float().numpy()})
    for one, other in zip(found, leaves(small(x.float())), strict=True):
        torch.testing.assert_close(torch.from_numpy(one), other, rtol=1e-4, atol=1e-5)


def test_dropout_as_a_function_follows_the_mode():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.out = conv(3, 6), conv(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(F.dropout(self.a(x)[:, :3], 0.5, training=self.training))

    net, x = Net().train(), torch.randn(1, 3, 8, 8)
    small = compact(net, x).model
    assert small.a.out_channels == 3
    assert not torch.equal(small(x), small(x))
    assert torch.equal(small.eval()(x), small(x))
    torch.testing.assert_close(small(x), net.eval()(x))


def test_a_branch_that_is_dead_as_a_whole_keeps_one_channel():
    def program(m: nn.Module, x: Tensor) -> Tensor:
        y = m.stem(x)
        return m.out(y + m.second(torch.relu(m.first(y))))

    net = Program(program, stem=conv(3, 6), first=conv(6, 8), second=conv(8, 6), out=conv(6, 2)).eval()
    with torch.no_grad():
        net.second.weight.zero_()
    x = torch.randn(1, 3, 8, 8)
    small = compact(net, x).model
    assert (small.first.out_channels, small.second.in_channels) == (1, 1)
    torch.testing.assert_close(small(x), net(x))


DROPOUTS = {
    "alpha": nn.AlphaDropout(0.5),
    "alpha of whole channels": nn.FeatureAlphaDropout(0.5),
    "plain": nn.Dropout(0.5),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", DROPOUTS)
def test_a_constant_under_dropout_is_one_in_evaluation_mode_alone(name: str, training: bool):
    net = nn.Sequential(nn.Linear(4, 6), DROPOUTS[name], nn.Linear(6, 2)).double()
    with torch.no_grad():
        net[0].weight[:3], net[0].bias[:2] = 0, 0  # two channels are zero, one is a number
    compacted = compact(net, torch.randn(3, 4).double(), training=training)
    kept = {"plain": 4}.get(name, 6) if training else 3  # alpha dropout makes another number of a zero
    assert compacted.model[0].out_features == kept
    assert ("training mode" in compacted.certificate.open) is not training


def test_dropout_that_is_never_off_is_compared_with_the_same_numbers():
    class Uncertain(Program):
        def __init__(self) -> None:
            super().__init__(lambda self, x: self.b(F.dropout(self.a(x).relu(), 0.5)), a=conv(3, 8), b=conv(8, 2))

    net = Uncertain().eval()
    with torch.no_grad():
        net.a.weight[:3] = 0
        net.a.bias[:3] = 0
    compacted = compact(net, torch.randn(2, 3, 6, 6))
    assert compacted.model.a.out_channels == 5
    assert compacted.certificate.max_error_float64 < 1e-10


ASKED = {
    "the switch": lambda m, x: m.c(m.b(m.a(x).relu()) if torch.is_grad_enabled() else m.a(x).relu()),
    "a tensor": lambda m, x: (lambda h: m.c(m.b(h) if h.requires_grad else h))(m.a(x).relu()),
    "whether it is a leaf": lambda m, x: (lambda h: m.c(h if h.is_leaf else m.b(h)))(m.a(x).relu()),
    "unseen": lambda m, x: m.c(m.b(m.a(x).relu()) if is_grad_enabled() else m.a(x).relu()),
    "its history": lambda m, x: (lambda h: m.c(m.b(h) if h.grad_fn is not None else h))(m.a(x).relu()),
}


UNSEEN = ("unseen", "whether it is a leaf")


@pytest.mark.parametrize("name", ASKED)
def test_what_goes_another_way_with_gradients_is_refused_by_name(name: str):
    net = Program(ASKED[name], a=conv(3, 6), b=conv(6, 6), c=conv(6, 2)).eval()
    net.c.weight.data[:, 1] = 0
    asked = r"It was run with gradients on, which its code asks for \(test_modes.py:\d+: \""
    with pytest.raises(NotExact, match=asked if name not in UNSEEN else "with gradients on. Keep the model as"):
        compact(net, torch.randn(2, 3, 6, 6))
    assert torch.is_grad_enabled is torch._C.is_grad_enabled


def test_what_goes_the_same_way_with_gradients_is_compared_with_them():
    def program(m: nn.Module, x: Tensor) -> Tensor:
        h = checkpoint(m.a, x, use_reentrant=False) if torch.is_grad_enabled() and m.a.weight.requires_grad else m.a(x)
        return m.c(h.relu())

    net, x = Program(program, a=conv(3, 6), c=conv(6, 2)).eval(), torch.randn(2, 3, 6, 6)
    net.c.weight.data[:, 1] = 0
    found = compact(net, x)
    assert found.model.a.out_channels == 5
    torch.testing.assert_close(found.model(x), net(x))


def _clipped(m: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        m.a.weight.clamp_(min=-0.1)
    return m.c(m.a(x).relu())


WRITES = {
    "a table that is rescaled": lambda: (nn.Sequential(nn.Embedding(9, 6, max_norm=0.5), nn.Linear(6, 2)), True),
    "bags of one": lambda: (nn.Sequential(nn.EmbeddingBag(9, 6, max_norm=0.5), nn.Linear(6, 2)), True),
    "clipped weights": lambda: (Program(_clipped, a=conv(3, 6), c=conv(6, 2)), False),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_model_that_writes_into_its_weights_is_left_as_it_was(name: str):
    torch.manual_seed(0)
    net, words = WRITES[name]()
    net = net.double().eval()
    x = torch.randint(9, (2, 4)) if words else torch.randn(2, 3, 6, 6, dtype=torch.float64)
    before = copy.deepcopy(net.state_dict())
    found = compact(net, x)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    torch.testing.assert_close(found.model(x), net(x))


class Keeping(nn.Module):
    """Keeps what it made last, with its history."""

    def __init__(self, kept: object) -> None:
        super().__init__()
        self.a, self.b, self.kept = nn.Embedding(9, 6, max_norm=0.5), nn.Linear(6, 2), kept

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x))


def test_a_model_that_keeps_a_result_is_copied_or_refused_by_name():
    words, kept = torch.arange(4), torch.ones(2, requires_grad=True) * 2
    net = Keeping(kept).eval()
    assert torch.equal(compact(net, words).model(words), net(words))
    assert torch.equal(silence(net, [])(words), net(words))
    assert net.kept is kept
    listed = Keeping([kept]).eval()
    assert torch.equal(compact(listed, words).model(words), listed(words))
    with pytest.raises(NotTraceable, match=r"got `kept`, which cannot be copied \(.*drop it before"):
        compact(Keeping(threading.Lock()), words)


class Decaying(nn.Module):
    """Writes into its weight on each pass, before it finds that an input has another length than it takes."""

    def __init__(self, write: Callable[[nn.Parameter], object]) -> None:
        super().__init__()
        self.a, self.b, self.c, self.write = nn.Linear(4, 8), nn.Linear(8, 6), nn.Linear(6, 2), write

    def forward(self, x: Tensor) -> Tensor:
        self.write(self.b.weight)
        return self.c(F.relu(self.b(F.relu(self.a(x)))))


def decayed(weight: nn.Parameter) -> None:
    weight.data -= 0.1 * weight.data


def through_numpy(weight: nn.Parameter) -> None:
    weight.detach().numpy()[...] *= 0.9


def into_another(weight: nn.Parameter) -> None:
    weight.data = weight.data * 0.9


def at_a_place(weight: nn.Parameter) -> None:
    weight.data.view(-1)[:3].mul_(0.9)


@pytest.mark.parametrize("write", [decayed, through_numpy, into_another, at_a_place])
def test_what_is_written_in_a_pass_is_compared_and_taken_back(write: Callable[[nn.Parameter], object]) -> None:
    torch.manual_seed(0)
    net, x = Decaying(write).eval(), torch.randn(3, 4)
    with torch.no_grad():
        net.b.weight[::2], net.b.bias[::2] = 0, 0
    before, place = net.b.weight.detach().clone(), net.b.weight.data_ptr()
    small = compact(net, x).model
    if write is not through_numpy:  # of which torch tells nothing where no function of it is watched
        assert cost(net, x).macs.iloc[-1] > 0
    assert torch.equal(net.b.weight, before)
    assert net.b.weight.data_ptr() == place
    for _ in range(3):
        torch.testing.assert_close(small(x), net(x))


class Merging(nn.Linear):
    """An adapter as in loralib: its `train` takes the product of two matrices into the weight, and out again."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.up, self.down = nn.Parameter(torch.randn(outputs, 2)), nn.Parameter(torch.randn(2, inputs))
        self.merged = False

    def train(self, mode: bool = True) -> "Merging":
        super().train(mode)
        if mode is self.merged:
            self.weight.data += (-1 if mode else 1) * self.up @ self.down
            self.merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        found = F.linear(x, self.weight, self.bias)
        return found if self.merged else found + x @ self.down.T @ self.up.T


@pytest.mark.parametrize("training", [False, True])
def test_weights_that_a_mode_merges_are_as_they_were(training: bool) -> None:
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), Merging(8, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(3, 5)
    with torch.no_grad():
        net[0].weight[::2], net[0].bias[::2] = 0, 0
    net.train(training)
    before, expected = {name: value.clone() for name, value in net.state_dict().items()}, net(x)
    found = compact(net, x)
    cost(net, x)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net[2].merged is not training
    assert found.model[2].down.shape == (2, 4)
    for mode in (training, not training):
        torch.testing.assert_close(found.model.train(mode)(x), expected)
