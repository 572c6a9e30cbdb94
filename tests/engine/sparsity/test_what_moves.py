"""Nothing is skipped in silence: tasks in turns, frozen layers, weights without evidence, layers without groups."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm
from torch.optim import SGD, AdamW

from winnow.engine import layer_macs
from winnow.engine.sparsity.counts import Counts, living
from winnow.engine.sparsity.groups import coupled_groups, input_groups, output_groups
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Kept, Proximal
from winnow.engine.sparsity.strength import Targeted

OPTIMISERS = {"sgd": lambda p: SGD(p, 0.05, momentum=0.9), "adamw": lambda p: AdamW(p, 1e-2)}


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(6, 16)
        self.heads = nn.ModuleDict({"a": nn.Linear(16, 2), "b": nn.Linear(16, 2)})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.trunk(x).relu()
        return {name: head(features) for name, head in self.heads.items()}


@cache
def trained_in_turns(kind: str, in_turns: bool, set_to_none: bool = True) -> tuple[TwoHeads, Proximal]:
    """Learn two numbers of which each depends on one input, in turns or from the mean of both losses."""
    torch.manual_seed(0)
    net, x = TwoHeads(), torch.randn(64, 6)
    truths = {"a": x[:, :1].expand(-1, 2), "b": x[:, 1:2].expand(-1, 2)}
    proximal = Proximal(OPTIMISERS[kind](net.parameters()), coupled_groups(net, x), GroupLasso(0.02))
    for step in range(600):
        proximal.zero_grad(set_to_none=set_to_none)
        found = net(x)
        losses = {name: (found[name] - truth).square().mean() for name, truth in truths.items()}
        (losses["ab"[step % 2]] if in_turns else (losses["a"] + losses["b"]) / 2).backward()
        proximal.step()
    return net, proximal


@pytest.mark.parametrize("kind", OPTIMISERS)
@pytest.mark.parametrize("set_to_none", [True, False])
def test_a_channel_of_both_heads_is_penalised_when_tasks_take_turns(kind: str, set_to_none: bool):
    _, together = trained_in_turns(kind, in_turns=False)
    net, turns = trained_in_turns(kind, True, set_to_none)
    zeros = [sum(int((norms == 0).sum()) for norms in proximal.norms) for proximal in (together, turns)]
    assert zeros[0] >= 6
    assert abs(zeros[0] - zeros[1]) <= 3
    dead = turns.norms[0] == 0
    for head in net.heads.values():
        assert (head.weight[:, dead] == 0).all()


def test_a_bank_without_any_gradient_is_left_as_it_is():
    net = TwoHeads()
    proximal = Proximal(SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(1e3))
    before = net.heads["b"].weight.clone()
    net(torch.randn(4, 6))["a"].sum().backward()
    proximal.step()
    assert torch.equal(net.heads["b"].weight, before)
    assert (net.heads["a"].weight == 0).all()


@pytest.mark.parametrize("kind", OPTIMISERS)
@pytest.mark.parametrize("groups", ["output", "coupled"])
def test_frozen_members_are_never_written_and_the_others_are_penalised(kind: str, groups: str):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1))
    x = torch.randn(4, 3, 8, 8)
    net[1].requires_grad_(False)
    told = output_groups(net, x) if groups == "output" else coupled_groups(net, x)
    trainable = [p for p in net.parameters() if p.requires_grad]
    proximal = Proximal(OPTIMISERS[kind](trainable), told, GroupLasso(1e3))
    before = [p.clone() for p in net[1].parameters()]
    net(x).square().mean().backward()
    proximal.step()
    proximal.freeze()
    assert (net[0].weight == 0).all()
    assert all(torch.equal(p, known) for p, known in zip(net[1].parameters(), before, strict=True))
    assert proximal.banks[0].size == 27 + (2 if groups == "coupled" else 0)


def test_a_layer_frozen_later_holds_still_and_comes_back():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(9, 6)
    proximal = Proximal(AdamW(net.parameters(), 1e-2), input_groups(net), GroupLasso(1e-2))
    counts, before = Counts(net, proximal.banks, layer_macs(net, x)), net[0].weight.clone()
    alive = [torch.ones(6, dtype=torch.bool), torch.zeros(8, dtype=torch.bool)]
    for free, zero in ((False, 100.0), (True, 100 * 8 / 14)):
        net[0].requires_grad_(free)
        proximal.zero_grad()
        net(x).square().mean().backward()
        proximal.step()
        assert torch.equal(net[0].weight, before) != free
        assert counts.percent("group", alive) == pytest.approx(zero)
        assert counts.percent("parameter", alive) == pytest.approx(100.0 if not free else 100 * 16 / 64)


@pytest.mark.filterwarnings("ignore:Groups of frozen layers")
@pytest.mark.parametrize("groups", ["input", "coupled"])
def test_a_target_counts_what_can_move_and_leaves_the_rest(groups: str):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    x, y = torch.randn(64, 6), torch.randn(64, 2)
    net[2].requires_grad_(False)
    told = input_groups(net) if groups == "input" else coupled_groups(net, x)
    proximal = Proximal(AdamW(net.parameters(), 1e-3), told, GroupLasso(1e-4), Kept(floor=0.05))
    counts = Counts(net, proximal.banks, layer_macs(net, x))
    control, before = Targeted(proximal, 1e-4, counts, "group", 70.0, warm_up=0, refit_from=100), net[2].weight.clone()
    for step in range(130):
        control.before(step)
        proximal.zero_grad()
        (net(x) - y).square().mean().backward()
        proximal.step()
    assert torch.equal(net[2].weight, before)
    assert counts.percent("group", living(proximal.norms)) == pytest.approx(70, abs=100 / 38)


def test_frozen_layers_are_named():
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    net[0].requires_grad_(False)
    with pytest.warns(UserWarning, match="frozen layers are left as they are and not counted: 0"):
        Proximal(SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(0.1))
    net.requires_grad_(False)
    with pytest.raises(ValueError, match=r"must hold weights that train, got frozen ones only .*: 0, 2"):
        Proximal(SGD(net.parameters(), 0.1), input_groups(net), GroupLasso(0.1))


class ZeroInit(nn.Module):
    """A residual block whose last γ starts at 0: the block's gradients are 0 in the first step."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = (nn.Conv2d(i, 8, 3, padding=1, bias=False) for i in (3, 8, 8))
        self.na, self.nb, self.head = nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.Linear(8, 4)
        nn.init.zeros_(self.nb.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        return self.head((x + self.nb(self.b(self.na(self.a(x)).relu()))).relu().mean((2, 3)))


@pytest.mark.parametrize("groups", ["input", "output", "coupled"])
@pytest.mark.parametrize("kind", OPTIMISERS)
def test_weights_without_evidence_kill_no_group(kind: str, groups: str):
    torch.manual_seed(0)
    net, x, truth = ZeroInit(), torch.randn(16, 3, 8, 8), torch.arange(16) % 4
    told = {
        "input": lambda: input_groups(net),
        "output": lambda: output_groups(net, x),
        "coupled": lambda: coupled_groups(net, x),
    }[groups]()
    proximal = Proximal(OPTIMISERS[kind](net.parameters()), told, GroupLasso(1e-6))
    for _ in range(20):
        proximal.zero_grad()
        nn.functional.cross_entropy(net(x), truth).backward()
        proximal.step()
    assert all((norms > 0).all() for norms in proximal.norms)


def test_an_input_that_is_always_zero_dies_as_its_layer_does():
    """Its column has no gradient, ever: it takes the metric of the other columns, and so dies in time."""
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 4), torch.randn(64, 6)
    x[:, 2] = 0
    proximal = Proximal(AdamW(layer.parameters(), 1e-2), input_groups(layer), GroupLasso(0.05))
    for _ in range(300):
        proximal.zero_grad()
        (layer(x) - 3 * x[:, :4]).square().mean().backward()
        proximal.step()
    assert float(proximal.norms[0][2]) == 0
    assert (proximal.norms[0][:2] > 0).all()


def test_a_head_that_is_never_trained_lets_its_channels_die():
    torch.manual_seed(0)
    net, x = TwoHeads(), torch.randn(64, 6)
    proximal = Proximal(AdamW(net.parameters(), 1e-2), coupled_groups(net, x), GroupLasso(0.5))
    for _ in range(100):
        proximal.zero_grad()
        net(x)["a"].square().mean().backward()
        proximal.step()
    assert (proximal.norms[0] == 0).all()
    assert (net.heads["b"].weight == 0).all()


def test_what_is_nan_is_no_zero():
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    for kind in OPTIMISERS.values():
        for told in (input_groups(net), coupled_groups(net, torch.randn(2, 6))):
            proximal = Proximal(kind(net.parameters()), told, GroupLasso(1.0), Kept(floor=0.1))
            for parameter in net.parameters():
                parameter.grad = torch.full_like(parameter, torch.nan)
            proximal.step()
            proximal.freeze()
            assert all(bool(alive.all()) for alive in living(proximal.norms))
            assert all(bool(p.isnan().all()) for p in proximal.banks[0].parameters)
            nn.init.ones_(net[0].weight)
            nn.init.ones_(net[2].weight)
            nn.init.ones_(net[0].bias)


def test_a_target_on_norms_that_are_nan_ends_with_a_sentence():
    net, x = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(9, 6)
    proximal = Proximal(AdamW(net.parameters(), 1e-2), input_groups(net), GroupLasso(1e-3))
    counts = Counts(net, proximal.banks, {"0": float("nan"), "2": 16.0})
    with pytest.raises(ValueError, match="MACs of a module are not known, got 'mac' and none of 0"):
        Targeted(proximal, 1e-3, counts, "mac", 50.0, warm_up=0, refit_from=10)
    assert counts.percent("parameter", living(proximal.norms)) == 0
    (net(x) * torch.nan).sum().backward()
    proximal.step()
    assert counts.percent("group", living(proximal.norms)) == 0


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_masked_and_parametrized_layers_are_named_with_the_way_out(name: str):
    net, x = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)), torch.randn(2, 3, 8, 8)
    prune.random_unstructured(net[0], name, 0.5)
    for draw in (lambda: input_groups(net), lambda: output_groups(net, x), lambda: coupled_groups(net, x)):
        with pytest.raises(TypeError, match=rf"`0.{name}` must be a parameter.*prune.remove\(layer, '{name}'\)"):
            draw()
    prune.remove(net[0], name)
    assert coupled_groups(net, x)
    weight_norm(net[2])
    with pytest.raises(TypeError, match=r"`2.weight` must be a parameter.*remove_parametrizations"):
        input_groups(net)


def test_layers_of_ones_own_are_named():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4, 4))

    with pytest.warns(UserWarning, match=r"no convolution or linear layer. The weights are in 0 \(Scaled\)"):
        assert input_groups(nn.Sequential(Scaled())) == []
