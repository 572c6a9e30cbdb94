"""Runs inside a copy of the source to which docs/adding.md was applied; prints what it found as one JSON object."""

import json
import sys

import numpy as np
import torch
from torch import nn

from winnow.data.catalog import DATASETS
from winnow.data.validation import validate
from winnow.engine.cli.options import training_options
from winnow.engine.networks.multitask import build_network
from winnow.engine.sparsity.groups import Bank, banks, input_groups
from winnow.engine.specs.network import NETWORKS
from winnow.engine.specs.penalty import PENALTIES, PenaltySpec
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.classes import MEASURES
from winnow.engine.training.setup import build_penalty


def prox_error() -> float:
    """Return how far the penalty's proximal step is from optimal: dist(0, (z − w)/s + ∂R(z)), largest over groups."""
    layer = nn.Conv2d(12, 5, 3)
    layer.weight.data *= torch.linspace(0.5, 3, 12)[:, None, None]
    (bank,) = banks(input_groups(nn.Sequential(layer)))
    penalty = build_penalty(PenaltySpec.model_validate({"penalty": "elastic", "strength": 0.15}))
    before, step = layer.weight.detach().clone(), 0.5
    norms = penalty.prox_(bank, torch.tensor(step))
    assert 0 < int((norms == 0).sum()) < 12
    layer.weight.grad = (layer.weight.detach() - before) / step
    return float(penalty.violation(bank).max()) + value_error(bank, penalty)


def value_error(bank: Bank, penalty: object) -> float:
    """Return the difference between R(w) and its formula."""
    norms = bank.norms()
    expected = 0.15 * (bank.size**0.5 * (norms + norms.square() / 2)).sum()
    return float((penalty.value(bank) - expected).abs())  # type: ignore[attr-defined]


def main() -> None:
    """Check each new thing on its own."""
    torch.manual_seed(0)
    data = DATASETS["stripes"](size=16, train_length=20).load("train")
    samples = [validate(data.sample(place), data.fields, f"stripes[{place}]") for place in range(len(data))]
    spec = NETWORKS["plain"]()
    net = build_network(spec, build_tasks(data.fields, ["course"]), 1)
    matrix = torch.from_numpy(np.array([[20.0, 5.0], [10.0, 15.0]]))
    found = {
        "classes": sorted({int(sample.targets["course"]) for sample in samples}),
        "outputs": list(net(torch.zeros(2, 1, 16, 16))["course"].shape),
        "prox_error": prox_error(),
        "kappa": MEASURES["kappa"](matrix),
        "any_metric": PENALTIES["elastic"].any_metric,
        "help": {option.name: option.help for option in training_options()},
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
