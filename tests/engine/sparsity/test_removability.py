"""A channel goes when every reader ignores it; until then each group says who still reads it."""

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.graph.trace import trace
from winnow.engine.sparsity.groups import banks, coupled_groups, input_groups, output_groups
from winnow.engine.sparsity.removability import labels_of, removability


class TwoReaders(nn.Module):
    """One convolution, read by two."""

    def __init__(self) -> None:
        super().__init__()
        self.make = nn.Conv2d(3, 6, 3)
        self.left, self.right = nn.Conv2d(6, 2, 1), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        shared = self.make(x).relu()
        return {"left": self.left(shared), "right": self.right(shared)}


@pytest.fixture
def net() -> TwoReaders:
    torch.manual_seed(0)
    return TwoReaders()


def test_blocked_names_the_readers_that_are_left(net: TwoReaders):
    graph, found = trace(net, torch.rand(1, 3, 8, 8)), banks(input_groups(net))
    with torch.no_grad():
        net.left.weight[:, [1, 4]] = 0
        net.right.weight[:, 4] = 0
    table = removability(graph, graph.channels(), found).set_index(["layer", "channel"])
    assert table.loc["left", "removable"].tolist() == [False, False, False, False, True, False]
    assert table.loc[("left", 1), "blocked"].endswith("2 readers, 1 still uses it (right)")
    assert table.loc[("right", 4), "blocked"] == ""
    assert "input" in table.loc[("make", 0), "blocked"]


@pytest.mark.parametrize("kind", ["input", "output", "coupled"])
def test_labels_of_a_channel_are_the_same_for_every_kind_of_group(net: TwoReaders, kind: str):
    example = torch.rand(1, 3, 8, 8)
    graph = trace(net, example)
    makers = {
        "input": lambda: [group for group in input_groups(net) if group.layer == "left"],
        "output": lambda: [group for group in output_groups(net, example) if group.layer == "make"],
        "coupled": lambda: coupled_groups(net, example, graph=graph),
    }
    (bank,) = banks(makers[kind]())
    (space,) = [space for space in graph.spaces if space.removable]
    assert labels_of(graph, bank).tolist() == space.channels.tolist()
