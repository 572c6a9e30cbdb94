"""A frozen model gives what the model gives, and reads no channel whose weights are all zero where that saves time."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.explain.relevance.frozen_model import FEW, frozen_model, plain_weight, read_inputs
from winnow.engine.explain.relevance.refusals import NotAttributableError
from winnow.engine.explain.relevance.relevance import relevance
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.specs.explain import Method

DEAD = [1, 3, 4, 6]
IMAGES, ROWS, SIGNALS = (3, 8, 9, 9), (3, 5, 8), (3, 8, 20)


class Doubled(nn.Conv2d):
    """A layer of the user's own, with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def _normed() -> nn.Sequential:
    norm = nn.BatchNorm2d(6)
    norm.running_mean, norm.running_var = torch.randn(6), torch.rand(6) + 0.5
    return nn.Sequential(nn.Conv2d(8, 6, 3, padding=1, stride=2, bias=False), norm, nn.ReLU(), nn.Conv2d(6, 4, 1))


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolution": (lambda: nn.Conv2d(8, 6, 3, padding=1), IMAGES),
    "circular padding": (lambda: nn.Conv2d(8, 6, 3, padding=1, padding_mode="circular"), IMAGES),
    "norm folded": (_normed, IMAGES),
    "rows": (lambda: nn.Sequential(nn.Linear(8, 7), nn.GELU(), nn.Linear(7, 2)), ROWS),
    "signals": (lambda: nn.Conv1d(8, 6, 5, bias=False), SIGNALS),
    "groups": (lambda: nn.Conv2d(8, 6, 3, groups=2), IMAGES),
    "own forward": (lambda: Doubled(8, 6, 3), IMAGES),
}


def _sparse(make: Callable[[], nn.Module], dead: list[int]) -> nn.Module:
    torch.manual_seed(0)
    model = make().double().eval()
    layer = model if isinstance(model, nn.Conv1d | nn.Conv2d) else model[0]
    with torch.no_grad():
        if getattr(layer, "groups", 1) == 1:
            layer.weight[:, dead] = 0
    return model


@pytest.mark.parametrize("dead", [[], DEAD, list(range(8))])
@pytest.mark.parametrize("name", NETS)
def test_frozen_model(name: str, dead: list[int]):
    """Outputs and gradients are those of the model in evaluation mode, to 1e-10 in double precision."""
    make, shape = NETS[name]
    model = _sparse(make, dead)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    seed = torch.randn_like(model(x))
    (wanted,) = torch.autograd.grad(model(x), x, seed)
    before = dict(vars(model))
    with frozen_model(model):
        found = model(x)
        (gradient,) = torch.autograd.grad(found, x, seed)
    assert torch.allclose(found, model(x), rtol=0, atol=1e-10)
    assert torch.allclose(gradient, wanted, rtol=0, atol=1e-10)
    assert vars(model) == before


def test_read_inputs():
    """Channels of zero weight are left out where there are many of them; one stays where all are; else None."""
    weight = torch.ones(4, 8, 3, 3)
    layer = nn.Conv2d(8, 4, 3)
    assert read_inputs(layer, weight) is None
    weight[:, [0]] = 0
    assert FEW * 8 < 7
    assert read_inputs(layer, weight) is None
    weight[:, DEAD] = 0
    found = read_inputs(layer, weight)
    assert found is not None
    assert found.tolist() == [2, 5, 7]
    weight[0, 3, 0, 0] = float("nan")
    found = read_inputs(layer, weight)
    assert found is not None
    assert 3 in found.tolist()
    assert read_inputs(nn.Conv2d(16, 4, 3, groups=2), weight) is None
    nothing = read_inputs(layer, torch.zeros(4, 8, 3, 3))
    assert nothing is not None
    assert nothing.tolist() == [0]


def test_frozen_model_reads_few_channels():
    """What is multiplied has the channels that are read, no others; the site before it has them all."""
    model = _sparse(lambda: nn.Conv2d(8, 6, 3, padding=1), DEAD)
    seen: list[int] = []
    given = model._conv_forward
    model._conv_forward = lambda x, weight, bias: seen.append(x.shape[1]) or given(x, weight, bias)
    with frozen_model(model), torch.no_grad():
        model(torch.randn(IMAGES, dtype=torch.float64))
    assert seen == [4]


def test_plain_weight():
    """Only layers of torch with their own forward and a weight that is a parameter are read in part."""
    plain, own = nn.Conv2d(8, 6, 3), Doubled(8, 6, 3)
    assert plain_weight(plain) is plain.weight
    assert plain_weight(own) is None
    assert plain_weight(nn.ReLU()) is None
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 2))
    assert plain_weight(normed) is None
    plain.forward = own.forward
    assert plain_weight(plain) is None


class Counting(nn.Module):
    """Writes into a buffer and a list on each pass, in both modes."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(4, 6)
        self.heads = nn.ModuleList([nn.Linear(6, 1), nn.Linear(6, 1)])
        self.register_buffer("center", torch.zeros(6))
        self.kept: list[Tensor] = []

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = torch.relu(self.trunk(x))
        self.center = 0.9 * self.center + 0.1 * found.detach().mean(0)
        self.kept.append(found.detach())
        return {name: head(found - self.center) for name, head in zip("ab", self.heads, strict=True)}


class Routed(nn.Module):
    """Sends six images of a batch to an expert."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.expert, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = torch.relu(self.stem(x))
        made = torch.cat([self.expert(found[:6]), found[6:]])
        return dict(zip("ab", self.last(torch.relu(made)).split(1, 1), strict=True))


def test_what_passes_store_is_taken_back():
    torch.manual_seed(0)
    net, x = Counting().eval(), torch.randn(5, 4)
    before = net.center.clone()
    with pytest.warns(UserWarning, match="put it into an nn.Sequential"):
        found = relevance(net, [(x, {name: torch.zeros(5, 1) for name in "ab"})])
    assert found.groupby(["task", "layer"]).size().tolist() == [4, 4]
    assert found["relevance"].notna().all()
    assert torch.equal(net.center, before)
    assert not net.kept


def test_a_layer_that_sees_some_images_is_named():
    torch.manual_seed(0)
    net, x = Routed().eval(), torch.randn(9, 4)
    with pytest.raises(NotAttributableError, match=r"every image goes through, got `expert`, which saw 6 of 9"):
        relevance(net, [(x, {name: torch.zeros(9, 1) for name in "ab"})])


def test_an_output_that_no_layer_makes_relies_on_none():
    class Given(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"a": self.trunk(x), "b": x}

    net, x = Given().eval(), torch.randn(5, 4)
    found = relevance(net, [(x, {"a": torch.zeros(5, 2), "b": torch.zeros(5, 4)})])
    assert (found["relevance"] == 0).groupby(found["task"]).all().to_dict() == {"a": False, "b": True}


class Decaying(nn.Module):
    """Shrinks a weight of its own on each pass."""

    def __init__(self, write: Callable[[Tensor], object], rows: int = 0) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))
        self.head, self.write = nn.Linear(6, 1), write
        with torch.no_grad():
            self.trunk[2].weight[:, :rows] = 0

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.write(self.trunk[2].weight)
        return {"a": self.head(torch.relu(self.trunk(x)))}


def by_data(weight: Tensor) -> None:
    weight.data.mul_(0.9)


def without_gradients(weight: Tensor) -> None:
    with torch.no_grad():
        weight.mul_(0.9)


@pytest.mark.filterwarnings("ignore:Some layers are left out")  # what differs from pass to pass
@pytest.mark.parametrize("method", ["taylor", "taylor_positions"])
@pytest.mark.parametrize("write", [by_data, without_gradients])
def test_weights_that_passes_write_into_are_taken_back(write: Callable[[Tensor], object], method: Method):
    torch.manual_seed(0)
    net, x = Decaying(write).eval(), torch.randn(5, 4)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    relevance(net, [(x, {"a": torch.zeros(5, 1)})], method=method)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.filterwarnings("ignore:Some layers are left out")  # what differs from pass to pass
@pytest.mark.parametrize("method", ["layer_integrated_gradients", "conductance"])
def test_methods_of_many_passes_refuse_a_model_that_writes_into_its_weights(method: Method):
    torch.manual_seed(0)
    net, x = Decaying(by_data).eval(), torch.randn(5, 4)
    before = net.trunk[2].weight.detach().clone()
    with pytest.raises(NotAttributableError, match=rf"writes into `trunk\.2\.weight`.*got {method}"):
        relevance(net, [(x, {"a": torch.zeros(5, 1)})], method=method, settings=Settings(of="output"))
    assert torch.equal(net.trunk[2].weight, before)


@pytest.mark.filterwarnings("ignore:Some layers are left out")  # what differs from pass to pass
def test_each_chunk_begins_from_the_model_as_it_was():
    torch.manual_seed(0)
    net, x = Decaying(by_data).eval(), torch.randn(6, 4)
    data = [(x, {"a": torch.zeros(6, 1)})]
    whole, parts = (relevance(net, data, settings=Settings(chunk=chunk)) for chunk in (6, 2))
    torch.testing.assert_close(torch.tensor(parts["relevance"].array), torch.tensor(whole["relevance"].array))


@pytest.mark.filterwarnings("ignore:Some layers are left out")  # what differs from pass to pass
def test_a_write_into_a_weight_that_is_read_in_part_is_refused_by_name():
    torch.manual_seed(0)
    net, x = Decaying(by_data, rows=6).eval(), torch.randn(5, 4)
    with pytest.raises(NotTraceable, match=r"writes into `trunk\.2\.weight`, which is folded or read in part"):
        relevance(net, [(x, {"a": torch.zeros(5, 1)})])
