"""In which form a compact network is fastest, and where the time goes that its multiply-accumulates promise.

Run on a machine with nothing else to do: `pytest tests/benchmarks/test_speed.py -m bench -s`.
"""

from collections.abc import Callable

import pandas as pd
import pytest
import torch
from torch import nn

from tests.benchmarks.test_pruning import MODELS, generic, silenced
from winnow.engine.measure.bench import BenchSettings, bench
from winnow.engine.measure.gains import COMPACT, DENSE, EXACT, best_forms, in_a_sentence
from winnow.engine.pruning import compact

pytestmark = pytest.mark.bench

SIDE = 128  # pixel
BLOCKED = "in blocks"
CASES = [  # every network at 70 %, one at each share and with two threads: a quarter of an hour of CPU time in all
    ("ResNet-18", 0.5, (1,)),
    ("ResNet-18", 0.7, (1, 2)),
    ("ResNet-18", 0.9, (1,)),
    *((name, 0.7, (1,)) for name in MODELS if name != "ResNet-18"),
]


def networks(name: str, share: float, x: torch.Tensor) -> dict[str, nn.Module]:
    """Return the network of this name, dense, compact, and compact with free channels up to whole blocks."""
    masked = silenced(name, share)
    models = {DENSE: generic(MODELS[name]()), COMPACT: compact(masked, x).model}
    return models | {BLOCKED: compact(masked, x, round_to=16).model}


def told(speeds: pd.DataFrame, figure: Callable[[str, object, str], None]) -> None:
    for row in best_forms(speeds).itertuples():
        said = f"{row.speed_up:.2f}×, {row.achieved:.2f} of the MAC ratio"
        busy = "" if row.steady else " (busy machine: do not quote)"
        figure(f"  {row.form}, batch {row.batch}, {row.threads} threads, best layouts", said + busy, "≥ 0.6 at 70 %")
    blocked = speeds[speeds["model"] == BLOCKED].groupby(["form", "batch", "threads"])["median"].min()
    plain = speeds[speeds["model"] == COMPACT].groupby(["form", "batch", "threads"])["median"].min()
    figure("  time in blocks of 16 ÷ time as it comes", (blocked / plain).round(2).to_dict(), "≤ 1: free channels")


@pytest.mark.parametrize(("name", "share", "threads"), CASES)
def test_every_form(
    name: str, share: float, threads: tuple[int, ...], figure: Callable[[str, object, str], None]
) -> None:
    x = torch.randn(1, 3, SIDE, SIDE)
    settings = BenchSettings(("eager", "folded", "onnxruntime"), (1, 16), threads, rounds=5)
    tables = bench(networks(name, share, x), x, settings)
    figure(f"{name}, {share:.0%}", in_a_sentence(tables["speeds"], tables["lost"]), "")
    told(tables["speeds"], figure)
    figure("  lost to", dict(zip(tables["lost"]["cause"], tables["lost"]["share"].round(), strict=True)), "")
    figure("  machine", tables["machine"].round(3).to_dict("records"), "")
    exact = tables["speeds"][tables["speeds"]["form"].isin(EXACT)]
    assert (exact["relative_error"] <= 1e-4).all()
    assert tables["left_out"].empty


def test_compiled_and_int8(figure: Callable[[str, object, str], None]) -> None:
    x = torch.randn(1, 3, SIDE, SIDE)
    settings = BenchSettings(("folded", "compiled", "int8"), (1, 16), (1,), rounds=5)
    calibration = [{"images": torch.randn(1, 3, SIDE, SIDE)} for _ in range(8)]
    tables = bench(networks("ResNet-18", 0.7, x), x, settings, calibration=calibration)
    figure("ResNet-18, 70 %, compiled and int8", in_a_sentence(tables["speeds"], tables["lost"]), "")
    told(tables["speeds"], figure)
    assert set(tables["left_out"]["form"]) <= {"compiled"}  # where there is no compiler
