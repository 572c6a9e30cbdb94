"""Several models in one frame, and what it says of their speed."""

import pandas as pd
import pytest
import torch
from torch import nn

from tests.engine.pruning.test_compact import silenced
from winnow.engine.export import save_model
from winnow.engine.measure.comparison import COLUMNS, compare, speed_ups
from winnow.engine.measure.counts import macs, parameters
from winnow.engine.measure.memory import file_size, peak_memory
from winnow.engine.measure.timing import Timing
from winnow.engine.pruning import compact

QUICK = Timing(3, 1e-3, threads=1)


@pytest.fixture(scope="module")
def models() -> tuple[dict[str, nn.Module], torch.Tensor]:
    net, x = silenced("ours basic", "input", 0.7)
    net, x = net.float(), x.float()
    return {"masked": net, "compact": compact(net, x, gather="always").model}, x


def test_the_frame(models):
    nets, x = models
    nets["masked"].train()
    told: list[float] = []
    frame = compare(
        nets, x, batches=(1, 4), backends=("eager",), timing=QUICK, progress=lambda what, part: told.append(part)
    )
    assert nets["masked"].training
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert list(frame.columns) == COLUMNS
    for name, net in nets.items():
        mine = frame[frame["model"] == name].set_index(["quantity", "batch", "backend"])
        counts = mine.droplevel(["batch", "backend"])["value"]
        assert counts["parameters"] == parameters(net)
        assert counts["macs"] == macs(net, x)
        assert counts["file_size"] == file_size(net)
        assert mine.loc[("peak_memory", 1.0, "eager"), "value"] == peak_memory(net, x[:1].clone())
        assert mine.loc[("peak_memory", 4.0, "eager"), "value"] > counts["peak_memory"].min()
        seconds = mine.loc["latency"]
        assert len(seconds) == 2
        assert ((seconds["low"] <= seconds["value"]) & (seconds["value"] <= seconds["high"])).all()
    exact = frame[frame["quantity"] != "latency"]
    assert (exact["low"] == exact["value"]).all()
    assert exact["steady"].all()
    assert set(zip(frame["quantity"], frame["unit"], strict=True)) == {
        ("parameters", "1"), ("macs", "1"), ("file_size", "B"), ("peak_memory", "B"), ("latency", "s"),
    }  # fmt: skip
    assert set(frame["threads"]) == {1}


def test_the_runtime_is_timed_in_the_same_turns(models):
    pytest.importorskip("onnxruntime")
    nets, x = models
    frame = compare({"compact": nets["compact"]}, x, batches=(1, 4), timing=QUICK)
    seconds = frame[frame["quantity"] == "latency"]
    assert list(zip(seconds["batch"], seconds["backend"], strict=True)) == [
        (1, "eager"), (1, "onnxruntime"), (4, "eager"), (4, "onnxruntime"),
    ]  # fmt: skip
    assert (seconds["value"] > 0).all()


def test_speed_ups_are_ratios_of_medians():
    rows = [
        ["dense", "macs", float("nan"), "", 100.0, True],
        ["small", "macs", float("nan"), "", 20.0, True],
        ["dense", "latency", 1.0, "eager", 6.0, True],
        ["small", "latency", 1.0, "eager", 2.0, True],
        ["dense", "latency", 16.0, "eager", 60.0, False],
        ["small", "latency", 16.0, "eager", 15.0, True],
    ]
    frame = pd.DataFrame(rows, columns=["model", "quantity", "batch", "backend", "value", "steady"])
    found = speed_ups(frame, "dense")
    assert list(found["speed_up"]) == [3.0, 4.0]
    assert list(found["mac_ratio"]) == [5.0, 5.0]
    assert list(found["achieved"]) == [0.6, 0.8]
    assert list(found["steady"]) == [True, False]
    with pytest.raises(ValueError, match="`reference` must be"):
        speed_ups(frame, "masked")


@pytest.mark.parametrize("options", [{"backends": ("tensorrt",)}, {"backends": ()}, {"batches": (0,)}])
def test_what_cannot_be_compared_is_refused(options, models):
    nets, x = models
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        compare(nets, x, timing=QUICK, **({"backends": ("eager",)} | options))
    with pytest.raises(ValueError, match="`models` must"):
        compare({}, x)


@pytest.mark.parametrize("name", ["ours basic", "shared"])
def test_the_size_is_that_of_the_file(name: str, tmp_path):
    net, x = silenced(name, "input", 0.5)
    small = compact(net, x, gather="always").model
    saved = save_model(tmp_path, small, x)
    assert saved.path.stat().st_size == file_size(small) == saved.bytes
