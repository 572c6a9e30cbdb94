"""Tensors as files hold them."""

import torch
from safetensors.torch import load
from torch import nn

from winnow.engine.export.tensor_files import serialised, stored_tensors


def test_each_tensor_is_there_once_with_its_other_names_beside():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    net.register_buffer("mask", torch.ones(2), persistent=False)
    tensors, tied = stored_tensors(net)
    assert set(tensors) == {"0.weight", "mask"}
    assert tied == {"1.weight": "0.weight"}


def test_parts_of_one_block_are_stored_apart():
    block = torch.arange(12.0).reshape(3, 4)
    given = {"rows": block[:2], "columns": block[:, 1:3], "turned": block.t(), "bits": block > 3}
    found = load(serialised(given))
    assert all(torch.equal(found[name], value) for name, value in given.items())
    assert len(serialised({"a": block[:1]})) < len(serialised({"a": block}))
