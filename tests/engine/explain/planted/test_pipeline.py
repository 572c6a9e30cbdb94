"""Relevance and usage find out who uses what, where it is known. Five seeds: tests/studies/test_planted_truth.py."""

import pytest
import torch

from tests.engine.explain.planted.network import LAYERS, planted_network
from tests.engine.explain.planted.recovery import recovery, relabelled
from tests.engine.explain.planted.wiring import TASKS
from winnow.data.planted import Planted as Data
from winnow.data.stacking import stack
from winnow.engine.explain.relevance.relevance import relevance
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.explain.usage import usage
from winnow.engine.training.batches import Batches

SIZE, IMAGES = 48, 48


@pytest.mark.parametrize("of", ["loss", "output"])
def test_who_uses_what_is_found_out(of):
    planted = planted_network(0, SIZE)
    given = Batches(stack(Data("val", IMAGES, SIZE, 0), TASKS), planted.tasks, 16, torch.device("cpu"))
    found = relevance(planted.net, given, layers=LAYERS, settings=Settings(of=of))
    used = usage(found)
    figures = recovery(used, found, planted.truth).set_index(["layer", "figure"])["value"]
    assert figures["", "label_accuracy"] >= 0.95
    assert figures["", "use_auroc"] >= 0.98
    control = [
        recovery(used, found, relabelled(planted.truth, seed)).set_index(["layer", "figure"]) for seed in range(5)
    ]
    assert max(frame.loc[("", "label_accuracy"), "value"] for frame in control) < 0.4
    assert sum(frame.loc[("", "use_auroc"), "value"] for frame in control) / 5 == pytest.approx(0.5, abs=0.1)
