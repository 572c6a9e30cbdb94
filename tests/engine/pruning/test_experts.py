"""Experts of a mixture: one that is zero goes, the weights of the others stay what they were, and nothing is wrong."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.engine.graph.mixture_nets import FORMS, HIDDEN, INPUT, OUTPUT, PLE, WAYS, MMoE
from winnow.engine.export import load_model, save_model
from winnow.engine.graph.experts import experts
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import Compacted, compact
from winnow.engine.pruning.chance import same_chance
from winnow.engine.pruning.selecting import Zeros
from winnow.engine.sparsity.groups import Bank, banks, coupled_groups, input_groups, output_groups
from winnow.engine.sparsity.proximal import Kept
from winnow.engine.sparsity.removability import removability

X = torch.randn(3, INPUT, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def made(net: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for parameter in net.double().parameters():
        nn.init.normal_(parameter, std=0.5)
    return net.eval()


def difference(one: nn.Module, other: nn.Module, x: Tensor, training: bool) -> float:
    results = []
    for net in (copy.deepcopy(one), copy.deepcopy(other)):
        with torch.no_grad(), same_chance(net, len(x), seed=3):
            results.append(net.train(training)(x))
    return max(float((results[0][name] - results[1][name]).abs().max()) for name in results[0])


def holds(net: nn.Module, small: nn.Module, batches: tuple[int, ...] = (1, 2, 9)) -> None:
    for batch in batches:
        x = torch.randn(batch, INPUT, dtype=torch.float64)
        assert max(difference(net, small, x, training) for training in (False, True)) <= 1e-10


def of_experts(groups: list) -> list[Bank]:
    return [bank for bank in banks(groups) if bank.apart]


def silence(bank: Bank) -> None:
    bank.scale_(torch.zeros(bank.channels, dtype=torch.float64))


@pytest.mark.parametrize("way", WAYS)
def test_experts(way: str):
    net = made(MMoE(way))
    assert [expert.name for expert in experts(trace(net, X))] == [f"experts.{place}" for place in range(4)]
    net = made(PLE(way, levels=1))
    assert len(experts(trace(net, X))) == 6


def test_a_value_of_attention_is_no_expert():
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v, self.out = (nn.Linear(INPUT, 4) for _ in range(4))
            self.out = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.out((self.q(x) @ self.k(x).mT).softmax(-1) @ self.v(x))

    assert experts(trace(Attention(), torch.randn(2, 3, INPUT))) == ()


@pytest.mark.parametrize("kind", ["output", "coupled"])
@pytest.mark.parametrize("form", FORMS)
def test_a_zero_expert_is_gone_with_its_parameters(kind: str, form: str):
    net = made(MMoE("summed", form))
    graph = trace(net, X)
    groups = output_groups(net, graph=graph) if kind == "output" else coupled_groups(net, X, graph=graph)
    found = of_experts(groups)
    assert [bank.layer for bank in found] == [f"experts.{place}" for place in range(4)]
    silence(found[1])
    silence(found[3])
    small = compact(net, X)
    assert small.certificate.silent == ("experts.1", "experts.3")
    assert small.certificate.max_error_float64 <= 1e-10
    assert small.certificate.relative_error_training is not None
    kept = [net.experts[0], net.experts[2], net.gates, net.towers]
    assert sum(p.numel() for p in small.model.parameters()) == sum(
        p.numel() for part in kept for p in part.parameters()
    )
    assert small.model.gates[0].weight.shape == net.gates[0].weight.shape  # the softmax counts them all
    holds(net, small.model)


def test_of_input_groups_an_expert_without_hidden_units_keeps_its_bias():
    net = made(MMoE("by_einsum"))
    for bank in banks(input_groups(net, graph=trace(net, X))):
        if bank.layer == "experts.2.3":
            silence(bank)
    small = compact(net, X)
    assert small.certificate.silent == ()
    assert small.model.experts[2][0].weight.shape == (1, INPUT)
    holds(net, small.model)
    with torch.no_grad():
        net.experts[2][3].bias.zero_()
    assert compact(net, X).certificate.silent == ("experts.2",)


def test_channels_of_a_mixture_go_from_every_expert_and_from_zeros():
    net = made(MMoE("summed"))
    silence(of_experts(output_groups(net, graph=trace(net, X)))[0])
    with torch.no_grad():
        for tower in net.towers:
            tower[0].weight[:, 2:4] = 0
    small = compact(net, X).model
    assert isinstance(small.experts[0], Zeros)
    assert (small.experts[0].width, small.experts[1][3].out_features) == (OUTPUT - 2, OUTPUT - 2)
    with torch.no_grad():
        for tower in small.towers:
            tower[0].weight[:, 0] = 0
    again = compact(small, X).model
    assert (again.experts[0].width, again.experts[1][3].out_features) == (OUTPUT - 3, OUTPUT - 3)
    holds(small, again)


def test_a_zero_expert_is_saved_and_loaded(tmp_path):
    net = made(PLE("by_einsum", levels=1))
    silence(of_experts(output_groups(net, graph=trace(net, X)))[2])
    small = compact(net, X).model
    assert any(isinstance(part, Zeros) for part in small.modules())
    save_model(tmp_path / "small", small, X)
    holds(net, load_model(tmp_path / "small"))


def test_modules_stay_where_they_are_asked_for():
    net = made(MMoE("summed"))
    silence(of_experts(output_groups(net, graph=trace(net, X)))[0])
    small = compact(net, X, training=True, keep_modules=True)
    assert small.certificate.silent == ()
    assert [name for name, _ in small.model.named_parameters()] == [name for name, _ in net.named_parameters()]


def test_a_module_that_is_zero_on_the_example_alone_stays():
    net = made(MMoE("summed", "one layer"))
    with torch.no_grad():
        net.experts[1][0].weight.abs_().neg_()
        net.experts[1][0].bias.fill_(-100)  # dead on all that is likely, and not by its weights
    assert compact(net, X).certificate.silent == ()


def test_no_floor_keeps_an_expert_and_its_fate_is_told():
    net = made(MMoE("summed"))
    graph = trace(net, X)
    found = of_experts(output_groups(net, graph=graph))
    Kept(floor=0.1).mark(found[0])
    assert found[0].floor == 0
    silence(found[0])
    table = removability(graph, graph.channels(), found)
    assert table["removable"].tolist() == [True, False, False, False]
    assert table["blocked"][1] == "experts.1: its last layer gives something to the mixture"


def share(net: nn.Module, kind: str, share: float, seed: int) -> None:
    graph, generator = trace(net, X), torch.Generator().manual_seed(seed)
    makers = {
        "input": lambda: input_groups(net, graph=graph),
        "output": lambda: output_groups(net, graph=graph),
        "coupled": lambda: coupled_groups(net, X, graph=graph),
    }
    for bank in banks(makers[kind]()):
        bank.scale_((torch.rand(bank.channels, generator=generator) > share).double())


def exact(described: tuple, tmp_path=None) -> Compacted:
    way, form, levels, kind, dead, seed = described
    net = made(MMoE(way, form, count=2 + seed % 3, tasks=1 + seed % 2) if not levels else PLE(way, form, levels))
    share(net, kind, dead, seed)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    small = compact(net, X)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    holds(net, small.model, (1, 5))
    return small


MIXTURES = st.tuples(
    st.sampled_from(sorted(WAYS)),
    st.sampled_from(sorted(FORMS)),
    st.integers(0, 2),
    st.sampled_from(("input", "output", "coupled")),
    st.sampled_from((0.3, 0.6, 0.9)),
    st.integers(0, 99),
)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(MIXTURES)
def test_generated_mixtures_are_exact(described):
    exact(described)


@pytest.mark.study
@settings(max_examples=300, deadline=None)
@given(MIXTURES)
def test_many_generated_mixtures_are_exact(described):
    exact(described)


def test_hidden_units_of_experts_go_alone():
    net = made(MMoE("by_bmm"))
    with torch.no_grad():
        net.experts[0][3].weight[:, :2] = 0
        net.experts[1][3].weight[:, 4] = 0
    small = compact(net, X).model
    assert [small.experts[place][0].out_features for place in range(3)] == [HIDDEN - 2, HIDDEN - 1, HIDDEN]
    holds(net, small)


def test_a_mixture_of_the_best_experts_loses_its_zero_ones():
    class Best(MMoE):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            parts, found = [expert(x) for expert in self.experts], {}
            for place, (gate, tower) in enumerate(zip(self.gates, self.towers, strict=True)):
                weights = gate(x).softmax(-1)
                best, chosen = weights.topk(2, -1)
                found[f"task{place}"] = tower(self.mixed(torch.zeros_like(weights).scatter(1, chosen, best), parts))
            return found

    net = made(Best("summed"))
    for bank in of_experts(coupled_groups(net, X))[1:3]:
        silence(bank)
    small = compact(net, X)
    assert small.certificate.silent == ("experts.1", "experts.2")
    holds(net, small.model)


def test_experts_in_one_tensor_are_pinned_by_name():
    class Batched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.v = nn.Parameter(torch.randn(4, INPUT, HIDDEN)), nn.Parameter(torch.randn(4, HIDDEN, OUTPUT))
            self.gate, self.tower = nn.Linear(INPUT, 4), nn.Linear(OUTPUT, 1)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            parts = torch.einsum("beh,eho->beo", torch.relu(torch.einsum("bi,eih->beh", x, self.w)), self.v)
            return {"task": self.tower(torch.einsum("be,beo->bo", self.gate(x).softmax(-1), parts))}

    net = made(Batched())
    with torch.no_grad():
        net.w[1], net.v[1], net.v[2] = 0, 0, 0
    small = compact(net, X)
    assert small.model.w.shape == net.w.shape
    assert small.certificate.kept_for["v"].startswith("1, 2 along axis 0 is zero, and stays as part of one tensor")
    assert small.certificate.kept_for["w"].startswith("1 along axis 0")
    holds(net, small.model)


def test_a_branch_over_maps_keeps_one_channel():
    """How large its zeros would have to be, a convolution alone knows."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.out = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)
            self.branch = nn.Sequential(nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 4, 1))

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            x = self.stem(x)
            return {"task": self.out(x + self.branch(x))}

    net = made(Residual())
    with torch.no_grad():
        for parameter in net.branch[2].parameters():
            parameter.zero_()
    found = compact(net, torch.randn(2, 3, 6, 7, dtype=torch.float64))
    assert (found.certificate.silent, found.model.branch[0].out_channels) == ((), 1)
