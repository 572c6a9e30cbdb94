"""The drawing of a network: every layer once, in the order in which it runs, and nothing that leads nowhere."""

import pytest
import torch
from torch import Tensor, nn

from tests.engine.graph.attention_nets import EXAMPLE, Net, Residual, Separate
from tests.engine.graph.recurrent_nets import INPUT, Loop, Packed, Whole
from tests.engine.graph.zoo import ZOO, build
from winnow.engine.graph.streams import stream_tables, streams
from winnow.engine.graph.tables import savings
from winnow.engine.graph.trace import trace
from winnow.engine.measure.counts import cost, layer_macs
from winnow.engine.pruning import compact


class Block(nn.Module):
    """y = a(x) + x, then two heads, one of which concatenates what the other made."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.seg, self.depth = nn.Conv2d(4, 2, 1), nn.Conv2d(6, 1, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = torch.relu(self.stem(images))
        y = self.a(x) + x
        seg = self.seg(y)
        return {"seg": seg, "depth": self.depth(torch.cat([y, seg], 1))}


def _tables(model: nn.Module, example: Tensor):
    graph = trace(model.eval(), example)
    liveness = graph.liveness()
    return *stream_tables(streams(graph), liveness), liveness


def test_a_sum_and_a_concatenation_are_joins_and_heads_end_in_outputs() -> None:
    model = Block()
    with torch.no_grad():
        model.a.weight[0] = 0  # one filter and one column less
        model.a.bias[0] = 0
        model.seg.weight[:, 1] = model.depth.weight[:, 1] = 0
    nodes, edges, _ = _tables(model, torch.rand(2, 3, 8, 8))
    assert nodes["name"].tolist() == ["images", "stem", "a", "add", "seg", "cat", "depth", "seg", "depth"]
    assert nodes["kind"].tolist() == ["input", *["layer"] * 2, "join", "layer", "join", "layer", *["output"] * 2]
    pairs = set(zip(edges["source"].tolist(), edges["target"].tolist(), strict=True))
    assert pairs == {(0, 1), (1, 2), (1, 3), (2, 3), (3, 4), (3, 5), (4, 5), (5, 6), (4, 7), (6, 8)}
    stem = nodes.set_index("name").loc["stem"]
    assert (stem["channels"], stem["columns"], stem["parameters"], stem["macs"]) == (4, 3, 16, 3 * 4 * 64)
    assert nodes.loc[nodes["kind"] == "output", "outputs"].tolist() == ["seg", "depth"]
    assert edges.set_index(["source", "target"]).loc[(3, 5), "channels"] == 4


@pytest.mark.parametrize(
    "name", ["ours bottleneck, D-stem, ASPP", "densenet", "efficientnet", "u-net", "shared", "fpn"]
)
def test_every_layer_stands_there_and_every_node_leads_from_an_input_to_an_output(name: str) -> None:
    model, example = build(name)
    nodes, edges, liveness = _tables(model, example)
    uses = (*liveness.graph.products, *liveness.graph.depthwise)
    layers = nodes[nodes["kind"] == "layer"]
    assert sorted(layers["name"]) == sorted(use.layer for use in uses)
    assert set(edges["target"]) == set(nodes["node"][nodes["kind"] != "input"])
    assert set(edges["source"]) == set(nodes["node"][nodes["kind"] != "output"])
    assert (edges["source"] < edges["target"]).all()
    total = savings(liveness).iloc[-1]
    sums = layers[["macs", "removable_macs", "gathered_macs"]].sum()
    assert sums.tolist() == pytest.approx(total[["macs", "removable_macs", "gathered_macs"]].tolist())


def test_queries_keys_and_values_meet() -> None:
    nodes, edges, _ = _tables(Net(Residual(Separate())), torch.rand(EXAMPLE))
    place = dict(zip(nodes["name"], nodes["node"], strict=True))
    meeting = {edges.loc[edges["source"] == place[f"blocks.0.attention.{part}"], "target"].iloc[0] for part in "qk"}
    assert len(meeting) == 1
    assert nodes["name"].tolist().count("add") == 2


def test_a_layer_that_runs_twice_is_two_nodes() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(torch.relu(self.a(x)))

    nodes, edges, _ = _tables(Twice(), torch.rand(2, 4))
    assert nodes["name"].tolist() == ["x", "a", "a", "output"]
    assert edges[["source", "target"]].to_numpy().tolist() == [[0, 1], [1, 2], [2, 3]]


def test_every_net_of_the_zoo_can_be_drawn() -> None:
    for name in ZOO:
        nodes, _, _ = _tables(*build(name))
        assert (nodes["kept"] <= nodes["channels"]).all(), name


def test_the_graph_gives_both_frames() -> None:
    graph = trace(Block().eval(), torch.rand(2, 3, 8, 8))
    nodes, edges = graph.streams()
    assert (len(nodes), len(edges)) == (9, 10)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("form", [Whole, Packed, Loop])
def test_recurrent_layers_stand_there_with_their_macs(form: type[nn.Module], kind: str) -> None:
    torch.manual_seed(0)
    options = {"start": "none"} if form is Loop else {"num_layers": 2, "bidirectional": True, "dropout": 0.1}
    model, example = form(kind, **options), torch.rand(3, 4, INPUT)
    name = "cell" if form is Loop else "rnn"
    nodes, edges, liveness = _tables(model, example)
    node = nodes.set_index("name").loc[name]
    assert node["kind"] == "layer"
    assert node["parameters"] == sum(own.numel() for own in getattr(model, name).parameters())
    assert node["macs"] == pytest.approx(layer_macs(model, example)[name])
    assert savings(liveness)["macs"].iloc[-1] == pytest.approx(sum(layer_macs(model, example).values()))
    assert set(edges["target"]) == set(nodes["node"][nodes["kind"] != "input"])


class Pinned(nn.Module):
    """Recurrent layers that are not followed: one projects its state, the other two have a weight that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.LSTM(INPUT, 6, proj_size=3, num_layers=2, bidirectional=True, batch_first=True)
        self.second = nn.utils.parametrizations.weight_norm(nn.GRU(6, 5, batch_first=True), "weight_hh_l0")
        self.cell = nn.utils.parametrizations.weight_norm(nn.RNNCell(5, 4), "weight_ih")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.cell(self.second(self.first(x)[0])[0][:, -1])
        return found


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_recurrent_layers_that_stay_have_their_macs_too() -> None:
    model, example = Pinned(), torch.rand(3, 4, INPUT)
    graph, found = trace(model, example), cost(model, example)
    assert len(graph.pinned) == 3
    expected = found.set_index("component")["macs"].to_dict()
    assert graph.savings().set_index("component")["macs"].to_dict() == pytest.approx(expected)
    assert graph.savings()["removable_macs"].tolist() == [0.0] * 4


def test_removed_units_take_their_share_of_a_recurrent_layers_macs() -> None:
    model, example = Whole("lstm").eval(), torch.rand(3, 4, INPUT)
    with torch.no_grad():
        model.head.weight[:, :5] = model.last.weight[:, :5] = 0
        model.rnn.weight_hh_l0[:, :5] = 0
    liveness = trace(model, example).liveness()
    total = savings(liveness).iloc[-1]
    small = compact(model, example, gather="never").model
    assert total["macs"] - total["removable_macs"] == pytest.approx(sum(layer_macs(small, example).values()))
    assert total["removable_macs"] > 0


def test_a_table_of_words_stands_between_its_input_and_its_readers() -> None:
    model = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 2))
    nodes, edges, _ = _tables(model, torch.randint(0, 9, (2, 5)))
    assert nodes["name"].tolist()[1:] == ["0", "1", "output"]
    assert nodes["parameters"].tolist() == [0, 54, 14, 0]
    assert edges[["source", "target", "channels"]].values.tolist()[1:] == [[1, 2, 6], [2, 3, 2]]
