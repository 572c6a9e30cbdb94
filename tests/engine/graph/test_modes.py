"""What is held for a while is given back as it was, also when the work fails."""

from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.graph.modes import calling, evaluating, requiring_grad, statistics_kept, undisturbed


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    found = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
    found[1].eval()  # one that its owner holds in evaluation mode
    found[0].bias.requires_grad_(False)
    return found


def state(model: nn.Module) -> list[object]:
    modes = [module.training for module in model.modules()]
    asked = [parameter.requires_grad for parameter in model.parameters()]
    own = [set(vars(module)) for module in model.modules()]
    return [modes, asked, own, *(buffer.tolist() for buffer in model.buffers()), torch.get_rng_state().tolist()]


def double(x: Tensor) -> Tensor:
    return 2 * x


@pytest.mark.parametrize("fails", [False, True])
def test_all_is_put_back(model: nn.Module, fails: bool):
    before = state(model)
    contexts = (
        evaluating(model), undisturbed(model), statistics_kept(model), requiring_grad(model.parameters(), wanted=True),
        requiring_grad(model.parameters(), wanted=False), calling(model[0], double),
    )  # fmt: skip
    for context in contexts:
        with suppress(RuntimeError), context:
            if fails:
                raise RuntimeError
        assert state(model) == before


def test_evaluating(model: nn.Module):
    with evaluating(model):
        assert not any(module.training for module in model.modules())


def test_undisturbed_keeps_the_random_numbers(model: nn.Module):
    before = torch.get_rng_state()
    with undisturbed(model):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_statistics_kept(model: nn.Module):
    model.train()
    x = torch.rand(4, 1, 5, 5)
    mean = model[1].running_mean.clone()
    with statistics_kept(model):
        normed = model[:2](x)
    assert torch.equal(model[1].running_mean, mean)
    assert normed.mean((0, 2, 3)).abs().max() < 1e-5  # normalised by the batch, not by the running mean
    model(x)
    assert not torch.equal(model[1].running_mean, mean)


@pytest.mark.parametrize("wanted", [False, True])
def test_requiring_grad(model: nn.Module, wanted: bool):
    with requiring_grad(model.parameters(), wanted):
        assert [parameter.requires_grad for parameter in model.parameters()] == [wanted] * 4


def test_calling(model: nn.Module):
    x = torch.rand(1, 1, 5, 5)
    with calling(model[0], double):
        assert torch.equal(model[0](x), 2 * x)
    assert model[0](x).shape == (1, 2, 3, 3)
