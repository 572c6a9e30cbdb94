"""Attributions to pixels lie on the patterns of the causes that a task needs, and on no others."""

import numpy as np
import pytest
import torch

from tests.engine.explain.planted.network import planted_network
from tests.engine.explain.planted.wiring import TASKS
from winnow.data.planted import CAUSES, PATCH, Planted, looks
from winnow.data.stacking import stack
from winnow.engine.explain.maps.attributions import Explained, integrated_gradients
from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.means import base_image
from winnow.engine.explain.relevance.probe import Probe, probe
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.training.batches import Batch, Batches

SIZE, SEED = 64, 0
NEEDED = np.array([[task in tasks for tasks in CAUSES.values()] for task in TASKS])


def found_at(images: np.ndarray) -> np.ndarray:
    """Return the corner of every cause in every image, (B, 12, 2); -1 where the cause is not there."""
    patterns = looks(SEED) / np.square(looks(SEED)).sum((1, 2, 3))[:, None, None, None]
    windows = np.lib.stride_tricks.sliding_window_view(images / 0.35, (PATCH, PATCH), (2, 3))
    matches = np.einsum("bcyxhw,khwc->bkyx", windows, patterns)
    flat = matches.reshape(*matches.shape[:2], -1)
    corners = np.stack(np.divmod(flat.argmax(2), matches.shape[3]), 2)
    return np.where((flat.max(2) > 0.4)[:, :, None], corners, -1)


@pytest.fixture(scope="module")
def asked() -> tuple[Probe, Batch]:
    planted = planted_network(SEED, SIZE)
    given = Batches(stack(Planted("val", 16, SIZE, SEED), TASKS), planted.tasks, 16, torch.device("cpu"))
    return probe(planted.net, given, settings=Settings(of="output")), next(given.in_order())


def test_integrated_gradients_lie_on_the_causes_that_a_task_needs(asked: tuple[Probe, Batch]):
    seen, batch = asked
    with frozen_model(seen.model):
        given = Explained(seen, batch)
        pixels = integrated_gradients(given, batch.images, base_image(seen), 8).pixels.abs().numpy()
    sums = np.zeros(NEEDED.shape)
    for image, corners in enumerate(found_at(batch.images.numpy())):
        for cause, (top, left) in enumerate(corners):
            if top >= 0:
                sums[:, cause] += pixels[:, image, top : top + PATCH, left : left + PATCH].sum((1, 2))
    parts = sums / sums.sum(1, keepdims=True)
    for row, needed in zip(parts, NEEDED, strict=True):
        assert row[needed].min() > 3 * row[~needed].max()
        assert row[needed].sum() > 0.9
