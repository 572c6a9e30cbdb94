"""Every data set in the box trains with all of its tasks: a name or kind of target that no network takes shows here."""

import pytest
import torch
from torch import nn

from winnow.data.catalog import load
from winnow.engine.networks.multitask import MultiTaskNet, build_network
from winnow.engine.specs.network import ResidualSpec
from winnow.engine.tasks.build import build_tasks


@pytest.mark.parametrize("name", ["digits", "fashion", "scenes"])
def test_a_network_takes_all_tasks_of_the_data(name: str):
    data = load(name, split="val")
    tasks = build_tasks(data.fields, tuple(data.fields))
    image = torch.from_numpy(data.sample(0).image).permute(2, 0, 1)[None].float()
    net = build_network(ResidualSpec(widths=(4, 8), blocks=(1, 1), head_width=4), tasks, image.shape[1])
    assert {task: prediction.shape[1] for task, prediction in net.eval()(image).items()} == {
        task: kind.outputs for task, kind in tasks.items()
    }


@pytest.mark.parametrize("task", ["items", "type", "training", "forward", "a.b"])
def test_a_name_that_torch_needs_is_refused(task: str):
    with pytest.raises(ValueError, match=f"`tasks` must not be named .*got {task}"):
        MultiTaskNet(nn.Identity(), {task: nn.Identity()})
