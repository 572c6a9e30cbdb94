"""Does the pipeline tell the truth? Planted networks of five seeds, by several methods, and where it stops to.

The table is printed, and written to the file that WINNOW_PLANTED names.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from data.planted import Planted as Data
from data.stacking import stack
from engine.attribution import Settings, relevance
from engine.batches import Batches
from engine.explain_spec import Method, Of
from engine.planted.network import LAYERS, planted_network
from engine.planted.recovery import recovery, relabelled
from engine.planted.wiring import TASKS
from engine.usage import usage

pytestmark = [pytest.mark.study, pytest.mark.timeout(7200)]

SEEDS = range(5)
SIZE, IMAGES = 64, 64
CASES: tuple[tuple[Method, Of, float], ...] = (
    ("taylor", "loss", 1e-3),
    ("taylor", "output", 1e-3),
    ("gradient_x_activation", "loss", 1e-3),
    ("gradient_x_activation", "output", 1e-3),
    ("conductance", "output", 1e-3),
    ("layer_integrated_gradients", "output", 1e-3),
    ("feature_ablation", "output", 1e-3),
    ("taylor", "loss", 0.0),
    ("taylor", "loss", 3e-3),
    ("taylor", "output", 3e-3),
    ("taylor", "loss", 1e-2),
    ("taylor", "output", 1e-2),
)
ALL_SEEDS = ("method", "of", "leak", "figure")


def row(method: Method, of: Of, leak: float, seed: int) -> list[dict[str, object]]:
    planted = planted_network(seed, SIZE, leak)
    given = Batches(stack(Data("val", IMAGES, SIZE, seed), TASKS), planted.tasks, 16, torch.device("cpu"))
    found = relevance(planted.net, given, layers=LAYERS, method=method, settings=Settings(of=of, steps=8))
    used = usage(found)
    real = recovery(used, found, planted.truth).query("layer == ''").set_index("figure")["value"]
    dealt = [
        recovery(used, found, relabelled(planted.truth, draw)).query("layer == ''").set_index("figure")["value"]
        for draw in range(20)
    ]
    case = {"method": method, "of": of, "leak": leak, "seed": seed}
    return [
        {**case, "figure": name, "value": real[name], "chance": float(np.mean([one[name] for one in dealt]))}
        for name in real.index
    ]


def test_who_uses_what_is_found_out_over_five_seeds():
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rows = pd.DataFrame([entry for case in CASES for seed in SEEDS for entry in row(*case, seed)])
    table = (
        rows.groupby(list(ALL_SEEDS), sort=False)
        .agg(mean=("value", "mean"), least=("value", "min"), chance=("chance", "mean"))
        .reset_index()
    )
    print("\n" + table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    if target := os.environ.get("WINNOW_PLANTED"):
        Path(target).write_text(rows.to_csv(index=False))
    held = table[(table["method"] == "taylor") & (table["leak"] == 1e-3)]
    assert (held.loc[held["figure"] == "label_accuracy", "mean"] >= 0.95).all()
    assert (held.loc[held["figure"] == "use_auroc", "least"] >= 0.98).all()
    assert (table.loc[table["figure"] == "use_auroc", "chance"] - 0.5).abs().max() < 0.05
    assert table.loc[table["figure"] == "label_accuracy", "chance"].max() < 0.4
