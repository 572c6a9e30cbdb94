"""The one-shot repair: exact where the rest can say it all, never worse unseen, and hands off what is not its own."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.engine.trained_digits import trained
from winnow.engine.pruning import compact
from winnow.engine.pruning.budget import Budget, choose
from winnow.engine.pruning.closed_forms import LayerOutput, ridge_fit
from winnow.engine.pruning.masking import silence
from winnow.engine.pruning.readings import columns_of, sampled
from winnow.engine.pruning.repair import repair
from winnow.engine.pruning.scores import norm_scores
from winnow.engine.pruning.units import units
from winnow.engine.training.evaluate import validated


@given(
    st.sampled_from([1, 2, 3]), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.integers(1, 2),
    st.sampled_from([1, 2, 4]), st.sampled_from(["zeros", "reflect", "circular"]), st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_readings_are_what_a_convolution_reads(axes, kernel, stride, padding, dilation, groups, mode, seed):
    torch.manual_seed(seed)
    make = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "padding_mode": mode}
    layer = make(4, 8, kernel, **options).double()
    images = torch.randn(3, 4, *[7] * axes, dtype=torch.float64)
    output = layer(images).detach()
    places = sampled(output, False, 40, torch.Generator().manual_seed(seed))
    read = places.inputs(layer, images)
    given_back = (read @ columns_of(layer).mT).transpose(0, 1).flatten(1) + layer.bias
    torch.testing.assert_close(given_back, places.outputs(output, False))


def test_a_channel_that_another_can_stand_in_for_is_replaced_exactly():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3)).double()
    with torch.no_grad():
        net[0].weight[5] = 2 * net[0].weight[1]
        net[0].bias[5] = 2 * net[0].bias[1]
    masked = copy.deepcopy(net)
    with torch.no_grad():
        masked[2].weight[:, 5] = 0
    images = torch.randn(32, 3, 12, 12, dtype=torch.float64)
    broken = (masked(images) - net(images)).abs().max()
    rows = repair(masked, net, images, "readers")
    assert (masked(images) - net(images)).abs().max() < 1e-3 * broken
    assert (masked[2].weight[:, 5] == 0).all()
    assert list(rows["layer"]) == ["0", "2"]
    assert rows["after"].iloc[1] < 1e-6 < rows["before"].iloc[1]


@pytest.mark.parametrize("share", [50, 70])
def test_repair_returns_most_of_what_pruning_took_from_a_trained_network(share: int):
    net, tasks, images, validation, before = trained()
    found = units(net, images.example())
    gone = choose(found, norm_scores(found), Budget(share)).gone
    masked = silence(net, found.chosen(gone))
    zeros = {name: value == 0 for name, value in masked.named_parameters() if value.dim() > 1}
    calibration = torch.cat([batch.images for batch in images.in_order()])[:128]
    worse = validated(masked, tasks, validation)
    repair(masked, net, calibration)
    after = validated(masked, tasks, validation)
    for task in tasks:
        lost = worse[task]["loss"] - before[task]["loss"]
        assert after[task]["loss"] - before[task]["loss"] < 0.5 * lost
    assert all((value == 0)[zeros[name]].all() for name, value in masked.named_parameters() if name in zeros)
    small = compact(masked, images.example())
    assert small.certificate.max_error_float64 < 1e-10
    assert len(small.certificate.removed) > 0


def test_batch_norms_take_the_statistics_of_the_images():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)).double()
    masked, images = copy.deepcopy(net), 3 + torch.randn(8, 3, 9, 9, dtype=torch.float64)
    repair(masked, net, images, "norms")
    read = net[0](images).movedim(1, 0).flatten(1)
    torch.testing.assert_close(masked[1].running_mean, read.mean(1))
    torch.testing.assert_close(masked[1].running_var, read.var(1))
    assert torch.equal(masked[0].weight, net[0].weight)


class Odd(nn.Module):
    """A layer that runs twice, two that share a weight, a frozen one, and one that runs never."""

    def __init__(self):
        super().__init__()
        self.twice, self.one, self.other = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 5)
        self.frozen, self.never = nn.Linear(5, 5).requires_grad_(False), nn.Linear(5, 5)
        self.other.weight = self.one.weight

    def forward(self, x):
        return self.frozen(self.other(self.one(self.twice(self.twice(x)))))


def test_what_is_not_a_layer_of_its_own_is_left_alone_by_name():
    torch.manual_seed(0)
    net = Odd()
    masked = copy.deepcopy(net)
    with torch.no_grad():
        masked.twice.weight[:, 0] = 0
    before = {name: value.clone() for name, value in masked.state_dict().items()}
    modes = [module.training for module in masked.modules()]
    rows = repair(masked, net, torch.randn(64, 5)).set_index("layer")["note"]
    assert dict(rows) == {
        "twice": "runs 2 times", "one": "shares its weight", "other": "shares its weight", "frozen": "frozen",
    }  # fmt: skip
    assert all(torch.equal(value, before[name]) for name, value in masked.state_dict().items())
    assert [module.training for module in masked.modules()] == modes


def test_a_fit_that_helps_no_unseen_image_is_not_made():
    torch.manual_seed(0)
    layer = nn.Linear(40, 3)
    noise = torch.randn(48, 3)  # nothing that the input could tell
    read = torch.randn(48, 40)
    before = layer.weight.clone()
    seen = LayerOutput(sampled(noise, True, 48, torch.Generator().manual_seed(0)), layer(read).detach() + 0.01 * noise)
    with torch.no_grad():
        fit = ridge_fit(layer, read, seen)
    assert fit.after <= fit.before
    assert np.isnan(fit.strength) == torch.equal(layer.weight, before)


def test_another_network_is_refused_by_name():
    with pytest.raises(ValueError, match="`model` must have the layers of `dense`, got weight"):
        repair(nn.Linear(3, 2), nn.Linear(4, 2), torch.randn(4, 3))


def test_the_result_is_a_table_also_without_a_layer():
    rows = repair(nn.ReLU(), nn.ReLU(), torch.randn(4, 3))
    assert isinstance(rows, pd.DataFrame)
    assert list(rows) == ["layer", "kind", "before", "after", "strength", "note"]
    assert rows.empty
