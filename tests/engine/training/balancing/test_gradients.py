"""The Gramian and what is read from it."""

import numpy as np
import pytest
import torch

from winnow.engine.training.balancing.balancer import Cut
from winnow.engine.training.balancing.gradients import conflict, cosines, gramian, inner_products

GRAMIAN = torch.tensor([[4.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)


def test_gramian(net, images):
    features = net.trunk(images)
    losses = net.losses(Cut(features, dict.fromkeys(net.heads, features)))
    found = gramian(losses, [features])
    rows = torch.stack(
        [torch.autograd.grad(loss, features, retain_graph=True)[0].flatten() for loss in losses.values()]
    )
    torch.testing.assert_close(found.float(), rows @ rows.T)
    assert torch.equal(found, found.T)
    sum(losses.values()).backward()  # the graph is still there


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_inner_products(layout: torch.memory_format, dtype: torch.dtype):
    torch.manual_seed(0)
    rows = torch.randn(3, 2, 4, 5, 6).to(dtype)
    found = inner_products([[row.to(memory_format=layout), None] for row in rows])
    flat = rows.flatten(1).double()
    torch.testing.assert_close(found, flat @ flat.T, rtol=1e-5, atol=1e-5)


def test_cosines():
    assert cosines(GRAMIAN)[0].tolist() == pytest.approx([1.0, -0.5, np.nan], nan_ok=True)


def test_conflict():
    frame = conflict(GRAMIAN, ["depth", "edges", "normals"])
    assert frame[["task", "other"]].values.tolist() == [["depth", "edges"], ["depth", "normals"], ["edges", "normals"]]
    assert frame["cosine"].tolist() == pytest.approx([-0.5, np.nan, np.nan], nan_ok=True)
    assert frame["length_ratio"].tolist() == pytest.approx([2.0, np.inf, np.inf])
