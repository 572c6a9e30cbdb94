"""Relevance is what it says: the first-order effect of a cell, for this reader alone, with an interval over images."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.engine.small_nets import READERS, batches, small_net
from winnow.data.catalog import DATASETS
from winnow.data.sample import Field
from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.means import channel_means
from winnow.engine.explain.relevance.objectives import Objective
from winnow.engine.explain.relevance.probe import probe
from winnow.engine.explain.relevance.relevance import probe_relevance, relevance
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.sparsity.groups import input_groups
from winnow.engine.specs.explain import METHODS, Method
from winnow.engine.tasks.build import build_tasks

FIELDS = {**DATASETS["scenes"]().fields, **DATASETS["digits"]().fields}


def cell(frame: pd.DataFrame, task: str, layer: str, channel: int) -> pd.Series:
    own = frame[(frame["task"] == task) & (frame["layer"] == layer) & (frame["channel"] == channel)]
    return own.iloc[0]


def test_the_cells_are_the_input_groups_of_the_trunk_and_its_output():
    net = small_net()
    frame = relevance(net, batches())
    assert list(frame.columns[:6]) == ["task", "layer", "channel", "relevance", "low", "high"]
    own = frame[frame["task"] == "map"]
    groups = [(f"trunk.{group.layer}", group.channel) for group in input_groups(net.trunk)]
    assert list(zip(own["layer"], own["channel"], strict=True)) == [*groups, *(("trunk", c) for c in range(4))]


@pytest.mark.parametrize("method", ["taylor", "taylor_positions"])
def test_taylor_is_the_gradient_through_this_reader_times_the_deviation_from_the_mean(method: Method):
    net, given = small_net(), batches(1)[0]
    frame = relevance(net, [given], method=method)
    with torch.no_grad():
        x = net.trunk[0](given.images)
    read = x.clone().requires_grad_()
    net.requires_grad_(False)
    features = net.trunk[2](net.trunk[1].inner(read) + x)  # the way around does not count
    losses = functional.cross_entropy(net.heads["map"](features), given.targets["map"], reduction="none")
    losses.mean((1, 2)).sum().backward()
    products = ((x - x.mean((0, 2, 3), keepdim=True)) * read.grad).flatten(2)
    expected = (products.abs().sum(2) if method == "taylor_positions" else products.sum(2).abs()).mean(0)
    own = frame.query("task == 'map' and layer == 'trunk.1.inner.0'")["relevance"]
    np.testing.assert_allclose(own, expected.numpy(), rtol=1e-4)


def test_a_zero_group_has_relevance_zero_and_is_not_alive():
    net = small_net()
    with torch.no_grad():
        net.trunk[1].inner[2].weight[:, 1] = 0
    frame = relevance(net, batches())
    dead = cell(frame, "map", "trunk.1.inner.2", 1)
    assert (dead["relevance"], dead["high"], dead["alive"]) == (0, 0, False)
    assert cell(frame, "map", "trunk.1.inner.0", 1)["relevance"] > 0


def test_one_pass_finds_what_known_means_find(monkeypatch: pytest.MonkeyPatch):
    asked = probe(small_net(), batches(3, 4))
    known = probe_relevance(asked, "taylor", channel_means(asked))
    pd.testing.assert_frame_equal(probe_relevance(asked, "taylor"), known, rtol=1e-4, atol=1e-7)
    monkeypatch.setattr(
        "winnow.engine.explain.relevance.taylor.KEPT", 4
    )  # more images than are kept: the means take a pass
    pd.testing.assert_frame_equal(probe_relevance(asked, "taylor"), known, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_results_do_not_depend_on_how_images_are_batched(fill: str):
    net, whole = small_net(), batches(1, 6)[0]
    images = [(whole.images[i : i + 1], {k: t[i : i + 1] for k, t in whole.targets.items()}) for i in range(6)]
    one, six = (
        relevance(net, given, settings=Settings(fill=fill, chunk=chunk)) for given, chunk in ((images, 1), ([whole], 4))
    )
    np.testing.assert_allclose(one["relevance"], six["relevance"], rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(one["low"], six["low"], rtol=1e-4, atol=1e-9)


def test_the_interval_holds_the_mean_and_narrows_with_more_images():
    net = small_net()
    few, many = (relevance(net, batches(count, 4)) for count in (2, 20))
    assert ((few["low"] <= few["relevance"]) & (few["relevance"] <= few["high"])).all()
    widths = [(frame["high"] - frame["low"]).sum() / frame["relevance"].sum() for frame in (few, many)]
    assert widths[1] < 0.6 * widths[0]


@pytest.mark.parametrize("method", ["taylor", "taylor_positions", "gradient_x_activation", "deep_lift"])
def test_the_model_comes_back_as_it_was(method: str):
    net = small_net().train()
    net.heads["map"].weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    relevance(net, batches(1), method=method, settings=Settings(of="output"))  # type: ignore[arg-type]
    assert all(module.training for module in net.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert [p.requires_grad for p in net.parameters()].count(False) == 1
    assert not any("forward" in vars(module) or module._forward_pre_hooks for module in net.modules())


def test_a_model_at_rest_computes_the_same():
    net, images = small_net(), batches(1)[0].images
    expected = net(images)
    with frozen_model(net):
        found = net(images)
    assert not torch.equal(expected["map"], found["map"])  # the norm was folded
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_means_are_those_of_what_the_reader_reads():
    net, given = small_net(), batches(2)
    means = channel_means(probe(net, given))
    images = torch.cat([batch.images for batch in given])
    torch.testing.assert_close(means["trunk.0.0"], images.mean((0, 2, 3)))
    with torch.no_grad():
        torch.testing.assert_close(means["trunk"], net.trunk(images).mean((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_layers_are_chosen_by_name_and_without_a_trunk_those_that_several_tasks_need():
    class Bare(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            net = small_net()
            self.body, self.one, self.two = net.trunk, net.heads["map"], net.heads["number"]

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            features = self.body(x)
            return {"map": self.one(features), "number": self.two(features)}

    shared = relevance(Bare(), batches(1))
    assert list(dict.fromkeys(shared["layer"])) == [name.replace("trunk", "body") for name in READERS]
    chosen = relevance(small_net(), batches(1), layers=["trunk.1", "trunk.0.0"])
    assert list(dict.fromkeys(chosen["layer"])) == ["trunk.1", "trunk.0.0"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layers": ["nowhere"]}, "`layers` must name modules of the model"),
        ({"layers": ["trunk", "trunk"]}, "each layer once"),
        ({"method": "magic"}, "`method` must be one of taylor"),
        ({"tasks": {"other": None}}, "`tasks` must be outputs of the model, map, number"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        relevance(small_net(), batches(1), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"of": "mood"}, {"images": 0}, {"fill": "noise"}, {"steps": 1}])
def test_settings_are_checked(wrong: dict[str, object]):
    with pytest.raises(ValueError, match="must be"):
        Settings(**wrong)  # type: ignore[arg-type]


class Ends(nn.Module):
    """Gives one number per image and a row of scores, of one shared layer or of none."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.shared = shared
        self.first, self.one, self.two = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return both."""
        read = self.first(x) if self.shared else self.one(x)
        return {"level": read.mean(1), "class": read if self.shared else self.two(x)}


def test_an_output_of_one_number_is_explained_and_layers_of_one_output_each_are_named():
    torch.manual_seed(0)
    images, given = [torch.randn(6, 4)], Settings(of="output")
    frame = relevance(Ends(shared=True), images, settings=given)
    assert (frame[frame["task"] == "level"]["relevance"] > 0).any()
    with pytest.raises(ValueError, match="several of its outputs depend on, got none: .*one.* serve one each"):
        relevance(Ends(shared=False), images, settings=given)


def test_no_images_are_refused_and_images_alone_have_an_output_only():
    with pytest.raises(ValueError, match="at least one image"):
        relevance(small_net(), [])
    alone = [batch.images for batch in batches(1)]
    with pytest.raises(ValueError, match="set of='output'"):
        relevance(small_net(), alone)
    assert relevance(small_net(), alone, settings=Settings(of="output"))["relevance"].sum() > 0


@pytest.mark.parametrize("name", FIELDS)
def test_the_output_of_every_kind_of_task_is_one_linear_number_per_image(name: str):
    task = build_tasks(FIELDS, [name])[name]
    torch.manual_seed(0)
    prediction = torch.randn((3, task.outputs, 5, 5) if task.field.dense else (3, task.outputs))
    target = _target(task.field)
    objective = Objective(task, "output")
    frozen = objective.freeze(prediction, target)
    value = objective.value(prediction, frozen)
    assert value.shape == (3,)
    torch.testing.assert_close(objective.value(2 * prediction, frozen), 2 * value)
    if task.field.kind == "segmentation":
        torch.testing.assert_close(value, prediction.amax(1).mean((1, 2)))
    if task.field.kind == "normals":
        torch.testing.assert_close(value, (prediction * target.movedim(3, 1)).sum(1).mean((1, 2)))
    if task.field.kind == "depth":
        torch.testing.assert_close(value, prediction[:, 0].mean((1, 2)))


@pytest.mark.parametrize("name", FIELDS)
def test_the_loss_of_an_image_is_the_tasks_loss_on_it_alone(name: str):
    task = build_tasks(FIELDS, [name])[name]
    prediction = torch.randn((3, task.outputs, 5, 5) if task.field.dense else (3, task.outputs))
    target = _target(task.field)
    values = Objective(task, "loss").value(prediction, target)
    torch.testing.assert_close(values[1], task.loss(prediction[1:2], target[1:2]))


def _target(field: Field) -> torch.Tensor:
    torch.manual_seed(0)
    if field.kind == "normals":
        return functional.normalize(torch.randn(3, 5, 5, 3), dim=3)
    if field.kind == "depth":
        return torch.rand(3, 5, 5) + 0.5
    if field.kind == "regression":
        return torch.rand(3)
    return torch.randint(0, max(len(field.classes), 2), (3, 5, 5) if field.dense else (3,))


def test_every_method_is_one_of_those_that_a_spec_can_name():
    assert METHODS[0] == "taylor"
    assert len(METHODS) == 8
