"""Examples at another number of images."""

import pytest
import torch
from torch import nn

from winnow.engine.graph.examples import batch_size, batched

NET = nn.Identity()


def test_images_are_taken_in_turn():
    x = torch.arange(3.0).reshape(3, 1)
    assert batched(NET, x, 5)["input"].flatten().tolist() == [0, 1, 2, 0, 1]
    assert batched(NET, x, 1)["input"].flatten().tolist() == [0]


def test_what_is_no_batch_stays():
    inputs = {"x": (torch.zeros(2, 3), torch.zeros(7)), "scale": 2.0, "number": torch.tensor(4)}
    found = batched(NET, inputs, 4)
    assert [tuple(part.shape) for part in found["x"]] == [(4, 3), (7,)]
    assert found["scale"] == 2.0
    assert found["number"] is inputs["number"]
    assert batch_size(found) == 4


def test_the_layout_stays():
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    assert batched(NET, x, 4)["input"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("inputs", [{}, {"x": torch.zeros(0, 3)}, {"x": torch.tensor(1.0)}])
def test_an_example_holds_an_image(inputs):
    with pytest.raises(ValueError, match="`example_inputs` should hold"):
        batch_size(inputs)
