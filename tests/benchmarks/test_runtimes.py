"""What removal is worth at run time: dense, masked and compact in turns, in torch and in ONNX Runtime."""

from collections.abc import Callable

import pytest
import torch

from tests.benchmarks.test_pruning import MODELS, generic, silenced
from winnow.engine.measure.comparison import compare, speed_ups
from winnow.engine.measure.timing import Timing
from winnow.engine.pruning import compact

pytestmark = pytest.mark.bench


@pytest.mark.parametrize("share", [0.5, 0.7])
@pytest.mark.parametrize("name", ["ResNet-18", "ResNet-18, 3 ASPP"])
def test_dense_masked_compact(name: str, share: float, figure: Callable[[str, object, str], None]) -> None:
    torch.set_num_threads(1)
    masked = silenced(name, share).to(memory_format=torch.channels_last)
    dense = generic(MODELS[name]()).to(memory_format=torch.channels_last)
    x = torch.randn(1, 3, 128, 128).to(memory_format=torch.channels_last)
    models = {"dense": dense, "masked": masked, "compact": compact(masked, x).model}
    frame = compare(models, x, timing=Timing(rounds=9, threads=1))
    for quantity, unit in (("parameters", 1e6), ("macs", 1e9), ("file_size", 1e6), ("peak_memory", 1e6)):
        rows = frame[(frame["quantity"] == quantity) & (frame["batch"].fillna(1) == 1)]
        found = dict(zip(rows["model"], (rows["value"] / unit).round(2), strict=True))
        figure(f"{name}, {share:.0%}: {quantity} [{'M' if unit == 1e6 else 'G'}]", found, "")
    for row in speed_ups(frame, "dense").itertuples():
        said = f"{row.speed_up:.2f}×, {row.achieved:.2f} of the MAC ratio"
        busy = "" if row.steady else " (busy machine: do not quote)"
        figure(f"  {row.model}, {row.backend}, batch {row.batch:.0f}", said + busy, "zeros alone ≈ 1")
    macs = frame[frame["quantity"] == "macs"].set_index("model")["value"]
    assert macs["compact"] < macs["masked"] == macs["dense"]
