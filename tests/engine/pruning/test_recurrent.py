"""Hidden units of LSTM, GRU and RNN: one that is zero or that nobody reads goes, from every form of recurrence."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.engine.graph.recurrent_nets import INPUT, KINDS, NETS, UNITS, Whole
from winnow.engine.export import load_model, save_model
from winnow.engine.graph.trace import trace
from winnow.engine.pruning import compact
from winnow.engine.pruning.chance import same_chance
from winnow.engine.sparsity.groups import banks, coupled_groups, input_groups, output_groups

X = torch.randn(2, 7, INPUT, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
STARTING_ELSEWHERE = ("loop from ones", "loop from a parameter")


def made(name: str, kind: str) -> nn.Module:
    torch.manual_seed(1)
    net = NETS[name](kind).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.4)
    return net.eval()


def outputs(net: nn.Module, x: Tensor, training: bool) -> dict[str, Tensor]:
    twin = copy.deepcopy(net).train(training)
    with torch.no_grad(), same_chance(twin, len(x), seed=3):
        return twin(x)


def holds(net: nn.Module, small: nn.Module, training: bool, sizes: tuple = ((1, 7), (3, 4), (2, 15))) -> None:
    for count, length in sizes:
        x = torch.randn(count, length, INPUT, dtype=torch.float64)
        for mode in (False, True) if training else (False,):
            one, other = outputs(net, x, mode), outputs(small, x, mode)
            assert max(float((one[name] - other[name]).abs().max()) for name in one) <= 1e-10


def groups_of(net: nn.Module, kind: str) -> list[Any]:
    graph = trace(net, X)
    if kind == "coupled":
        return coupled_groups(net, X, graph=graph)
    return output_groups(net, graph=graph) if kind == "output" else input_groups(net, graph=graph)


def units(net: nn.Module) -> int:
    return next(layer.hidden_size for layer in net.modules() if isinstance(layer, nn.RNNBase | nn.RNNCellBase))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("kind", ["output", "coupled"])
def test_zero_units_go(name: str, kind: str):
    net = made(name, "gru" if kind == "output" else "lstm")
    for bank in banks(groups_of(net, kind)):
        if any(part in bank.layer for part in ("rnn", "cell", "encoder", "decoder", "matmul")):
            bank.scale_((torch.arange(bank.channels) >= 3).double())
    small = compact(net, X)
    assert small.certificate.max_error_float64 <= 1e-10
    stay = name in STARTING_ELSEWHERE and (kind == "output" or "parameter" not in name)
    assert units(small.model) == (UNITS if stay else UNITS - 3), small.certificate.kept_for
    loops = "loop" in name
    fixed = ((1, 7), (3, 7)) if loops or "packed" in name else ((1, 7), (3, 4), (2, 15))
    holds(net, small.model, "dropout" not in name, fixed)


def test_a_unit_that_nobody_reads_goes():
    net = made("one", "lstm")
    with torch.no_grad():
        for weight in (net.rnn.weight_hh_l0, net.head.weight, net.last.weight):
            weight[:, [1, 4]] = 0
    small = compact(net, X)
    assert units(small.model) == UNITS - 2
    holds(net, small.model, True)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_zero_candidate_is_enough_and_other_gates_are_not(kind: str):
    net = made("one", kind)
    with torch.no_grad():
        for place, unit in ((2, 0), (0, 1)):
            row = place * UNITS + unit
            for parameter in net.rnn.parameters():
                parameter[row] = 0
    assert units(compact(net, X).model) == UNITS - 1


def test_biases_that_are_not_zero_keep_a_unit():
    net = made("one", "rnn")
    with torch.no_grad():
        net.rnn.weight_ih_l0[0], net.rnn.weight_hh_l0[0] = 0, 0
    assert units(compact(net, X).model) == UNITS


def test_inputs_that_no_unit_reads_go():
    net = made("two levels, both ways", "gru")
    with torch.no_grad():
        for name in ("weight_ih_l0", "weight_ih_l0_reverse"):
            getattr(net.rnn, name)[:, 2] = 0
    small = compact(net, X).model
    assert (small.rnn.input_size, small.embed.out_features) == (5, 5)
    holds(net, small, True)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_a_projected_state_is_refused_by_name():
    torch.manual_seed(0)
    net = Whole("lstm", proj_size=4).double()
    assert ("rnn.lstm", "projects its state (`proj_size`), so leave that out") in trace(net, X).pinned
    assert compact(net, X).model.rnn.hidden_size == UNITS


def test_a_state_that_is_given_keeps_the_units():
    class Given(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.GRU(INPUT, UNITS, batch_first=True), nn.Linear(UNITS, 2)

        def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            y, state = self.rnn(x, state)
            return self.head(y), state

    net = Given().double()
    graph = trace(net, (X, torch.randn(1, 2, UNITS, dtype=torch.float64)))
    (space,) = [space for space in graph.spaces if space.name == "rnn"]
    assert not space.removable


def test_what_lost_units_is_saved_and_loaded(tmp_path):
    net = made("both ways", "lstm")
    for bank in banks(groups_of(net, "output")):
        if bank.layer in ("rnn", "cell"):
            bank.scale_((torch.arange(bank.channels) >= 3).double())
    small = compact(net, X).model
    save_model(tmp_path / "small", small, X)
    holds(net, load_model(tmp_path / "small"), False)


@pytest.mark.parametrize("kind", KINDS)
def test_groups_of_a_recurrent_layer(kind: str):
    net, gates = made("one", kind), {"lstm": 4, "gru": 3, "rnn": 1}[kind]
    (bank,) = [bank for bank in banks(groups_of(net, "output")) if bank.layer == "rnn"]
    assert (bank.channels, bank.size) == (UNITS, gates * (6 + UNITS + 2))
    (bank,) = [bank for bank in banks(groups_of(net, "coupled")) if bank.layer == "rnn"]
    assert (bank.channels, bank.size) == (UNITS, gates * (6 + UNITS + 2) + gates * UNITS + 3 + 2)
    sizes = {bank.layer: (bank.channels, bank.size) for bank in banks(groups_of(net, "input")) if "rnn" in bank.layer}
    assert sizes == {"rnn.weight_ih_l0": (6, gates * UNITS), "rnn.weight_hh_l0": (UNITS, gates * UNITS)}


def test_tracing_changes_nothing():
    net = made("translating", "lstm")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    trace(net, X)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def exact(described: tuple) -> None:
    name, cell, kind, dead, seed = described
    net, generator = made(name, cell), torch.Generator().manual_seed(seed)
    for bank in banks(groups_of(net, kind)):
        bank.scale_((torch.rand(bank.channels, generator=generator) > dead).double())
    small = compact(net, X)
    assert not small.certificate.kept_for or name in STARTING_ELSEWHERE
    holds(net, small.model, "dropout" not in name, ((1, 7), (3, 7)))


RECURRENT = st.tuples(
    st.sampled_from(sorted(NETS)),
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(("input", "output", "coupled")),
    st.sampled_from((0.2, 0.5, 0.8)),
    st.integers(0, 99),
)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(RECURRENT)
def test_generated_recurrences_are_exact(described):
    exact(described)


@pytest.mark.study
@settings(max_examples=300, deadline=None)
@given(RECURRENT)
def test_many_generated_recurrences_are_exact(described):
    exact(described)
