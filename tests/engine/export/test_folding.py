"""The folded form: the same outputs, no batch norm where one can go, and refusals by name."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.export import Folded, NotDescribable, NotSame, folded, folding
from winnow.engine.export.agreement import relative_error
from winnow.engine.graph.calls import Call
from winnow.engine.pruning import compact

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def settled(model: nn.Module) -> nn.Module:
    """Give batch norms statistics and factors as of a trained net."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, NORMS):
            for tensor in (module.weight, module.bias, module.running_mean):
                if tensor is not None:
                    nn.init.normal_(tensor)
            nn.init.uniform_(module.running_var, 0.1, 3)
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, NORMS) for module in model.modules())


def same(model: nn.Module, found: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        assert relative_error({"": model(x)}, {"": found(x)}) < 1e-5


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Conv1d(3, 4, 3, bias=False), nn.BatchNorm1d(4)), (2, 3, 9)),
        (
            nn.Sequential(nn.Conv2d(4, 8, 3, groups=2, padding=1), nn.BatchNorm2d(8, affine=False), nn.ReLU()),
            (2, 4, 6, 6),
        ),
        (nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, padding_mode="circular"), nn.BatchNorm2d(8)), (2, 4, 6, 6)),
        (nn.Sequential(nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3)), (2, 2, 4, 4, 4)),
        (nn.Sequential(nn.ConvTranspose2d(3, 5, 2, stride=2), nn.BatchNorm2d(5)), (2, 3, 4, 4)),
        (nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Identity()), (3, 4)),
    ],
)
def test_folded(model: nn.Module, shape: tuple[int, ...]):
    model, x = settled(model), torch.randn(shape)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = folded(model, x)
    assert norms(found) == 0
    same(model, found, x)
    assert not any(parameter.requires_grad for parameter in found.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert norms(model) == 1


class Shared(nn.Module):
    """One convolution that a norm and the output both read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x + self.norm(x)


class Twice(nn.Module):
    """One convolution in front of two norms, and one norm behind two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norms = nn.Conv2d(3, 3, 1), nn.ModuleList([nn.BatchNorm2d(3), nn.BatchNorm2d(3)])

    def forward(self, x: Tensor) -> Tensor:
        for norm in self.norms:
            x = norm(self.conv(x))
        return x


class Tied(nn.Module):
    """Two convolutions of one weight, each with a norm of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.other.weight = self.one.weight
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.other(self.first(self.one(x))))


@pytest.mark.parametrize(
    ("model", "shape", "left"),
    [
        (Shared(), (2, 3, 4, 4), 1),
        (Twice(), (2, 3, 4, 4), 2),
        (Tied(), (2, 3, 4, 4), 2),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 1)), (2, 3, 4, 4), 1),
        (nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(3)), (2, 3, 4), 1),
        (nn.Sequential(nn.ConvTranspose2d(4, 4, 2, groups=2), nn.BatchNorm2d(4)), (2, 4, 3, 3), 1),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.InstanceNorm2d(4)), (2, 3, 4, 4), 0),
    ],
)
def test_a_norm_stays_where_folding_it_is_not_exact(model: nn.Module, shape: tuple[int, ...], left: int):
    model, x = settled(model), torch.randn(shape)
    found = folded(model, x)
    assert norms(found) == left
    same(model, found, x)


def test_a_norm_without_statistics_stays():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    found = folded(model, X)
    assert norms(found) == 1
    same(model, found, X)


class Standardised(nn.Module):
    """A convolution of a kernel that is computed from a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight / self.weight.norm())


def test_what_depends_on_weights_alone_is_stored():
    model = Standardised().eval()
    found = folded(model, X)
    assert [node.op for node in found.graph.nodes] == ["placeholder", "get_attr", "call_function", "output"]
    same(model, found, X)


class Noisy(nn.Module):
    """Something drawn anew from a weight, which no constant can stand for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return x.sum() + torch.bernoulli(self.weight / 2)


def test_what_is_drawn_at_random_is_no_constant():
    found = folded(Noisy().eval(), X)
    assert any(getattr(node.target, "__name__", "") == "bernoulli" for node in found.graph.nodes)


@settings(max_examples=5, deadline=None)
@given(widths=st.lists(st.integers(1, 6), min_size=2, max_size=3), bias=st.booleans(), seed=st.integers(0, 99))
def test_folding_a_compact_network(widths: list[int], bias: bool, seed: int):
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in zip([3, *widths], widths, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=bias), nn.BatchNorm2d(after), nn.ReLU()]
    model = settled(nn.Sequential(*layers, nn.Conv2d(widths[-1], 2, 3, padding=1)))
    with torch.no_grad():
        model[-1].weight[:, 0] = 0
        model[0].weight[-1] = 0  # constant behind its norm, so that its reader may append ones
    small = compact(model, X).model
    found = folded(small, X)
    assert norms(found) == 0
    same(model, found, X)


def test_a_folded_model_refuses_training_mode_and_so_do_its_copies():
    found = folded(settled(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))), X)
    for one in (found, copy.deepcopy(found)):
        assert isinstance(one, Folded)
        assert one.eval() is one
        with pytest.raises(ValueError, match="`mode` must be False for a folded model"):
            one.train()


def test_the_mode_of_the_model_does_not_matter_and_stays():
    model = settled(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    expected = model(X)
    found = folded(model.train(), X)
    assert all(part.training for part in model.modules())
    torch.testing.assert_close(found(X), expected)


def test_a_call_in_training_mode_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    with pytest.raises(NotDescribable, match="`example_inputs` must be calls in evaluation mode"):
        folded(model, Call((X,), training=True))


def test_a_fold_that_is_wrong_is_never_handed_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folding, "_into", lambda layer, norm: None)
    with pytest.raises(NotSame, match="`model` must give the same outputs when folded"):
        folded(settled(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))), X)
