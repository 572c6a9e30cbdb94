"""A rebuilt model looks at inputs of new shapes first; nobody who watches its layers sees that."""

from pathlib import Path

import torch
from torch import nn

from winnow.engine.export import load_model, save_model
from winnow.engine.pruning.units import units


def test_a_hook_sees_each_pass_once_whatever_the_shape(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    save_model(tmp_path / "net", net, torch.rand(1, 1, 6, 6))
    again, seen = load_model(tmp_path / "net"), []
    again.get_submodule("0").register_forward_hook(lambda module, given, result: seen.append(result))
    for images in (1, 3, 3, 2):
        again(torch.rand(images, 1, 6, 6))
    assert [tensor.shape[0] for tensor in seen] == [1, 3, 3, 2]
    assert not any(tensor.is_meta for tensor in seen)


def test_a_trace_of_a_model_that_has_never_run_pins_nothing(tmp_path: Path) -> None:
    net, images = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)), torch.rand(1, 1, 6, 6)
    save_model(tmp_path / "net", net, images)
    assert len(units(load_model(tmp_path / "net"), images)) == len(units(net, images)) == 4
