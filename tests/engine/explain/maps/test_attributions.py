"""Attributions to pixels: what the sum promises, a model that is known, and Captum's own."""

import pytest
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from tests.engine.small_nets import batches, small_net
from winnow.engine.explain.maps.attributions import Explained, integrated_gradients, occlusion
from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.probe import probe
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.training.batches import Batch


class Line(nn.Module):
    """Two tasks that weigh the pixels, the second one not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Conv2d(2, 2, 1)
        self.weights = torch.linspace(-1, 1, 2 * 6 * 6).view(2, 6, 6)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {
            "map": (images * self.weights).flatten(1).sum(1, keepdim=True),
            "number": images.new_ones(len(images), 1),
        }


def explained(net: nn.Module, of: str = "output") -> tuple[Explained, Batch]:
    (batch,) = batches(1, 3)
    return Explained(probe(net, [batch], settings=Settings(of=of)), batch), batch


def test_on_a_line_both_methods_are_exact():
    net = Line()
    given, batch = explained(net)
    base = torch.tensor([0.2, 0.5]).view(1, 2, 1, 1)
    found = integrated_gradients(given, batch.images, base, 2)
    expected = ((batch.images - base) * net.weights).sum(1)
    torch.testing.assert_close(found.pixels[0], expected)
    assert found.residual.abs().max() < 1e-5
    assert found.pixels[1].eq(0).all()
    hidden = occlusion(given, batch.images, base, 2)
    torch.testing.assert_close(hidden[0], expected.unfold(1, 2, 2).unfold(2, 2, 2).sum((3, 4)), atol=1e-5, rtol=1e-5)
    assert hidden[1].eq(0).all()


@pytest.mark.parametrize("of", ["output", "loss"])
def test_the_sum_over_the_pixels_is_the_difference_less_the_residual(of: str):
    net = small_net()
    given, batch = explained(net, of)
    base = torch.zeros(1, 2, 1, 1)
    with frozen_model(net):
        coarse, fine = (integrated_gradients(given, batch.images, base, steps) for steps in (2, 64))
    for found in (coarse, fine):
        torch.testing.assert_close(found.pixels.sum((2, 3)) + found.residual, found.difference)
    assert fine.residual.abs().max() < 0.02 * fine.difference.abs().max()
    assert fine.residual.abs().mean() < coarse.residual.abs().mean()


def test_integrated_gradients_are_those_of_captum():
    net = small_net()
    given, batch = explained(net)
    base = torch.full((1, 2, 1, 1), 0.5)
    with frozen_model(net):
        found = integrated_gradients(given, batch.images, base, 8)
        reference = IntegratedGradients(lambda images: given.values(images)[1]).attribute(
            batch.images, base.expand_as(batch.images), n_steps=8, method="gausslegendre", internal_batch_size=3
        )
    torch.testing.assert_close(found.pixels[1], reference.sum(1).float(), atol=1e-5, rtol=1e-4)


def test_patches_that_do_not_fit_are_cut_at_the_border():
    given, batch = explained(Line())
    base = torch.zeros(1, 2, 1, 1)
    hidden = occlusion(given, batch.images, base, 4)
    assert hidden.shape == (2, 3, 2, 2)
    torch.testing.assert_close(hidden[0].sum((1, 2)), (batch.images * Line().weights).flatten(1).sum(1))
