"""What is held for a while is given back as it was, also when the work fails."""

from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.graph.modes import (
    ModeReads,
    calling,
    evaluating,
    requiring_grad,
    statistics_kept,
    told_of_gradients,
    undisturbed,
)
from winnow.engine.graph.trace import trace


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


class Asking(nn.Module):
    """Runs a norm and something that may ask for the mode, and counts its passes."""

    def __init__(self, norm: nn.Module, program=lambda model, x: x) -> None:
        super().__init__()
        self.a, self.norm, self.program = nn.Conv2d(1, 4, 3), norm, program

    def forward(self, x: Tensor) -> Tensor:
        PASSES.append(self)
        return self.program(self, self.norm(self.a(x)))


class OwnMode(nn.BatchNorm2d):
    def train(self, mode: bool = True) -> nn.Module:
        return super().train(False)


class Hidden(nn.BatchNorm2d):
    training = True


PASSES: list[nn.Module] = []
READS = {  # whether a second pass is run, and whether both modes compute the same
    "batch norm": (nn.BatchNorm2d(4), None, 1, False),
    "instance norm": (nn.InstanceNorm2d(4), None, 1, True),
    "layer norm": (nn.GroupNorm(2, 4), None, 1, True),
    "dropout": (nn.Dropout(), None, 2, False),
    "asked": (nn.Identity(), lambda m, x: x if m.training else 2 * x, 3, False),
    "asked of another": (nn.BatchNorm2d(4), lambda m, x: x if m.norm.training else 2 * x, 3, False),
    "asked by name": (nn.Identity(), lambda m, x: m(x) if getattr(m, "training", None) is None else x, 2, True),
    "a mode of its own": (OwnMode(4), None, 2, True),
    "hidden": (Hidden(4), None, 2, False),
}


@pytest.mark.parametrize("name", READS)
def test_a_second_pass_is_run_where_somebody_asks_for_the_mode(name: str):
    norm, program, count, alike = READS[name]
    net = Asking(norm, *([program] if program else [])).eval()
    PASSES.clear()
    graph = trace(net, torch.randn(2, 1, 6, 6))
    assert (len(PASSES), graph.modes_alike) == (count, alike)
    assert "training" not in vars(nn.Module)


def test_a_norm_of_one_value_is_still_tried_in_training_mode():
    graph = trace(Asking(nn.BatchNorm2d(4)).eval(), torch.randn(1, 1, 3, 3))
    assert "Expected more than 1 value per channel" in "".join(graph.notes)


def test_mode_reads(model: nn.Module):
    with ModeReads(model) as reads, ModeReads(model) as inner:
        assert model.training
        model.eval()
        assert not model[2].training
        with pytest.raises(AttributeError, match="training"):
            assert nn.Module.__new__(nn.ReLU).training
    assert (reads.elsewhere, inner.elsewhere, reads.same) == (True, True, False)
    assert not model.training
    with suppress(RuntimeError), ModeReads(model) as reads:
        model[1](torch.randn(2, 2, 3, 3))
        raise RuntimeError
    assert (reads.elsewhere, reads.norms, reads.same) == (False, {model[1]}, False)
    assert "training" not in vars(nn.Module)


def test_told_of_gradients():
    asked: list[bool] = []
    with torch.no_grad(), suppress(RuntimeError), told_of_gradients(lambda: asked.append(True)):
        assert not torch.is_grad_enabled()
        raise RuntimeError
    assert torch.is_grad_enabled()
    assert asked == [True]
