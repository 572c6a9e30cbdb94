"""The loss of every image, all at once, is that of each image alone."""

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
