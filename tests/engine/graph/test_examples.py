"""Examples at another number of images."""

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.graph.calls import Call, calls
from winnow.engine.graph.examples import at_other_sizes, batch_size, batched, images, with_images
from winnow.engine.graph.trace import trace
from winnow.engine.measure.counts import layer_macs

NET = nn.Identity()


def test_images_are_taken_in_turn():
    x = torch.arange(3.0).reshape(3, 1)
    assert batched(NET, x, 5)["input"].flatten().tolist() == [0, 1, 2, 0, 1]
    assert batched(NET, x, 1)["input"].flatten().tolist() == [0]


class Pair(nn.Module):
    def forward(self, x: tuple[Tensor, Tensor], scale: float, number: Tensor) -> Tensor:
        return scale * x[0] + number


def test_what_is_no_batch_stays():
    inputs = {"x": (torch.zeros(2, 3), torch.zeros(7)), "scale": 2.0, "number": torch.tensor(4)}
    found = batched(Pair(), inputs, 4)
    assert [tuple(part.shape) for part in found["x"]] == [(4, 3), (7,)]
    assert found["scale"] == 2.0
    assert found["number"] is inputs["number"]
    assert batch_size(found) == 4


class Labels(nn.Module):
    """Labels, with a table of another length; `count` is a buffer that a pass writes."""

    def __init__(self) -> None:
        super().__init__()
        self.entries, self.last = nn.Embedding(5, 6), nn.Linear(6, 3)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, label: Tensor, table: Tensor) -> Tensor:
        self.count += 1
        return self.last(self.entries(label)) @ table.T


def test_where_lengths_disagree_the_outputs_tell_the_images():
    torch.manual_seed(0)
    net, inputs = Labels().train(), {"label": torch.arange(8) % 5, "table": torch.randn(2, 3)}
    for given in (inputs, tuple(inputs.values())):
        (call,) = calls(net, given)
        assert images(call) == 8
        assert [len(leaf) for _, leaf in with_images(call, 3).tensors()] == [3, 2]
        assert images(with_images(call, 3)) == 3
    assert [len(leaf) for leaf in batched(net, inputs, 3).values()] == [3, 2]
    assert layer_macs(net, inputs)["last"] == 6 * 3
    assert trace(net.eval(), inputs).savings().macs.iloc[-1] == 6 * 3
    assert net.count == 0
    assert images(calls(net, Call(kwargs=inputs, images=4))[0]) == 4


def test_the_layout_stays():
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    assert batched(NET, x, 4)["input"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("inputs", [{}, {"x": torch.zeros(0, 3)}, {"x": torch.tensor(1.0)}])
def test_an_example_holds_an_image(inputs):
    with pytest.raises(ValueError, match="`example_inputs` must hold"):
        batch_size(inputs)


def test_calls_at_other_sizes():
    image, mask = torch.randn(2, 3, 8, 8), torch.ones(2, 8)
    found = at_other_sizes(Call((image,), {"mask": mask, "task": "seg"}))
    shapes = {title: [tuple(leaf.shape) for _, leaf in call.tensors()] for title, call in found.items()}
    assert shapes == {"8 → 16": [(2, 3, 16, 16), (2, 16)], "8 → 9": [(2, 3, 9, 9), (2, 9)]}
    assert all(call.kwargs["task"] == "seg" for call in found.values())
    oblong = at_other_sizes(Call((torch.randn(2, 3, 4, 6),)))
    assert [tuple(call.args[0].shape[2:]) for call in oblong.values()] == [(8, 6), (5, 6), (4, 12), (4, 7), (8, 12)]


def test_with_images():
    call = with_images(Call((torch.zeros(2, 3), torch.zeros(7)), training=True), 5)
    assert [len(leaf) for _, leaf in call.tensors()] == [5, 7]
    assert call.training is True
    assert images(call) == 5
    with pytest.raises(ValueError, match="must be a whole number from 1"):
        with_images(call, 0)
