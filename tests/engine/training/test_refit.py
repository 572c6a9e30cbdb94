"""The refit makes up for what went, keeps the zeros, and says what it does as it goes."""

import copy

import pytest
import torch
from torch import nn

from tests.engine.trained_digits import SPEC, trained
from winnow.engine.pruning import compact, transfer
from winnow.engine.pruning.budget import Budget, choose
from winnow.engine.pruning.masking import silence
from winnow.engine.pruning.scores import norm_scores
from winnow.engine.pruning.units import units
from winnow.engine.specs.train import OptimiserSpec
from winnow.engine.training.evaluate import validated
from winnow.engine.training.loop import EpochDone, NonFiniteLossError
from winnow.engine.training.refit import Refit, RefitStep, Split, refit


@pytest.fixture(scope="module")
def cut() -> tuple:
    net, _, images, _, _ = trained()
    found = units(net, images.example())
    masked = silence(net, found.chosen(choose(found, norm_scores(found), Budget(50)).gone))
    return masked, compact(masked, images.example(), gather="always")


def test_a_refit_makes_up_for_what_went(cut: tuple):
    _, tasks, images, validation, before = trained()
    model = copy.deepcopy(cut[1].model)
    pruned = validated(model, tasks, validation)
    records = list(refit(model, tasks, Split(images, validation), Refit(2, SPEC.optimiser)))
    steps = [record for record in records if isinstance(record, RefitStep)]
    epochs = [record for record in records if isinstance(record, EpochDone)]
    assert len(steps) == 2 * images.steps
    assert [record.epoch for record in epochs] == [1, 2]
    assert epochs[-1].metrics == validated(model, tasks, validation)
    for task in tasks:
        assert epochs[-1].metrics[task]["loss"] < pruned[task]["loss"]
    assert epochs[-1].metrics["digit"]["accuracy"] > pruned["digit"]["accuracy"]
    assert epochs[-1].metrics["digit"]["accuracy"] > before["digit"]["accuracy"] - 5


def test_a_model_that_seeds_torch_in_each_step_is_refused(cut: tuple):
    _, tasks, images, validation, _ = trained()
    model = copy.deepcopy(cut[1].model)
    model.register_forward_pre_hook(lambda module, given: torch.manual_seed(0) and None)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    try:
        with pytest.raises(ValueError, match="random numbers alone while it is trained, got torch.manual_seed\\(0\\)"):
            next(refit(model, tasks, Split(images, validation), Refit(1, SPEC.optimiser)))
    finally:
        torch.set_rng_state(state)


def test_zeros_of_weights_stay_and_the_moments_go_along(cut: tuple):
    _, tasks, images, validation, _ = trained()
    masked, small = cut[0], compact(cut[0], images.example())
    model = small.model
    with torch.no_grad():
        weight = model.trunk.stages[0][0].conv2[0].weight
        weight[:, 0] = 0
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW(masked.parameters(), 0.0)
    for parameter in masked.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()  # moments everywhere, which would move the zeros
    moved = transfer(optimizer, small)
    settings = Refit(1, OptimiserSpec(learning_rate=1e-3), {"digit": 2.0})
    list(refit(model, tasks, Split(images, validation), settings, moved))
    assert (weight[:, 0] == 0).all()
    assert not torch.equal(weight, before["trunk.stages.0.0.conv2.0.weight"])
    assert all(len(moved.state[parameter]) for parameter in model.parameters())


def test_a_tailored_network_is_refitted_for_its_task():
    net, tasks, images, validation, _ = trained()
    small = compact(nn.Sequential(net), images.example(), tasks=["digit"]).model
    own = {"digit": tasks["digit"]}
    *_, last = refit(small, own, Split(images, validation), Refit(1, SPEC.optimiser))
    assert set(last.metrics) == {"digit"}


def test_what_cannot_be_is_refused(cut: tuple):
    _, tasks, images, validation, _ = trained()
    model, split = copy.deepcopy(cut[1].model), Split(images, validation)
    with pytest.raises(ValueError, match="`epochs` must be at least 1"):
        Refit(0)
    with pytest.raises(ValueError, match="`weights` must be at least 0"):
        Refit(1, weights={"digit": -1.0})
    with pytest.raises(ValueError, match="`weights` must name"):
        next(refit(model, tasks, split, Refit(1, weights={"taste": 1.0})))
    nn.init.constant_(model.heads["ink"].out.bias, float("nan"))
    with pytest.raises(NonFiniteLossError, match="epoch 1 of the refit, step 1"):
        next(refit(model, tasks, split, Refit(1)))
