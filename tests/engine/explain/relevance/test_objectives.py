"""The loss of every image, all at once, is that of each image alone."""

import pytest
import torch

from winnow.data.sample import Field
from winnow.engine.explain.relevance.objectives import image_losses
from winnow.engine.tasks.build import build_tasks


def test_image_losses():
    """Without gradients, the losses of normals are those of each image alone, to 1e-10; zeros and unknown ones too."""
    task, chance = build_tasks({"normals": Field(kind="normals")}, ("normals",))["normals"], torch.Generator()
    directions = torch.randn(3, 7, 6, 3, generator=chance.manual_seed(1), dtype=torch.float64)
    target = torch.nn.functional.normalize(directions, dim=3)
    target = target * (torch.rand(3, 7, 6, 1, generator=chance) > 0.3)
    prediction = torch.randn(3, 3, 7, 6, generator=chance, dtype=torch.float64)
    target[1], prediction[2, :, :3] = 0, 0
    with torch.no_grad():
        found = image_losses(task, prediction, target)
    wanted = torch.stack([task.loss(own[None], truth[None]) for own, truth in zip(prediction, target, strict=True)])
    assert torch.allclose(found, wanted, rtol=0, atol=1e-10)
    assert torch.allclose(image_losses(task, prediction, target), wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("weights", [(), (1.0, 0.25, 3.0)])
@pytest.mark.parametrize("kind", ["segmentation", "classification", "depth"])
def test_image_losses_at_once(kind: str, weights: tuple[float, ...]):
    """Losses and their gradients are those of each image alone, to 1e-12, where nothing is labelled too."""
    chance = torch.Generator().manual_seed(3)
    if kind == "depth":
        field = Field(kind=kind)
        target = torch.rand(4, 5, 6, generator=chance, dtype=torch.float64) * (
            torch.rand(4, 5, 6, generator=chance) > 0.4
        )
        target[1] = 0
    else:
        field = Field(kind=kind, classes=("a", "b", "c"), weights=weights)
        size = (4, 5, 6) if kind == "segmentation" else (4,)
        target = torch.randint(-1, 3, size, generator=chance)
        target[1] = -1
    task = build_tasks({"it": field}, ("it",))["it"]
    shape = (4, task.outputs, *target.shape[1:])
    prediction = torch.randn(shape, generator=chance, dtype=torch.float64).requires_grad_()
    alone = torch.stack([task.loss(own[None], truth[None]) for own, truth in zip(prediction, target, strict=True)])
    found = image_losses(task, prediction, target)
    assert torch.allclose(found, alone, rtol=0, atol=1e-12)
    assert found[1] == 0
    (one,), (other,) = (torch.autograd.grad(losses.sum(), prediction) for losses in (found, alone))
    assert torch.allclose(one, other, rtol=0, atol=1e-12)
